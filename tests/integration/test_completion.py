"""What shells are told to propose, asked as they ask: refs, tests, versions and clusters."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from git_repository import git, make

from harness.engine import records
from harness.host import process

PROGRAM = "import sys; sys.argv[0] = 'harness'; from harness.cli.app import main; main()"
CONFIGURATION = '[tests.churn]\ndag = "churn"\n[tests.chess]\ndag = "chess"\n[tests.fraud]\ndag = "fraud"\n'


@pytest.fixture
def root(tmp_path: Path, git_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_STATE_DIR", str(tmp_path / "state"))
    made = make(tmp_path / "repository", {"harness.toml": CONFIGURATION, "dags/a.py": ""})
    git(made, "branch", "feature/fewer-trees")
    git(made, "tag", "v1")
    return made


def proposed(root: Path, shell: str, line: str) -> list[str]:
    """What `shell` gets to propose for the last word of a line."""
    words = line.split(" ")
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    if shell != "bash":
        asked = {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    env = {**asked, "_HARNESS_COMPLETE": f"complete_{shell}"}
    answer = process.run([sys.executable, "-c", PROGRAM], env=env, cwd=root, check=False)
    return answer.stdout.split()


@pytest.mark.parametrize(
    "line, expected",
    [
        ("harness test ch", ["churn", "chess"]),
        ("harness test --ref f", ["feature/fewer-trees"]),
        ("harness diff v", ["v1"]),
        ("harness diff main ", ["feature/fewer-trees", "main", "v1"]),
        ("harness status --name ", ["mine"]),
        ("harness logs --name mine churn-", ["churn-12345678"]),
        ("harness down --name mine fea", ["feature/fewer-trees"]),
        ("harness logs ", []),
    ],
)
def test_in_bash(root: Path, line: str, expected: list[str]) -> None:
    records.begin("mine", "churn-12345678", ref="feature/fewer-trees", commit="a" * 40, tag="a" * 12)
    assert proposed(root, "bash", line) == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_in_other_shells(root: Path, shell: str) -> None:
    assert "churn" in "\n".join(proposed(root, shell, "harness test chu"))


@pytest.mark.parametrize(
    "line",
    ["harness test --ref f", "harness test --base main c", "harness logs --name mine ", "harness up --name "],
)
def test_a_shell_has_its_answer_in_time(root: Path, line: str) -> None:
    """By processor time, which other programs on the machine don't add to; most of it would be pydantic's import."""
    records.begin("mine", "churn-12345678", ref="feature/fewer-trees", commit="a" * 40, tag="a" * 12)
    shown = "print(time.process_time(), 'pydantic' in sys.modules, file=sys.stderr)"
    told = f"import atexit, time; atexit.register(lambda: {shown})"
    words = line.split(" ")
    env = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_HARNESS_COMPLETE": "complete_bash"}
    argv = [sys.executable, "-c", PROGRAM.replace("from", f"{told}; from", 1)]
    answers = [process.run(argv, env=env, cwd=root, check=False) for _ in range(4)]
    assert all(answer.stdout.split() for answer in answers)
    taken_s, loaded = zip(*(answer.stderr.split() for answer in answers), strict=True)
    assert set(loaded) == {"False"}
    assert max(map(float, taken_s[1:])) < 0.3


def test_outside_of_everything_nothing_is_proposed(tmp_path: Path, root: Path) -> None:
    assert proposed(tmp_path, "bash", "harness test --ref f") == []
    (root / "harness.toml").write_text("[tests", encoding="utf-8")
    assert proposed(root, "bash", "harness test c") == []
