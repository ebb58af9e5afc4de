"""What Airflow's REST API tells, as frozen values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from harness.airflow.logs.excerpts import abridged, in_a_line
from harness.airflow.logs.tracebacks import Frame, exception_text, traceback_frames
from harness.project.places import in_repository

# Airflow adds to an import timeout where to read on.
_DOCS = re.compile(r"\s*Please take a look at these docs.*", re.DOTALL)
_LINES = 2000  # of a traceback, at its beginning and at its end
RUN_END_STATES = frozenset({"success", "failed"})
TASK_END_STATES = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


@dataclass(frozen=True)
class Dag:
    """A DAG that the dag-processor has parsed. `file` is relative to the DAGs folder."""

    dag_id: str
    is_paused: bool
    file: str | None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Dag:
        return cls(data["dag_id"], data["is_paused"], data.get("relative_fileloc"))


@dataclass(frozen=True)
class DagImportError:
    """A DAG file that cannot be imported. `file` is relative to the DAGs folder, `folder` that in the repository."""

    file: str
    stack_trace: str
    folder: str = ""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> DagImportError:
        lines = data["stack_trace"].splitlines()
        told = lines if len(lines) <= 2 * _LINES else [*lines[:_LINES], "…", *lines[-_LINES:]]
        return cls(data["filename"], "\n".join(map(abridged, told)))

    def within(self, folder: str, root: str) -> DagImportError:
        """The same in the repository, whose DAGs lie in `folder`, which the image has below `root`.

        Airflow 3.0 tells the file's absolute path.
        """
        return replace(self, file=self.file.removeprefix(f"{PurePosixPath(root, folder)}/"), folder=folder)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The traceback's frames, outermost first."""
        return traceback_frames(self.stack_trace)

    @property
    def line(self) -> int | None:
        """The line of the DAG file itself where the import failed, if the traceback names it."""
        ours = [frame for frame in self.frames if frame.file == self.traced_as]
        return ours[-1].line if ours else None

    @property
    def traced_as(self) -> str | None:
        """What the traceback calls the DAG file, if it does; Airflow runs that before any module that it imports."""
        ending = "/" + self.path.lstrip("/")
        return next((frame.file for frame in self.frames if frame.file.endswith(ending)), None)

    @property
    def text(self) -> str:
        """The exception with all lines of its message."""
        return exception_text(self.stack_trace) or "import failed"

    @property
    def message(self) -> str:
        """The exception in one line, such as `ModuleNotFoundError: No module named 'x'`."""
        return in_a_line(_DOCS.sub("", self.text))

    @property
    def place(self) -> str:
        """File and line, as editors open them."""
        return self.path if self.line is None else f"{self.path}:{self.line}"

    @property
    def path(self) -> str:
        """The file in the user's repository; its absolute path where it lies elsewhere."""
        return in_repository(self.folder, self.file)


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG."""

    dag_id: str
    run_id: str
    state: str
    logical_date: str | None
    queued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    triggered_by: str | None = None  # rest_api, operator, asset, …

    @property
    def key(self) -> tuple[str, str]:
        return self.dag_id, self.run_id

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> DagRun:
        return cls(
            data["dag_id"],
            data["dag_run_id"],
            data["state"],
            data.get("logical_date"),
            **_times(data, queued="queued_at"),
            triggered_by=data.get("triggered_by"),
        )

    @property
    def ended(self) -> bool:
        return self.state in RUN_END_STATES


@dataclass(frozen=True)
class TaskInstance:
    """One task instance in its latest try. `pod` is the host name it ran on: its pod's name."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    max_tries: int
    queued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    note: str | None = None
    operator: str | None = None
    pod: str | None = None
    pool: str = "default_pool"
    pool_slots: int = 1
    dag_id: str = ""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> TaskInstance:
        return cls(
            task_id=data["task_id"],
            map_index=data["map_index"],
            state=data["state"],
            try_number=data["try_number"],
            max_tries=data["max_tries"],
            **_times(data, queued="queued_when"),
            note=data.get("note"),
            operator=data.get("operator_name") or data.get("operator"),
            pod=data.get("hostname") or None,
            pool=data.get("pool") or "default_pool",
            pool_slots=data.get("pool_slots") or 1,
            dag_id=data.get("dag_id") or "",
        )

    @property
    def label(self) -> str:
        """The task's id, with the index of a mapped one: `square[2]`."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @property
    def key(self) -> tuple[str, int]:
        return self.task_id, self.map_index

    @property
    def ended(self) -> bool:
        return self.state in TASK_END_STATES

    def has_had(self, retries: int | None) -> bool:
        """Whether it waits to be tried again, and has been tried already a first time and `retries` more."""
        return retries is not None and self.state == "up_for_retry" and self.try_number > retries

    @property
    def queued_s(self) -> float | None:
        """Seconds from queued to started."""
        return _seconds(self.queued_at, self.started_at)

    @property
    def duration_s(self) -> float | None:
        """Seconds from started to ended."""
        return _seconds(self.started_at, self.ended_at)


@dataclass(frozen=True)
class Pool:
    """What tasks share among them. `slots` is less than 0 where there is no end of them."""

    name: str
    slots: int

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Pool:
        return cls(data["name"], data["slots"])


@dataclass(frozen=True)
class AuditEvent:
    """An entry of Airflow's own event log, such as an executor's reason for failing a task."""

    event: str
    task_id: str | None
    map_index: int | None
    try_number: int | None
    text: str

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> AuditEvent:
        return cls(
            event=data["event"],
            task_id=data.get("task_id"),
            map_index=data.get("map_index"),
            try_number=data.get("try_number"),
            text=data.get("extra") or "",
        )


def duration_s(text: str) -> float:
    """Seconds of an ISO 8601 duration, as Airflow's API writes them: PT15S, P1DT2H30M."""
    from pydantic import TypeAdapter

    return TypeAdapter(timedelta).validate_python(text).total_seconds()


def _times(data: Mapping[str, Any], *, queued: str) -> dict[str, Any]:
    """When it was queued, started and ended, as far as it was."""
    keys = {"queued_at": queued, "started_at": "start_date", "ended_at": "end_date"}
    told = {name: data.get(key) for name, key in keys.items()}
    return {name: datetime.fromisoformat(text) if text else None for name, text in told.items()}


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end and end >= start else None
