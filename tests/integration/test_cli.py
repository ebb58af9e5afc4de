"""The installed `harness` program: its help, what it loads, and what it answers to what it cannot do."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import git_repository
import pytest
import typer

from harness import __version__
from harness.cli import app as cli
from harness.host import process

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sysconfig.get_path("scripts")) / "harness"
GROUP = typer.main.get_command(cli.app)
COMMANDS = sorted(getattr(GROUP, "commands"))  # noqa: B009  typer does not say that it makes a group
HEAVY = (
    "docker",
    "filelock",
    "httpx2",
    "kubernetes",
    "pydantic",
    "requests",
    "rich",
    "stamina",
    "urllib3",
    "yaml",
)
PROSE = ("runs",)  # "harness runs …" in a sentence is no command
# Nothing at this address: what needs Docker says so, whatever this machine has.
NO_DOCKER = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
TINY_TOML = '[tests.tiny]\ndag = "tiny"\n'


def harness(*arguments: str | Path, cwd: Path | None = None) -> process.Completed:
    env = {"COLUMNS": "120", "NO_COLOR": "1", "GITHUB_STEP_SUMMARY": "", **NO_DOCKER}
    return process.run([PROGRAM, *arguments], cwd=cwd, env=env, check=False, timeout_s=60)


@pytest.fixture
def project(tmp_path: Path, git_settings: Path) -> Path:
    """A repository in which nothing is wrong."""
    files: dict[str, str | bytes] = {
        "harness.toml": TINY_TOML,
        "dags/tiny.py": "from airflow.sdk import DAG\n\nDAG('tiny')\n",
        "dags/requirements.lock": (ROOT / "dags/requirements.lock").read_bytes(),
    }
    return git_repository.make(tmp_path / "project", files)


def test_the_contracts_commands_are_there() -> None:
    assert {"doctor", "up", "test", "status", "logs", "ui", "down"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    completed = harness(command, "--help")
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.startswith(f"Usage: harness {command} ")
    for option in re.findall(r"^ +(--[\w-]+)(.*)$", completed.stdout, re.MULTILINE):
        assert option[1].strip(), f"{command} {option[0]} has no word of help"


def test_help_lists_every_command_with_what_it_does() -> None:
    completed = harness("--help")
    assert completed.returncode == 0
    listed = dict(re.findall(r"^  ([a-z]+) {2,}(\S.*)$", completed.stdout, re.MULTILINE))
    assert sorted(listed) == COMMANDS


def test_without_a_command_it_shows_the_help_and_that_something_is_missing() -> None:
    completed = harness()
    assert completed.returncode == 2
    assert "Usage: harness" in completed.stdout + completed.stderr


def test_version() -> None:
    completed = harness("--version")
    assert (completed.returncode, completed.stdout) == (0, f"harness {__version__}\n")


@pytest.mark.parametrize(
    "code",
    [
        "import harness.cli.app",
        "import harness.cli.app; harness.cli.app.app(['--help'], standalone_mode=False)",
    ],
)
def test_help_loads_nothing_heavy(code: str) -> None:
    show = "import sys; print('\\n'.join(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)"
    loaded = process.run([sys.executable, "-c", f"{code}; {show}"]).stderr.split()
    assert "typer" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_help_is_instant(tmp_path: Path) -> None:
    """By processor time, which other programs on the machine don't add to; with bytecode, as pip installs it."""
    show = "import time, sys; print(time.process_time(), file=sys.stderr)"
    code = f"import harness.cli.app; harness.cli.app.app(['--help'], standalone_mode=False); {show}"
    env = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    taken_s = [float(process.run([sys.executable, "-c", code], env=env).stderr) for _ in range(6)]
    assert max(taken_s[1:]) < 0.3


def test_what_goes_into_a_result_is_told_without_cluster_and_docker(project: Path) -> None:
    completed = harness("version", "--json", cwd=project)
    assert completed.returncode == 0, completed
    known = json.loads(completed.stdout)
    versions = known["environment"]["versions"]
    assert versions["harness"] == __version__
    assert {"python", "kubernetes", "containerd", "kind", "helm", "airflow chart"} <= versions.keys()
    assert "docker" not in versions
    assert known["environment"]["digests"]["airflow chart"].startswith("sha256:")
    lock = (ROOT / "dags/requirements.lock").read_bytes()
    assert known["lock"]["digest"] == f"sha256:{hashlib.sha256(lock).hexdigest()}"
    assert f"apache-airflow-core=={known['lock']['airflow']}".encode() in lock
    assert f"harness     {__version__}" in re.sub(r" {5,}", "     ", harness("version", cwd=project).stdout)


def test_versions_are_told_outside_of_any_project(tmp_path: Path) -> None:
    known = json.loads(harness("version", "--json", cwd=tmp_path).stdout)
    assert (known["lock"], known["image"]) == (None, None)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("test", "--keep", "sometimes"),
        ("test", "--no-such-option"),
        ("up", "unexpected"),
        ("logs", "--task"),
        ("up", "--name", "Not A Name"),
        ("status", "--name", "-x"),
        ("down", "--name", "a" * 60),
    ],
    ids=" ".join,
)
def test_bad_usage_ends_with_2_and_no_traceback(arguments: tuple[str, ...], tmp_path: Path) -> None:
    completed = harness(*arguments, cwd=tmp_path)
    assert completed.returncode == 2, completed
    assert completed.stdout == ""
    assert completed.stderr
    assert "Traceback" not in completed.stderr


def test_a_near_command_is_named() -> None:
    assert "status" in harness("statsu").stderr


def test_outside_a_repository_the_hint_is_git_init(tmp_path: Path) -> None:
    completed = harness("test", cwd=tmp_path)
    assert completed.returncode == 2
    assert "hint: git init" in completed.stdout + completed.stderr


def test_every_violation_of_the_configuration_is_told_at_once(project: Path) -> None:
    (project / "harness.toml").write_text(TINY_TOML + 'timeout = "soon"\nspeed = 3\n', encoding="utf-8")
    completed = harness("test", cwd=project)
    shown = completed.stdout + completed.stderr
    assert completed.returncode == 2
    assert "tests.tiny.timeout" in shown
    assert "tests.tiny.speed: unknown key" in shown


def test_an_unknown_test_is_answered_with_a_near_one(project: Path) -> None:
    completed = harness("test", "tinny", cwd=project)
    assert completed.returncode == 2
    assert "hint: harness test tiny" in completed.stdout + completed.stderr


def test_a_result_that_could_not_be_written_is_refused_before_any_work(project: Path) -> None:
    completed = harness("test", "--json", project / "missing" / "result.json", cwd=project)
    assert completed.returncode == 2
    assert f"mkdir -p {project}/missing" in completed.stderr


def test_a_failure_before_any_version_is_in_the_json_with_its_cause(project: Path) -> None:
    completed = harness("test", "tinny", "--json", "-", cwd=project)
    assert completed.returncode == 2
    assert '"code": "test_not_found"' in completed.stdout
    assert completed.stdout.startswith("{"), "stdout is for data alone"
    assert completed.stdout.endswith("}\n"), "stdout is for data alone"


@pytest.mark.parametrize("command", ["up", "test", "status", "logs", "ui", "down"])
def test_without_docker_it_ends_with_3_and_the_hint_is_the_doctor(command: str, project: Path) -> None:
    completed = harness(command, "--name", "harness-absent", cwd=project)
    assert completed.returncode == 3, completed
    assert "harness doctor" in completed.stdout + completed.stderr


def told() -> Iterator[tuple[str, str]]:
    """Every text of the package that is no docstring, with its place."""
    for path in sorted((ROOT / "harness").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield node.value, f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"


def test_messages_name_only_commands_that_exist() -> None:
    """Who is in trouble types what the hint says."""
    named = {
        (match[1], place)
        for text, place in told()
        for match in re.finditer(r"(?:^|[`;:&] ?|, (?:then |or )?)harness ([a-z]+)\b", text)
    }
    assert {"up", "test", "down", "logs", "status", "doctor"} <= {word for word, _ in named}
    unknown = {f"{place}: harness {word}" for word, place in named if word not in (*COMMANDS, *PROSE)}
    assert unknown == set()
