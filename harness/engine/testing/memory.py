"""What tasks took of memory at most. Their pods tell it at their end, and a run ends before its last pod has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.airflow.pods.pods import Pod, PodWatch
from harness.airflow.rest.models import TASK_END_STATES
from harness.errors import HarnessError
from harness.report.model import TaskResult, TestResult

INTERVAL_S = 0.3
# The kubelet tells of an ended pod within a second or two, and a verdict must not wait for more.
MOST_LOOKS = 10


def completed(
    results: Mapping[str, TestResult], watch: PodWatch, sleep: Callable[[float], None]
) -> dict[str, TestResult]:
    """The results with the peaks that were not known when their runs ended."""
    lacking = {
        task.pod for result in results.values() for task in result.every_task if _lacks(task) and task.pod
    }
    peaks = _peaks(lacking, watch, sleep) if lacking else {}
    return {
        key: result.model_copy(
            update={
                "tasks": _with_peaks(result.tasks, peaks),
                "children": tuple(
                    child.model_copy(update={"tasks": _with_peaks(child.tasks, peaks)})
                    for child in result.children
                ),
            }
        )
        for key, result in results.items()
    }


def _lacks(task: TaskResult) -> bool:
    return task.peak_memory_bytes is None and task.state in TASK_END_STATES


def _with_peaks(tasks: tuple[TaskResult, ...], peaks: Mapping[str, int | None]) -> tuple[TaskResult, ...]:
    return tuple(_with_peak(task, peaks) for task in tasks)


def _with_peak(task: TaskResult, peaks: Mapping[str, int | None]) -> TaskResult:
    peak = peaks.get(task.pod or "")
    return task if peak is None else task.model_copy(update={"peak_memory_bytes": peak})


def _peaks(lacking: set[str], watch: PodWatch, sleep: Callable[[float], None]) -> dict[str, int | None]:
    """What these pods tell once they have ended, as far as they do so in time."""
    pods: list[Pod] = []
    for _ in range(MOST_LOOKS):
        try:
            pods = [pod for pod in watch.pods() if pod.name in lacking]
        except HarnessError:  # a figure less: no reason to fail
            break
        if not any(map(_is_about_to_end, pods)):
            break
        sleep(INTERVAL_S)
    return {pod.name: pod.peak_memory_bytes for pod in pods}


def _is_about_to_end(pod: Pod) -> bool:
    return pod.started_at is not None and pod.ended_at is None and not pod.ended and not pod.deleted
