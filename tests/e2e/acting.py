"""GitHub Actions on this machine: `act` runs jobs on the host, and their result is held against a terminal's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from command import loaded

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
    "base_duration_s",
    "offset_s",
    "peak_memory_bytes",
    "base_peak_memory_bytes",
    "receipt",
    "bundle",
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
class Acted:
    """What jobs printed as `act` ran them, what they kept, and the result that a terminal wrote of the same."""

    output: str
    artifact: Path
    terminal: Path

    def documents(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Both results, the terminal's second."""
        return loaded(self.artifact / "result.json"), loaded(self.terminal)


def installed() -> Path:
    """`act`, compiled from its module once and kept in the cache."""

    def install(folder: Path) -> None:
        environment = {"GOBIN": str(folder), "GOFLAGS": "", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        process.run([go.find(), "install", f"github.com/nektos/act@{ACT}"], env=environment, timeout_s=600)

    return cache.obtain("act", ACT, install) / "act"


def run(
    checkout: Path, folder: Path, cluster: str, used: Iterable[str], *arguments: str | Path
) -> process.Completed:
    """`act` to its end; what the jobs keep is in `artifacts` in the folder.

    `used`: the actions from elsewhere, of which those that keep files and those that do nothing here are stood in for;
    the checkout `act` does itself.
    """
    argv: list[str | Path] = [
        installed(), *arguments, "--platform", "ubuntu-latest=-self-hosted", "--no-cache-server",
        "--action-cache-path", folder / "cache", "--env", f"HARNESS_CLUSTER={cluster}",
        "--env", f"KEPT_ARTIFACTS={folder / 'artifacts'}", "--env", "PIP_NO_COMPILE=1",
    ]  # fmt: skip
    for action in sorted({name for name in used if not name.startswith("actions/checkout@")}):
        text = KEEP if action.startswith("actions/upload-artifact@") else NOTHING
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


def read(path: Path) -> dict[str, Any]:
    """A workflow's or an action's document."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def used(steps: Iterable[dict[str, Any]]) -> set[str]:
    """The actions that steps use."""
    return {step["uses"] for step in steps if "uses" in step}


def fields(value: Any, place: str = "") -> dict[str, Any]:
    """Every value of a document by its place, but for what belongs to one run alone."""
    if isinstance(value, dict):
        found = [fields(each, f"{place}.{key}") for key, each in value.items() if key not in OF_ONE_RUN]
    elif isinstance(value, list):
        found = [fields(each, f"{place}[{index}]") for index, each in enumerate(value)]
    else:
        return {place: value}
    return {key: each for part in found for key, each in part.items()} or {place: value}


def comparable(document: dict[str, Any]) -> dict[str, Any]:
    """The fields of a result, with its task instances by name, since which of several pods is queued first is chance.

    Of the image's name the tag is left: what comes before it is the name of the folder that `act` works in. The
    versions of the two clients' own Python and uv are left out: the job makes an environment of its own.
    """
    for name in ("python", "uv"):
        del document["environment"]["versions"][name]
    for version in document["versions"]:
        version["image"]["name"] = version["image"]["name"].rpartition(":")[2]
        for test in version["tests"]:
            test["tasks"].sort(key=lambda task: (task["task_id"], task["map_index"]))
    return fields(document)
