"""Every hint names a command that there is, and the cluster that was meant."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer

from harness.cli import app as cli
from harness.cli.run import run
from harness.errors import CauseCode, HarnessError
from harness.hints import COMMANDS as FOR_A_CLUSTER
from harness.hints import VARIABLE, for_cluster, option
from harness.host import signals
from harness.report.model import Cause, Result, TestResult, VersionResult

PACKAGE = Path(__file__).parents[3] / "harness"
ALL = typer.main.get_command(cli.app).commands
COMMANDS = set(ALL)
_COMMAND = re.compile(r"(?:^|[;`&|(] ?|, |or )harness ([a-z]+)")


def hints() -> list[tuple[str, str]]:
    """The text of every `hint=…` and `hint = …`, with its place."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            values = []
            if isinstance(node, ast.Call):
                values = [each.value for each in node.keywords if each.arg == "hint"]
            elif isinstance(node, ast.Assign) and any(
                "hint" in ast.unparse(each).lower() for each in node.targets
            ):
                values = [node.value]
            for value in values:
                texts = [each for each in ast.walk(value) if isinstance(each, ast.Constant)]
                found += [
                    (f"{path.relative_to(PACKAGE)}:{each.lineno}", each.value)
                    for each in texts
                    if isinstance(each.value, str)
                ]
    return found


def test_hints_are_found() -> None:
    assert len(hints()) > 100
    assert any("harness up" in text for _, text in hints())


@pytest.mark.parametrize(("place", "text"), hints())
def test_commands_exist(place: str, text: str) -> None:
    assert {*_COMMAND.findall(text)} <= COMMANDS, place


@pytest.fixture(autouse=True)
def no_cluster_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_the_commands_for_a_cluster_are_those_with_a_name() -> None:
    named = {name for name, command in ALL.items() if any("--name" in each.opts for each in command.params)}
    assert named == set(FOR_A_CLUSTER)


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("harness up", "harness up --name foo"),
        ("harness logs churn-1a2b3c4d", "harness logs --name foo churn-1a2b3c4d"),
        ("harness logs: see where it went wrong", "harness logs --name foo: see where it went wrong"),
        ("harness down && harness up", "harness down --name foo && harness up --name foo"),
        (
            "harness status, then harness down VERSION for what is not needed any more",
            "harness status --name foo, then harness down --name foo VERSION for what is not needed any more",
        ),
        (
            "less /state/foo/harness.log; docker logs foo-control-plane; harness down",
            "less /state/foo/harness.log; docker logs foo-control-plane; harness down --name foo",
        ),
        ("as `harness test` said.", "as `harness test --name foo` said."),
        ("run harness up.", "run harness up --name foo."),
        ("harness up --name another", "harness up --name another"),
        ("harness down; harness up --name bar", "harness down --name foo; harness up --name bar"),
        ("harness doctor --fix", "harness doctor --fix"),
        ("harness --help", "harness --help"),
        ("run harness on Linux", "run harness on Linux"),
        ("edit harness.toml", "edit harness.toml"),
        ("ls -ld /srv/harness test", "ls -ld /srv/harness test"),
        ("kubectl config get-contexts", "kubectl config get-contexts"),
        ("kubectl --context mine get pods", "kubectl --context mine get pods"),
        (
            "harness up-to-date, harness upgrade, my-harness up",
            "harness up-to-date, harness upgrade, my-harness up",
        ),
        ("", ""),
    ],
)
def test_each_command_goes_to_the_cluster_that_was_meant(hint: str, shown: str) -> None:
    assert for_cluster(hint, "foo") == shown
    assert for_cluster(shown, "foo") == shown  # once is enough
    assert for_cluster(hint, "harness") == hint


def test_a_command_of_kubectls_goes_to_the_cluster_that_was_meant() -> None:
    node = "docker exec foo-control-plane kubectl --kubeconfig /etc/kubernetes/admin.conf"
    assert for_cluster("kubectl uncordon n1", "foo") == f"{node} uncordon n1"
    assert (
        for_cluster("kubectl auth can-i --list", "@my team")
        == "kubectl --context 'my team' auth can-i --list"
    )
    for cluster in ("foo", "harness", "@team"):
        once = for_cluster("harness status; kubectl describe nodes", cluster)
        assert for_cluster(once, cluster) == once


def test_what_the_environment_names_needs_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "foo")
    assert option("foo") == ""
    assert for_cluster("harness up", "foo") == "harness up"
    assert for_cluster("harness up", "harness") == "harness up --name harness"
    monkeypatch.setenv(VARIABLE, "")  # as good as none
    assert option("harness") == ""


def test_a_name_that_a_shell_would_take_apart_is_quoted() -> None:
    assert option("a; b") == " --name 'a; b'"


@pytest.mark.parametrize(("place", "text"), hints())
def test_every_command_in_a_hint_is_found(place: str, text: str) -> None:
    named = [name for name in re.findall(r"\bharness ([a-z]+)", text) if name in FOR_A_CLUSTER]
    assert for_cluster(text, "foo").count("--name foo") == len(named) - text.count("--name"), place


def test_an_error_of_a_command_is_shown_with_the_cluster(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "heed", lambda _: None)  # pytest's own stay

    def command(_: object) -> int:
        raise HarnessError(CauseCode.CLUSTER_MISSING, "there is no cluster", hint="harness up")

    for cluster, hint in (("foo", "harness up --name foo"), ("harness", "harness up"), ("", "harness up")):
        assert run(command, cluster) == 3
        assert capsys.readouterr().err.splitlines() == ["error: there is no cluster", "", f"hint: {hint}"]


def test_every_cause_of_a_result_is_shown_with_the_cluster() -> None:
    cause = Cause(code="usage", message="m", hint="harness logs")
    test = TestResult(name="t", dag_id="d", verdict="error", cause=cause)
    passed = TestResult(name="p", dag_id="d", verdict="passed")
    version = VersionResult(ref="r", commit=None, tests=(test, passed), cause=cause)
    changed = Result.of((version,), cause).with_hints(lambda hint: for_cluster(hint, "foo"))
    assert [each.hint for each in changed.causes] == ["harness logs --name foo"] * 3
    assert changed.versions[0].tests[1] == passed
    assert changed.exit_code == 2
