"""What is known of a DAG run and of those that it led to, as results tell it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from harness.airflow.pods.pods import Pod
from harness.airflow.rest.models import DagRun, TaskInstance
from harness.airflow.run.following import RunOutcome
from harness.project.configuration import TestSettings
from harness.report.model import ChildRun, TaskResult


def children_of(settings: TestSettings, image: str, outcome: RunOutcome) -> tuple[ChildRun, ...]:
    """The runs that a test's own led to."""
    return tuple(
        ChildRun(
            dag_id=child.run.dag_id,
            run_id=child.run.run_id,
            state=state_of(settings, child),
            triggered_by=child.run.triggered_by,
            tasks=tasks_of(settings, image, child),
        )
        for child in outcome.children
    )


def state_of(settings: TestSettings, outcome: RunOutcome) -> str:
    """The run's state; `failed` where the test's `retries` ended it, as Airflow has it then."""
    tasks = (task for each in (outcome, *outcome.children) for task in each.tasks)
    is_ended = not outcome.run.ended and any(task.has_had(settings.retries) for task in tasks)
    return "failed" if is_ended else outcome.run.state


def tasks_of(settings: TestSettings, image: str, outcome: RunOutcome) -> tuple[TaskResult, ...]:
    """A run's task instances, in the order in which they were queued; `image` is the version's, by name."""
    return tuple(
        _task(settings, image, outcome.run, task, outcome.pod_of(task)) for task in _ordered(outcome.tasks)
    )


def task_phases(settings: TestSettings, outcome: RunOutcome) -> dict[str, float]:
    """Seconds from the trigger to the first line of user code, as the cluster's own times have it."""
    run: DagRun = outcome.run
    # What the scheduler itself ends, as an EmptyOperator without a pod, was never queued.
    ran = (task for task in outcome.tasks if task.queued_at and not settings.skips(task.task_id))
    known = (outcome.first_started.get(task.key, task.started_at) for task in ran)
    starts = [started_at for started_at in known if started_at]
    if not starts or run.queued_at is None:
        return {}
    return {"first_task_s": max(timedelta(0), min(starts) - run.queued_at).total_seconds()}


def _ordered(tasks: tuple[TaskInstance, ...]) -> list[TaskInstance]:
    """As they began; those that never did come last."""

    def place(task: TaskInstance) -> tuple[bool, datetime, str, int]:
        began = task.queued_at or task.started_at
        return began is None, began or datetime.max.replace(tzinfo=UTC), task.task_id, task.map_index

    return sorted(tasks, key=place)


def _task(settings: TestSettings, image: str, run: DagRun, task: TaskInstance, pod: Pod | None) -> TaskResult:
    if run.dag_id == settings.dag and settings.skips(task.task_id):
        return TaskResult(
            task_id=task.task_id, map_index=task.map_index, state=task.state, skipped_by_test=True
        )
    return TaskResult(
        task_id=task.task_id,
        map_index=task.map_index,
        state="failed" if task.has_had(settings.retries) else task.state,
        try_number=task.try_number,
        pod=pod.name if pod else None,
        image_digest=digest_of(pod.image_id) if pod else None,
        image_name=pod.image if pod and image and pod.image != image else None,
        queued_s=task.queued_s,
        duration_s=task.duration_s,
        offset_s=_offset_s(run, task),
        peak_memory_bytes=pod.peak_memory_bytes if pod else None,
    )


def _offset_s(run: DagRun, task: TaskInstance) -> float | None:
    """Seconds from the run's start until the task was queued."""
    start = run.queued_at or run.started_at
    if start is None or task.queued_at is None:
        return None
    return max(timedelta(0), task.queued_at - start).total_seconds()


def digest_of(image_id: str) -> str | None:
    """`sha256:…` from a pod's imageID, which may have a repository before it."""
    _, found, digest = image_id.rpartition("sha256:")
    return f"sha256:{digest}" if found else None
