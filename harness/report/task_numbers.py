"""Times and memory of task instances as columns, the same in every report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.report import format
from harness.report.model import TaskResult


@dataclass(frozen=True)
class Column:
    """A column's head, and its cell for a task."""

    head: str
    cell: Callable[[TaskResult], str]


_QUEUED = Column("queued", lambda task: format.seconds(task.queued_s))
_RAN = Column("ran", lambda task: format.seconds(task.duration_s))
_BASE_RAN = Column("in base", lambda task: format.seconds(task.base_duration_s))
_MEMORY = Column("memory", lambda task: format.size(task.peak_memory_bytes))
_BASE_MEMORY = Column("in base", lambda task: format.size(task.base_peak_memory_bytes))


def columns(tasks: Sequence[TaskResult]) -> tuple[Column, ...]:
    """Those that some task has a figure for, each with the base's beside it; times of its own are always there."""
    compared = any(task.base_duration_s is not None for task in tasks)
    base_known = any(task.base_peak_memory_bytes is not None for task in tasks)
    known = base_known or any(task.peak_memory_bytes is not None for task in tasks)
    return (
        _QUEUED,
        _RAN,
        *((_BASE_RAN,) if compared else ()),
        *((_MEMORY,) if known else ()),
        *((_BASE_MEMORY,) if base_known else ()),
    )
