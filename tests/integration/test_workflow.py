"""The GitHub workflow and .ci/run: linted, pinned, and running README.md's two commands."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import __version__
from harness.host import cache, process
from harness.host.sources import go
from harness.init import pull_requests

REPOSITORY = Path(__file__).parents[2]
WORKFLOWS = sorted((REPOSITORY / ".github/workflows").glob("*.yml"))
ACTIONS = sorted((REPOSITORY / ".github/actions").glob("*/action.yml"))
CI = REPOSITORY / ".github/workflows/ci.yml"
ACTIONLINT = "v1.7.12"


def _readme_commands() -> list[str]:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    return [line.strip() for line in re.findall(r"^    (python3 -m venv .*?)#", text, re.MULTILINE)]


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(CI.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="session")
def actionlint() -> Path:
    """Compiled from its module once and kept in the cache."""

    def install(folder: Path) -> None:
        package = f"github.com/rhysd/actionlint/cmd/actionlint@{ACTIONLINT}"
        environment = {"GOBIN": str(folder), "GOFLAGS": "", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        process.run([go.find(), "install", package], env=environment, timeout_s=300)

    return cache.obtain("actionlint", ACTIONLINT, install) / "actionlint"


@pytest.fixture(scope="session")
def zizmor() -> Path:
    beside_python = Path(sys.executable).with_name("zizmor")
    found = str(beside_python) if beside_python.exists() else shutil.which("zizmor")
    assert found, "zizmor is missing: pip install -e '.[test]'"
    return Path(found)


def test_actionlint_finds_nothing(actionlint: Path) -> None:
    # GitHub knows `$/`, a workflow's own repository, since July 2026; this actionlint, the newest, does not yet.
    known = ["-ignore", r'specifying action "\$/']
    answer = process.run([actionlint, "-no-color", *known, *WORKFLOWS], cwd=REPOSITORY, check=False)
    assert (answer.returncode, answer.stdout) == (0, ""), answer.stdout + answer.stderr


def test_actionlint_would_find_something(actionlint: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(CI.read_text(encoding="utf-8").replace("runs-on:", "runs-at:"), encoding="utf-8")
    assert "runs-at" in process.run([actionlint, "-no-color", broken], cwd=tmp_path, check=False).stdout


def test_the_workflow_that_init_writes_is_one(actionlint: Path, zizmor: Path, tmp_path: Path) -> None:
    """Pinned by its commit, as it is where harness was installed from GitHub."""
    written = tmp_path / ".github/workflows/harness.yml"
    written.parent.mkdir(parents=True)
    text = pull_requests.workflow()
    written.write_text(text.replace(f"@v{__version__}", f"@{'0' * 40} # v{__version__}"), encoding="utf-8")
    answer = process.run([actionlint, "-no-color", written], cwd=tmp_path, check=False)
    assert (answer.returncode, answer.stdout) == (0, ""), answer.stdout + answer.stderr
    answer = process.run([zizmor, "--offline", "--no-progress", written], cwd=tmp_path, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_zizmor_finds_nothing(zizmor: Path) -> None:
    argv = [zizmor, "--offline", "--no-progress", "--persona", "auditor", "--strict-collection", ".github"]
    answer = process.run(argv, cwd=REPOSITORY, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_zizmor_would_find_something(zizmor: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    text = CI.read_text(encoding="utf-8")
    broken.write_text(re.sub(r"@[0-9a-f]{40} # (v\d+)\S*", r"@\1", text), encoding="utf-8")
    answer = process.run([zizmor, "--offline", "--no-progress", broken], cwd=tmp_path, check=False)
    assert answer.returncode != 0
    assert "unpinned-uses" in answer.stdout


def test_the_two_commands_are_run(workflow: dict[str, Any]) -> None:
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    lines = [line.strip() for step in steps for line in step.get("run", "").splitlines()]
    main_job, tests = _readme_commands()
    assert tests in lines
    # Options that only write files may follow the main job's last command.
    (run,) = [line for line in lines if line.startswith(main_job)]
    assert re.fullmatch(r"( --(json|junit|html) results/[\w.]+)*", run.removeprefix(main_job))


def test_actions_are_pinned_by_commit() -> None:
    for path in (*WORKFLOWS, *ACTIONS):
        found = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
        assert found
        uses = [line for line in found if not line.startswith("$/")]  # its own repository, at its own commit
        for line in uses:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), f"{path.name}: {line}"
        pins = {line.split("@")[0]: line for line in uses}
        assert set(uses) == set(pins.values()), f"{path.name} pins one action in two versions"


def test_least_permissions_and_limits(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 90
    assert "secrets." not in CI.read_text(encoding="utf-8")


def test_caches_hash_files_that_exist(workflow: dict[str, Any]) -> None:
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    keys = [step["with"]["key"] for step in steps if step.get("uses", "").startswith("actions/cache@")]
    assert keys
    for key in keys:
        for pattern in re.findall(r"'([^']+)'", key):
            assert list(REPOSITORY.glob(pattern)), pattern


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with .ci/run, a README.md of harmless commands, and linters that only say they ran."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(REPOSITORY / ".ci/run", tmp_path / ".ci/run")
    readme = (
        "    python3 -m venv --help > help.txt && echo the main job ran   # the main job\n"
        "    python3 -m venv --help > help.txt && echo '== 3 passed in 0.12s =='   # the tests\n"
    )
    (tmp_path / "README.md").write_text(readme, encoding="utf-8")
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    for name in ("harness", "ruff", "mypy"):
        program = programs / name
        program.write_text('#!/bin/sh\necho "ran ${0##*/} $*"\n', encoding="utf-8")
        program.chmod(0o755)
    return tmp_path


def test_ci_run_runs_all_and_ends_with_pytests_line(checkout: Path) -> None:
    answer = process.run([checkout / ".ci/run"], check=False, timeout_s=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    expected = (
        "the main job ran",
        "ran harness down",
        "== 3 passed in 0.12s ==",
        "ran ruff check",
        "ran ruff format --check",
        "ran mypy",
    )
    lines = [line.strip() for line in answer.stdout.splitlines()]
    places = [lines.index(line) for line in expected]
    assert places == sorted(places)
    assert lines[-1] == "== 3 passed in 0.12s =="
    assert re.search(r"main job \d+ s, .*tests \d+ s, .*mypy \d+ s", answer.stdout)


@pytest.mark.parametrize(
    "old, new",
    [("echo the main job ran", "exit 7"), ("3 passed in 0.12s =='", "1 failed in 0.12s ==' && exit 1")],
)
def test_ci_run_fails_with_a_command_and_does_the_rest(checkout: Path, old: str, new: str) -> None:
    readme = checkout / "README.md"
    readme.write_text(readme.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    answer = process.run([checkout / ".ci/run"], check=False, timeout_s=60)
    assert answer.returncode == 1
    assert "ran mypy" in answer.stdout
    assert answer.stdout.splitlines()[-1].startswith("== ")


def test_ci_run_fails_with_a_linter(checkout: Path) -> None:
    (checkout / ".venv/bin/mypy").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    answer = process.run([checkout / ".ci/run"], check=False, timeout_s=60)
    assert answer.returncode == 1
    assert "== failed: mypy (status 1)" in answer.stdout


def test_ci_run_refuses_a_readme_without_the_commands(checkout: Path) -> None:
    (checkout / "README.md").write_text("nothing here\n", encoding="utf-8")
    answer = process.run([checkout / ".ci/run"], check=False, timeout_s=60)
    assert answer.returncode == 1
    assert "exactly one command" in answer.stderr
