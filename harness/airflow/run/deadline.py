"""What is told of a DAG run that had not ended when its time was over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from harness.airflow.autopsy.autopsy import last_pod
from harness.airflow.pods.pods import Pod
from harness.airflow.rest.models import TaskInstance
from harness.errors import CauseCode, HarnessError
from harness.report import format

Try = tuple[str, int, int]
_LESS = "raise `timeout` of the test in harness.toml, or give the test less to do through `conf`"
_OTHER_DAG = (
    "in a version only the tested DAG runs, and what it leads to: name the sensor in `skip` of the test in "
    "harness.toml, or test the DAG that it waits for"
)
_LOOKED_FOR = "give the test what the sensor looks for, or raise `timeout` of the test in harness.toml"


def timed_out(
    dag_id: str,
    tasks: Sequence[TaskInstance],
    pods: Sequence[Pod],
    timeout_s: float,
    first_queued: Mapping[Try, datetime],
    *,
    led_to_by: str = "",
    pending: Sequence[str] = (),
) -> HarnessError:
    """Who was running, who was waiting and for what, when the time was over.

    `led_to_by`: the tested DAG, where this one is another that its run led to.
    `pending`: DAGs that the assets of its run, which has ended, should have started.
    `first_queued`: when each try was queued first; a sensor that is rescheduled is queued again and again.
    """
    running = [task for task in tasks if task.state == "running"]
    waiting = [task for task in tasks if task.state is not None and not task.ended and task not in running]
    if not running and not waiting and pending:
        return _not_followed(dag_id, pending[0], timeout_s)
    homeless = {task: pod for task in waiting if (pod := last_pod(pods, task)) and pod.unschedulable}
    lines = [f"task {task.label}: {task.state}{_since(task, first_queued)}" for task in running]
    lines += [
        f"task {task.label}: {task.state}" + (f", {homeless[task].unschedulable}" if task in homeless else "")
        for task in waiting
    ]
    head = f"DAG {dag_id} had not ended after {format.duration(timeout_s)}"
    if led_to_by:
        head = f"DAG {dag_id}, which {led_to_by} led to, had not ended {format.duration(timeout_s)} after that began"
    if not running and homeless:
        return _never_placed(head, *next(iter(homeless.items())), lines)
    first = next(iter([*running, *waiting]), None)
    what, hint = _at_work(first, first_queued) if first else ("no task had started", _LESS)
    return HarnessError(
        CauseCode.RUN_TIMEOUT,
        f"{head}: {what}",
        hint=hint,
        evidence=lines,
        task_id=first.task_id if first else None,
    )


def _not_followed(dag_id: str, pending: str, timeout_s: float) -> HarnessError:
    return HarnessError(
        CauseCode.RUN_TIMEOUT,
        f"DAG {dag_id} had ended, and DAG {pending}, which follows its assets, had not been started "
        f"{format.duration(timeout_s)} after that began",
        hint="harness logs shows what Airflow's scheduler says; `follow = false` of the test leaves out what follows",
    )


def _never_placed(head: str, task: TaskInstance, pod: Pod, lines: Sequence[str]) -> HarnessError:
    return HarnessError(
        CauseCode.POD_NOT_STARTED,
        f"{head}: task {task.label}, which requests {pod.requests}, never got a node: {pod.unschedulable}",
        hint="harness status shows who uses the cluster; harness down VERSION frees what a version holds",
        evidence=lines,
        task_id=task.task_id,
    )


def _at_work(task: TaskInstance, first_queued: Mapping[Try, datetime]) -> tuple[str, str]:
    """What a task was at when the time was over, and what helps."""
    since = _since(task, first_queued)
    if not _looks(task, first_queued):
        return f"task {task.label} was {task.state}{since}", _LESS
    is_for_a_dag = "externaltask" in (task.operator or "").lower()
    return (
        f"task {task.label}, a sensor, had waited{since} for what it looks for",
        _OTHER_DAG if is_for_a_dag else _LOOKED_FOR,
    )


def try_of(task: TaskInstance) -> Try:
    """What tells one try of a task instance from another."""
    return (*task.key, task.try_number)


def _looks(task: TaskInstance, first_queued: Mapping[Try, datetime]) -> bool:
    """Whether it is a sensor at work. Between two looks it may have no pod: Airflow queues it anew for each."""
    if "sensor" not in (task.operator or "").lower():
        return False
    first = first_queued.get(try_of(task))
    queued_again = first is not None and task.queued_at is not None and task.queued_at > first
    return queued_again or task.state in {"running", "deferred", "up_for_reschedule"}


def _since(task: TaskInstance, first_queued: Mapping[Try, datetime]) -> str:
    is_at_work = task.state == "running" and not _looks(task, first_queued)
    start = task.started_at if is_at_work else first_queued.get(try_of(task), task.queued_at)
    if start is None:
        return ""
    return f" for {format.duration(max(0.0, (datetime.now(UTC) - start).total_seconds()))}"
