"""One DAG run while it is followed: its tasks, what of them was told, and what will never start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from harness.airflow.autopsy.autopsy import last_pod
from harness.airflow.autopsy.pod_trouble import silent_end, trouble
from harness.airflow.logs.redaction import masked
from harness.airflow.pods.pods import Pod
from harness.airflow.rest.models import DagRun, TaskInstance
from harness.airflow.run.deadline import Try, try_of
from harness.airflow.run.seen_pods import SeenPods
from harness.errors import CauseCode, HarnessError

OnTask = Callable[[TaskInstance, Pod | None], None]


@dataclass
class WatchedRun:
    """What is known of a run, and since when."""

    run: DagRun
    pods: SeenPods
    tasks: tuple[TaskInstance, ...] = ()
    is_complete: bool = False  # it has ended, and its tasks were asked for since
    first_queued: dict[Try, datetime] = field(default_factory=dict)
    first_started: dict[tuple[str, int], datetime] = field(default_factory=dict)  # of a task's first try
    _told: set[tuple[str, int, int, str]] = field(default_factory=set)
    _troubled_s: dict[tuple[str, CauseCode], float] = field(default_factory=dict)

    @property
    def own_pods(self) -> tuple[Pod, ...]:
        return self.pods.of(self.run.key)

    @property
    def is_active(self) -> bool:
        """Whether a task of it is about to run, or runs."""
        return any(task.state in {"queued", "running"} for task in self.tasks)

    @property
    def is_deferred(self) -> bool:
        return any(task.state == "deferred" for task in self.tasks)

    def tell(self, on_task: OnTask) -> None:
        """Report each new state once."""
        for task in self.tasks:
            if task.state is None:
                continue
            if task.queued_at is not None:
                self.first_queued.setdefault(try_of(task), task.queued_at)
            if task.started_at is not None:
                self.first_started.setdefault(task.key, task.started_at)
            state = (*task.key, task.try_number, task.state)
            if state not in self._told:
                self._told.add(state)
                on_task(task, last_pod(self.own_pods, task))

    def tried_enough(self, retries: int | None) -> HarnessError | None:
        """That a task would be tried more often than the first time and `retries` more."""
        for task in self.tasks:
            if task.has_had(retries):
                left = task.max_tries + 1 - task.try_number
                more = "one more try" if left == 1 else f"{left} more tries"
                return HarnessError(
                    CauseCode.TASK_FAILED, f"`retries` of the test leaves out {more}", task_id=task.task_id
                )
        return None

    def hopeless(self, now_s: float) -> HarnessError | None:
        """The trouble of a task's pod, once it has lasted and Airflow has not dealt with it."""
        present: set[tuple[str, CauseCode]] = set()
        for task in self.tasks:
            pod = last_pod(self.own_pods, task) if task.state in {"queued", "running"} else None
            if pod is None:
                continue
            room = self.pods.room_for(pod)
            events = self.pods.events(pod) if _is_slow(pod, task) else ()
            if pod.phase == "Succeeded":
                found = silent_end() if task.state == "running" else None
            else:
                found = trouble(pod, room, events)
            if found is None:
                continue
            key = (pod.name, found.error.cause)
            present.add(key)
            if now_s - self._troubled_s.setdefault(key, now_s) >= found.grace_s:
                error = found.error
                return HarnessError(
                    error.cause,
                    masked(f"task {task.label}: {error.message}"),
                    hint=error.hint,
                    evidence=[masked(line) for line in error.evidence or events],
                    task_id=task.task_id,
                )
        self._troubled_s = {key: since for key, since in self._troubled_s.items() if key in present}
        return None


def _is_slow(pod: Pod, task: TaskInstance) -> bool:
    """Whether a pod has a node and still no container that runs: only then its events are worth a request."""
    return (
        task.state == "queued"
        and pod.phase == "Pending"
        and bool(pod.node)
        and any(container.waiting.reason for container in pod.containers)
    )
