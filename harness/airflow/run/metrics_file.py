"""Metrics that a run wrote into a JSON file on its version's volume."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath

from harness.airflow.rest.models import DagRun
from harness.airflow.run.reported import Reported
from harness.errors import CauseCode, HarnessError
from harness.hints import toml_text
from harness.project.places import AIRFLOW_ROOT

ARTIFACTS = "artifacts"
LIMIT_BYTES = 1 << 20
# Prints what there is of the file, or where files of its name are instead.
_READ = """
import json, os, sys
path, limit, *folders = sys.argv[1:]
found = {"near": []}
if os.path.isfile(path):
    about = os.stat(path)
    found = {"written_s": about.st_mtime, "bytes": about.st_size, "near": []}
    if about.st_size <= int(limit):
        with open(path, encoding="utf-8", errors="replace") as file:
            found["text"] = file.read()
else:
    for folder in folders:
        for place, _, names in os.walk(folder):
            if os.path.basename(path) in names:
                found["near"].append(os.path.join(place, os.path.basename(path)))
print(json.dumps(found))
"""


def written(
    execute: Callable[[Sequence[str]], str],
    file: str,
    shared: Iterable[str],
    run: DagRun,
    root: str = AIRFLOW_ROOT,
) -> Reported:
    """What the run wrote into `file`: below one of the `shared` folders, else below the artifacts.

    `execute` runs a program in the version's control plane, which has the volume too, and returns what it prints.
    Raises HarnessError: METRICS_MISSING when there is no such file, or it is older than the run: one of the commit
    or of another run; METRICS_INVALID for more than 1 MiB, or what is no JSON.
    """
    folders = [ARTIFACTS, *shared]
    inside = any(PurePosixPath(file).is_relative_to(folder) for folder in folders)
    top = PurePosixPath(root)
    path = top / file if inside else top / ARTIFACTS / file
    said = execute(
        ("python", "-c", _READ, str(path), str(LIMIT_BYTES), *(str(top / folder) for folder in folders))
    )
    found = json.loads(said.splitlines()[-1])
    if "written_s" not in found:
        raise _not_there(file, path, found["near"], top)
    since = run.queued_at or run.started_at
    if since is not None and datetime.fromtimestamp(found["written_s"], UTC) < since:
        raise HarnessError(
            CauseCode.METRICS_MISSING,
            f"the run did not write {file}: it was there before, from the commit or from another run",
            hint="let a task write the file in each run, or edit `metrics` of the test in harness.toml",
        )
    if "text" not in found:
        raise _invalid(
            f"{file} has {found['bytes']:,} bytes, more than the {LIMIT_BYTES:,} that metrics may take"
        )
    try:
        return Reported(json.loads(found["text"]), f"{file} holds")
    except (ValueError, RecursionError) as error:
        raise _invalid(f"{file} is no JSON: {error}") from None


def _not_there(file: str, path: PurePosixPath, near: Sequence[str], top: PurePosixPath) -> HarnessError:
    instead = [
        str(place.relative_to(top / ARTIFACTS if place.is_relative_to(top / ARTIFACTS) else top))
        for place in map(PurePosixPath, near)
    ]
    folder = PurePosixPath(file).parent
    return HarnessError(
        CauseCode.METRICS_MISSING,
        f"the run left no file {path}" + (f"; there is {', '.join(instead[:5])}" if instead else ""),
        hint=f"edit `metrics` of the test in harness.toml: {{ file = {toml_text(instead[0])} }}"
        if instead
        else f"write it below $HARNESS_ARTIFACTS_URL as {file}, or into a folder that [image] shared names: "
        f"what a task writes elsewhere, such as {top / folder}, is gone with its pod",
    )


def _invalid(message: str) -> HarnessError:
    return HarnessError(
        CauseCode.METRICS_INVALID, message, hint='write a JSON object of numbers, such as {"accuracy": 0.95}'
    )
