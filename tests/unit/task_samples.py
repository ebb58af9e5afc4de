"""A failed task, its pod and its log, as Airflow 3.3.2 tells of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from harness.airflow.autopsy.autopsy import explain
from harness.airflow.pods.pods import Pod, Resources
from harness.airflow.rest.models import DagRun, TaskInstance
from harness.report.model import Cause

NOW = datetime(2026, 11, 22, 19, 43, tzinfo=UTC)
RUN = DagRun("bad_run", "harness-1", "failed", "2026-01-01T00:00:00Z")
FAILED = TaskInstance("boom", -1, "failed", 1, 0, started_at=NOW, ended_at=NOW, pod="bad-run-boom-x1")
POD = Pod(
    name="bad-run-boom-x1",
    task_id="boom",
    try_number=1,
    phase="Succeeded",
    node="n",
    image="demo:abc",
    limits=Resources(None, 2 * 2**30),
)
TOKEN = "eyJhbGciOiJIUzUxMiIsImtpZCI6Im5vdC11c2VkIn0.eyJzdWIiOiIwMWEyMDRjOCJ9.k3Ar-_9"


def frame(filename: str, lineno: int, name: str) -> dict[str, Any]:
    return {"filename": filename, "lineno": lineno, "name": name}


def error(kind: str, value: str, *frames: dict[str, Any], cause: bool = False) -> dict[str, Any]:
    return {
        "exc_type": kind,
        "exc_value": value,
        "exc_notes": [],
        "syntax_error": None,
        "is_cause": cause,
        "frames": list(frames),
        "is_group": False,
        "exceptions": [],
    }


RUNNER = frame("/usr/lib/python3.11/site-packages/airflow/sdk/execution_time/task_runner.py", 1579, "run")
BOOM = frame("/opt/airflow/dags/bad_run.py", 12, "boom")


def log(*entries: dict[str, Any]) -> str:
    """A task's log as the REST API gives it: what Airflow puts around, and the entries."""
    around: list[dict[str, Any]] = [
        {"timestamp": None, "event": "::group::Log message source details"},
        {
            "timestamp": "2026-11-22T19:43:04.553122Z",
            "event": "Worker startup parse complete",
            "level": "info",
        },
        {"timestamp": "2026-11-22T19:43:04.650987Z", "event": "::group::Post Execute", "level": "info"},
    ]
    return "".join(json.dumps(entry) + "\n" for entry in [*around[:2], *entries, around[2]])


def raised(*details: dict[str, Any]) -> dict[str, Any]:
    return {"event": "Task failed with exception", "level": "error", "error_detail": list(details)}


def cause_of(task: TaskInstance = FAILED, **more: Any) -> Cause:
    return explain(RUN, task, tasks=more.pop("tasks", [task]), **more)
