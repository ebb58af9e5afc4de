"""Why a run failed none of whose tasks did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from harness.airflow.rest.models import DagRun, TaskInstance
from harness.errors import CauseCode, HarnessError
from harness.report.format import seconds

NAMED_TASKS = 5


def without_failed_task(
    run: DagRun, tasks: Sequence[TaskInstance], dagrun_timeout_s: float | None
) -> HarnessError:
    """`dagrun_timeout_s` is the DAG's own limit; None where it has none."""
    return (
        _timed_out(run, tasks, dagrun_timeout_s)
        or _deadlock(run, [task for task in tasks if not task.ended])
        or _unknown(run, tasks)
    )


def _timed_out(run: DagRun, tasks: Sequence[TaskInstance], limit_s: float | None) -> HarnessError | None:
    if limit_s is None or run.started_at is None or run.ended_at is None:
        return None
    if (run.ended_at - run.started_at).total_seconds() < limit_s:
        return None
    # Airflow skips what has not ended then, and gives it no end of its own.
    end = run.started_at + timedelta(seconds=limit_s)
    cut = [task for task in tasks if task.state == "skipped" or not task.ended]
    running = [
        f"task {task.label} had run for {seconds((run.ended_at - task.started_at).total_seconds())}"
        for task in cut
        if task.started_at is not None and (task.ended_at is None or task.ended_at >= end)
    ]
    waiting = [f"task {task.label} had not started" for task in cut if task.started_at is None]
    told = ", ".join((running or waiting)[:NAMED_TASKS])
    return HarnessError(
        CauseCode.RUN_TIMEOUT,
        f"the run of DAG {run.dag_id} was ended by its dagrun_timeout of {seconds(limit_s)}"
        + (f"; {told}" if told else ""),
        hint="raise the DAG's `dagrun_timeout`, or give it less to do through the test's `conf`",
        evidence=(*running, *waiting),
    )


def _deadlock(run: DagRun, unfinished: Sequence[TaskInstance]) -> HarnessError | None:
    if not unfinished:
        return None
    waiting = ", ".join(task.label for task in unfinished[:NAMED_TASKS])
    return HarnessError(
        CauseCode.TASK_FAILED,
        f"DAG {run.dag_id} failed because none of the tasks that were left could ever run (deadlock): {waiting}",
        hint="see those tasks' trigger_rule, depends_on_past and wait_for_downstream",
    )


def _unknown(run: DagRun, tasks: Sequence[TaskInstance]) -> HarnessError:
    states = ", ".join(f"{task.label} {task.state}" for task in tasks if task.state != "success")
    return HarnessError(
        CauseCode.TASK_FAILED,
        f"DAG {run.dag_id} failed without a failed task" + (f": {states}" if states else ""),
        hint="see which of the DAG's tasks may be skipped, and what its callbacks do",
    )
