"""The GitHub workflow's main job, run by `act` on this machine, against a terminal: the same result, field by field.

It installs every locked package anew, which takes minutes; tests/e2e/test_actions.py has the action that others use.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import acting
import pytest
from conftest import Cluster
from main_job import MainJob
from scratch import Scratch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def job(
    cluster: Cluster,
    pipeline: Scratch,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> acting.Acted:
    """While `act` installs the job's packages, the terminal's run begins."""
    folder = tmp_path_factory.mktemp("act")
    used = acting.used(steps(pipeline.root).values())
    asked = ["push", "--job", "main", "--matrix", "sources:packages"]
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(acting.run, pipeline.root, folder, cluster.harness.cluster, used, *asked)
        terminal: MainJob = request.getfixturevalue("main_job")
        done = running.result()
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-8000:]
    (artifact,) = (folder / "artifacts").glob("main-job-packages-*")
    return acting.Acted(output, artifact, terminal.folder / "result.json")


def steps(root: Path) -> dict[str, dict[str, Any]]:
    """The steps of the workflow's main job by name."""
    workflow = acting.read(root / ".github/workflows/ci.yml")
    return {step["name"]: step for step in workflow["jobs"]["main"]["steps"]}


def test_the_result_is_the_terminals_field_by_field(job: acting.Acted) -> None:
    actions_result, terminal_result = map(acting.comparable, job.documents())
    assert len(terminal_result) > 100
    assert actions_result == terminal_result


def test_both_ran_by_themselves(job: acting.Acted) -> None:
    first, second = (document["versions"][0] for document in job.documents())
    assert first["namespace"] != second["namespace"]
    assert first["tests"][0]["run_id"] != second["tests"][0]["run_id"]


def test_every_report_is_kept(job: acting.Acted) -> None:
    assert {"result.json", "junit.xml", "report.html"} <= {path.name for path in job.artifact.iterdir()}


def test_no_step_of_the_job_was_left_out(job: acting.Acted, pipeline: Scratch) -> None:
    for name, step in steps(pipeline.root).items():
        if step.get("if") != "failure()":
            assert f"Success - Main {name}" in job.output, name
