"""The action that other repositories use, in one of them, run by `act` on this machine as a pull request runs it.

The pull request makes the model worse. A terminal compares the same commits: the result is the same, field by field.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import acting
import pytest
import scratch
from command import ENVIRONMENT, PROGRAM, explained, loaded
from conftest import Cluster

from harness.host import process

ACTION = "your-org/harness"
TOML = """\
[tests.tiny]
dag = "tiny"
metrics = { task = "evaluate" }

[tests.tiny.gates.accuracy]
min = 0.7
"""
# A clone without history beside the whole one.
SHALLOW = """
  shallow:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v6
      - run: git clone --quiet --depth 1 "file://$PWD" shallow
      - uses: {action}
        with: {{ working-directory: shallow }}
"""


def workflow(text: str) -> str:
    """The documented job. It takes nothing from the terminal's run, leaves nothing, and a second one is too shallow."""
    (job,) = [each for each in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "steps:" in each]
    (action,) = re.findall(rf"uses: ({ACTION}/\S+)", job)
    options = "id: harness\n        with: { options: --no-cache --keep never }"
    said = "- if: always()\n        run: echo \"it says '${{ steps.harness.outputs.verdict }}'\""
    asked = job.rstrip().replace(action, f"{action}\n        {options}\n      {said}")
    return f"on: pull_request\n{asked}\n{SHALLOW.format(action=action)}"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose branch, checked out, has grown from origin/main and made the model worse."""
    folder = tmp_path_factory.mktemp("theirs")
    theirs = scratch.tiny(folder / "churn")
    theirs.git("checkout", "--quiet", "--force", "HEAD", ".")
    theirs.git("clean", "--quiet", "--force")
    theirs.write("harness.toml", TOML)
    docs = (scratch.CHECKOUT / "docs/github-actions.md").read_text(encoding="utf-8")
    theirs.write(".github/workflows/dags.yml", workflow(docs))
    theirs.commit("our tests")
    theirs.git("switch", "--quiet", "--create", "change")
    theirs.write("dags/tiny_model.py", scratch.tiny_model(0.61))
    theirs.commit("a worse model")
    theirs.git("clone", "--quiet", str(theirs.root), str(folder / "clone"))
    return folder / "clone"


@pytest.fixture(scope="module")
def pull_request(
    cluster: Cluster,
    pipeline: scratch.Scratch,
    clone: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> acting.Acted:
    """While `act` installs harness from the action's own checkout, the terminal compares."""
    folder = tmp_path_factory.mktemp("act")
    event = folder / "event.json"
    refs = {"base": {"ref": "main"}, "head": {"ref": "change"}}
    event.write_text(json.dumps({"pull_request": {"number": 12, **refs}}), encoding="utf-8")
    (name,) = re.findall(rf"{ACTION}/\S+@(\S+)", (clone / ".github/workflows/dags.yml").read_text())[:1]
    used = acting.used(acting.read(pipeline.root / ".github/actions/harness/action.yml")["runs"]["steps"])
    asked: list[str | Path] = [
        "pull_request", "--eventpath", event, "--local-repository", f"{ACTION}@{name}={pipeline.root}",
    ]  # fmt: skip
    terminal = folder / "terminal.json"
    options = ["--no-cache", "--keep", "never", "--json", terminal]
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(acting.run, clone, folder, cluster.harness.cluster, used, *asked)
        env = {
            **ENVIRONMENT,
            "HARNESS_CLUSTER": cluster.harness.cluster,
        }  # as the jobs have it: hints name it else
        argv = [PROGRAM, "test", "--base", "origin/main", *options]
        alone = process.run(argv, cwd=clone, env=env, check=False, timeout_s=acting.DEADLINE_S)
        done: process.Completed = running.result()
    assert alone.returncode == 1, explained(alone)
    output = done.stdout + done.stderr
    assert (folder / "artifacts/harness/result.json").exists(), output[-8000:]
    return acting.Acted(output, folder / "artifacts/harness", terminal)


def test_the_result_is_the_terminals_field_by_field(pull_request: acting.Acted) -> None:
    actions_result, terminal_result = map(acting.comparable, pull_request.documents())
    assert len(terminal_result) > 100
    assert actions_result == terminal_result


def test_a_difference_would_be_seen(pull_request: acting.Acted) -> None:
    document, changed = (loaded(pull_request.terminal) for _ in range(2))
    changed["versions"][-1]["tests"][0]["metrics"]["accuracy"]["value"] += 1e-9
    assert acting.comparable(changed) != acting.comparable(document)


def test_the_base_is_the_pull_requests(pull_request: acting.Acted) -> None:
    document, _ = pull_request.documents()
    base, head = document["versions"]
    assert (base["role"], base["ref"], head["role"]) == ("base", "origin/main", "head")
    (of_base,), (tiny,) = base["tests"], head["tests"]
    assert (of_base["verdict"], tiny["verdict"]) == ("passed", "failed")
    accuracy = tiny["metrics"]["accuracy"]
    assert (accuracy["value"], accuracy["base"]) == pytest.approx((0.61, 0.72))


def test_both_ran_by_themselves(pull_request: acting.Acted) -> None:
    namespaces = [
        version["namespace"] for document in pull_request.documents() for version in document["versions"]
    ]
    assert len(set(namespaces)) == 4


def test_the_gate_that_fails_is_annotated_at_its_line(pull_request: acting.Acted, clone: Path) -> None:
    lines = (clone / "harness.toml").read_text(encoding="utf-8").splitlines()
    wanted = next(number for number, line in enumerate(lines, 1) if "tests.tiny.gates.accuracy" in line)
    (found,) = re.findall(r"::error file=harness\.toml,line=(\d+)", pull_request.output)
    assert int(found) in {wanted, wanted + 1}  # the gate, or what of it does not hold


def test_verdict_and_reports_are_what_later_steps_have(pull_request: acting.Acted) -> None:
    assert "it says 'failed'" in pull_request.output
    assert {"result.json", "junit.xml", "report.html"} <= {
        path.name for path in pull_request.artifact.iterdir()
    }


def test_a_shallow_checkout_is_told_the_line_to_add(pull_request: acting.Acted) -> None:
    assert (
        "the checkout is too shallow to compare with origin/main: add 'fetch-depth: 0'" in pull_request.output
    )
