"""An Airflow and a cluster that play back a DAG run, frame by frame, as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from harness.airflow.pods.nodes import LostNode
from harness.airflow.pods.pods import Container, Pod, Reason, Resources
from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.models import DagRun, Pool, TaskInstance
from harness.airflow.run.chain import Chain
from harness.airflow.run.following import RunOutcome, follow
from harness.errors import CauseCode, HarnessError

NOW = datetime(2026, 11, 22, 19, 43, tzinfo=UTC)


class Clock:
    """Time that passes only while the code under test sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def task(task_id: str, state: str | None, **more: Any) -> TaskInstance:
    base = TaskInstance(task_id, -1, state, 1, 0, queued_at=NOW - timedelta(seconds=5))
    return replace(base, **more)


def pod(task_id: str, **more: Any) -> Pod:
    made = Pod(
        f"good-{task_id}-x1", "good", "harness-1", task_id, try_number=1, image="demo:abc", created_at=NOW
    )
    return replace(made, **more)


@dataclass
class Running:
    """The api-server and the cluster while a run goes on: each poll sees the next frame."""

    frames: Sequence[tuple[str, Sequence[TaskInstance], Sequence[Pod]]]
    room: Resources | None = None
    nodes: tuple[Resources, ...] = ()
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    polls: int = 0
    cluster_is_away: bool = False
    asked_for_pools: int = 0
    lost: tuple[LostNode, ...] = ()
    without_answer: Callable[[str], None] = lambda _: None

    @property
    def frame(self) -> tuple[str, Sequence[TaskInstance], Sequence[Pod]]:
        return self.frames[min(self.polls, len(self.frames)) - 1]

    def dag_run(self, dag_id: str, run_id: str, *, deadline_s: float) -> DagRun:
        self.polls += 1
        return DagRun(dag_id, run_id, self.frame[0], None)

    def task_instances(self, dag_id: str, run_id: str, *, deadline_s: float) -> tuple[TaskInstance, ...]:
        return tuple(self.frame[1])

    def pools(self, *, deadline_s: float) -> tuple[Pool, ...]:
        self.asked_for_pools += 1
        return Pool("default_pool", 128), Pool("endless", -1)

    def pods(self) -> tuple[Pod, ...]:
        if self.cluster_is_away:
            raise HarnessError(CauseCode.CLUSTER_FAILED, "the cluster does not answer")
        return tuple(self.frame[2])

    def known_pods(self) -> tuple[Pod, ...]:
        return self.pods()

    def events(self, name: str) -> tuple[str, ...]:
        return self.warnings.get(name, ())

    def rooms(self) -> tuple[Resources, ...]:
        return self.nodes or ((self.room,) if self.room else ())

    def lost_nodes(self) -> tuple[LostNode, ...]:
        return self.lost

    @contextmanager
    def meanwhile(self, ask: Callable[[str], None]) -> Iterator[None]:
        self.without_answer = ask
        yield


def followed(
    running: Running,
    timeout_s: float = 600.0,
    retries: int | None = None,
    chain: Chain | None = None,
) -> tuple[RunOutcome, list[str], list[float], float]:
    """The outcome, the states that were told, when a task was deferred, and the seconds it took."""
    clock, told, deferred = Clock(), list[str](), list[float]()
    outcome = follow(
        cast(AirflowApi, running),
        running,
        "good",
        "harness-1",
        timeout_s=timeout_s,
        chain=chain,
        retries=retries,
        on_task=lambda task, pod: told.append(
            f"{task.label}/{task.try_number} {task.state} {pod.name if pod else '-'}"
        ),
        on_deferred=lambda: deferred.append(clock.now_s - 1000.0),
        clock=clock,
        sleep=clock.sleep,
    )
    return outcome, told, deferred, clock.now_s - 1000.0


def waiting(reason: str, message: str = "") -> tuple[Container, ...]:
    return (Container("base", waiting=Reason(reason, message)),)
