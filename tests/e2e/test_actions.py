"""The GitHub workflow's main job, run by `act` on this machine, against a terminal: the same result, field by field."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import loaded
from conftest import Cluster
from main_job import MainJob
from scratch import Scratch

from harness.host import cache, process
from harness.host.sources import go

ACT = "v0.2.89"
DEADLINE_S = 1200.0
# What tells programs where packages are, where the host has settings for it.
PASSED_ON = re.compile(
    r"(?i).*_proxy$|PIP_.*|UV_.*|GOPROXY|GOFLAGS|SSL_CERT_FILE|.*_CA_BUNDLE|HARNESS_.*|DOCKER_.*"
)
# What two runs of the same commit can't have in common: names made for one run, its seconds, and its neighbours.
OF_ONE_RUN = {
    "namespace",
    "run_id",
    "pod",
    "phases",
    "load_bytes",
    "queued_s",
    "duration_s",
    "offset_s",
    "peak_memory_bytes",
    "receipt",
}
NOTHING = 'runs:\n  using: composite\n  steps:\n    - run: "true"\n      shell: bash\n'
KEEP = """\
inputs:
  name: { required: true }
  path: { required: true }
runs:
  using: composite
  steps:
    - run: mkdir -p "$KEPT_ARTIFACTS" && cp -r "${{ inputs.path }}" "$KEPT_ARTIFACTS/${{ inputs.name }}"
      shell: bash
"""


@dataclass(frozen=True)
class Job:
    """The main job as `act` ran it, what it kept, and the result of the same commit in a terminal."""

    output: str
    artifact: Path
    terminal: Path

    def documents(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return loaded(self.artifact / "result.json"), loaded(self.terminal)


@pytest.fixture(scope="session")
def act() -> Path:
    """Compiled from its module once and kept in the cache."""

    def install(folder: Path) -> None:
        environment = {"GOBIN": str(folder), "GOFLAGS": "", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        process.run([go.find(), "install", f"github.com/nektos/act@{ACT}"], env=environment, timeout_s=600)

    return cache.obtain("act", ACT, install) / "act"


@pytest.fixture(scope="module")
def job(
    act: Path,
    cluster: Cluster,
    pipeline: Scratch,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Job:
    """While `act` installs the job's packages, the terminal's run begins."""
    folder = tmp_path_factory.mktemp("act")
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(run_job, act, cluster, pipeline.root, folder)
        terminal: MainJob = request.getfixturevalue("main_job")
        done = running.result()
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-8000:]
    (artifact,) = (folder / "artifacts").glob("main-job-packages-*")
    return Job(output, artifact, terminal.folder / "result.json")


def run_job(act: Path, cluster: Cluster, checkout: Path, folder: Path) -> process.Completed:
    """`act` to its end; what the job keeps is in `artifacts` in the folder."""
    name = cluster.harness.cluster
    argv: list[str | Path] = [
        act, "push", "--job", "main", "--platform", "ubuntu-latest=-self-hosted",
        "--matrix", "sources:packages", "--no-cache-server",
        "--action-cache-path", folder / "cache", "--env", f"HARNESS_CLUSTER={name}",
        "--env", f"KEPT_ARTIFACTS={folder / 'artifacts'}", "--env", "PIP_NO_COMPILE=1",
    ]  # fmt: skip
    for action, text in actions(checkout).items():
        stand_in = folder / action.replace("/", "-").replace("@", "-")
        stand_in.mkdir()
        (stand_in / "action.yml").write_text(
            f"name: stand-in\ndescription: stand-in\n{text}", encoding="utf-8"
        )
        argv += ["--local-repository", f"{action}={stand_in}"]
    for variable, value in os.environ.items():
        if PASSED_ON.fullmatch(variable) and variable != "HARNESS_CLUSTER":
            argv += ["--env", f"{variable}={value}"]
    return process.run(argv, cwd=checkout, check=False, timeout_s=DEADLINE_S)


def steps(root: Path) -> dict[str, dict[str, Any]]:
    """The steps of the workflow's main job by name."""
    workflow = yaml.safe_load((root / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    return {step["name"]: step for step in workflow["jobs"]["main"]["steps"]}


def actions(root: Path) -> dict[str, str]:
    """Every action from elsewhere that the job uses, but for the checkout, which `act` does itself."""
    used = {step["uses"] for step in steps(root).values() if "uses" in step}
    return {
        name: KEEP if name.startswith("actions/upload-artifact@") else NOTHING
        for name in sorted(used)
        if not name.startswith("actions/checkout@")
    }


def fields(value: Any, place: str = "") -> dict[str, Any]:
    """Every value of a document by its place, but for what belongs to one run alone."""
    if isinstance(value, dict):
        found = [fields(each, f"{place}.{key}") for key, each in value.items() if key not in OF_ONE_RUN]
    elif isinstance(value, list):
        found = [fields(each, f"{place}[{index}]") for index, each in enumerate(value)]
    else:
        return {place: value}
    return {key: each for part in found for key, each in part.items()} or {place: value}


def ordered(document: dict[str, Any]) -> dict[str, Any]:
    """The document with its task instances by name, since which of several pods is queued first is chance.

    Of the image's name the tag is left: what comes before it is the name of the folder that `act` works in. The
    versions of the two clients' own Python and uv are left out: the job makes an environment of its own.
    """
    for name in ("python", "uv"):
        del document["environment"]["versions"][name]
    for version in document["versions"]:
        version["image"]["name"] = version["image"]["name"].partition(":")[2]
        for test in version["tests"]:
            test["tasks"].sort(key=lambda task: (task["task_id"], task["map_index"]))
    return document


def test_the_result_is_the_terminals_field_by_field(job: Job) -> None:
    actions_result, terminal_result = (fields(ordered(document)) for document in job.documents())
    assert len(terminal_result) > 100
    assert actions_result == terminal_result


def test_both_ran_by_themselves(job: Job) -> None:
    first, second = (document["versions"][0] for document in job.documents())
    assert first["namespace"] != second["namespace"]
    assert first["tests"][0]["run_id"] != second["tests"][0]["run_id"]


def test_every_report_is_kept(job: Job) -> None:
    assert {"result.json", "junit.xml", "report.html"} <= {path.name for path in job.artifact.iterdir()}


def test_no_step_of_the_job_was_left_out(job: Job, pipeline: Scratch) -> None:
    for name, step in steps(pipeline.root).items():
        if step.get("if") != "failure()":
            assert f"Success - Main {name}" in job.output, name


def test_a_difference_would_be_seen(job: Job) -> None:
    document, changed = (loaded(job.terminal) for _ in range(2))
    changed["versions"][0]["tests"][0]["metrics"]["accuracy"]["value"] += 1e-9
    assert fields(changed) != fields(document)
