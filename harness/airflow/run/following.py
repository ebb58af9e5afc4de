"""Following a DAG run to its end: its tasks, their pods, and what will never start."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from harness.airflow.autopsy.autopsy import last_pod
from harness.airflow.autopsy.pod_trouble import trouble
from harness.airflow.logs.redaction import masked
from harness.airflow.pods.nodes import NodeWatch
from harness.airflow.pods.pods import Pod, PodWatch, Resources
from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.models import DagRun, TaskInstance
from harness.airflow.run.deadline import Try, shown_duration, timed_out, try_of
from harness.airflow.run.pools import PoolQueue
from harness.errors import CauseCode, HarnessError

INTERVAL_S = 0.5
SLOW_INTERVAL_S = 1.0
SLOW_AFTER_S = 60.0
# How long the api-server or the cluster may be away: their processes restart, and a machine may be busy.
LOST_S = 180.0
SILENT_S = 5.0  # until that is told

OnTask = Callable[[TaskInstance, Pod | None], None]
OnPods = Callable[[tuple[Pod, ...]], None]


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended. `error`: why it was given up before it ended; None when Airflow ended it.

    `pods` are all that were seen, in their last state.
    """

    run: DagRun
    tasks: tuple[TaskInstance, ...]
    pods: tuple[Pod, ...]
    room: Resources | None = None
    error: HarnessError | None = None

    @property
    def succeeded(self) -> bool:
        return self.error is None and self.run.state == "success"

    def pod_of(self, task: TaskInstance) -> Pod | None:
        """The pod of a task's last try."""
        return last_pod(self.pods, task)


def follow(
    api: AirflowApi,
    watch: PodWatch,
    dag_id: str,
    run_id: str,
    *,
    timeout_s: float,
    on_task: OnTask = lambda _task, _pod: None,
    on_pods: OnPods = lambda _pods: None,
    on_deferred: Callable[[], None] = lambda: None,
    on_lost: Callable[[str], None] = lambda _text: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> RunOutcome:
    """Poll a run until it ends, cannot go on, or `timeout_s` (seconds) is over.

    `on_task` is called once for each state of each try of a task, `on_pods` each time with all pods so far,
    `on_deferred` once when the first task waits for the triggerer, `on_lost` once when the cluster does not tell of
    its pods, and once when it does again. A pod that can never start, or a pool that can never take a task, ends it in
    seconds, where Airflow waits for minutes or for ever.
    Raises HarnessError(API_SERVER_LOST, CLUSTER_FAILED) when the api-server or the cluster's does not come back, and
    NODE_NOT_READY when that is because of the node.
    """
    view = _View(watch, (dag_id, run_id), on_task, on_deferred, on_lost, clock)
    pools = PoolQueue(lambda: api.pools(deadline_s=LOST_S), clock)
    start_s = clock()

    def without_answer(reason: str) -> None:
        if (lost := view.nodes.trouble()) is not None:
            raise lost
        if clock() - start_s > timeout_s:
            raise HarnessError(
                CauseCode.API_SERVER_LOST,
                f"DAG {dag_id} had not ended after {shown_duration(timeout_s)}, and Airflow's api-server does not "
                f"answer: {reason}",
                hint="harness logs",
            )

    with api.meanwhile(without_answer):
        run = _run(api, dag_id, run_id)
        while True:
            elapsed_s = clock() - start_s
            view.tasks = api.task_instances(dag_id, run_id, deadline_s=LOST_S)
            view.look_at_pods(at_last=run.ended)
            on_pods(view.all_pods)
            view.tell()
            if run.ended:
                return view.outcome(run, None)
            error = view.hopeless() or pools.hopeless(view.tasks)
            if error is None and elapsed_s > timeout_s:
                error = view.blindness(timeout_s) or timed_out(
                    dag_id, view.tasks, view.pods, timeout_s, view.first_queued
                )
            if error is not None:
                return view.outcome(run, error)
            sleep(INTERVAL_S if elapsed_s < SLOW_AFTER_S else SLOW_INTERVAL_S)
            # Before the tasks: once it has ended, they have their last states.
            run = _run(api, dag_id, run_id)


def _run(api: AirflowApi, dag_id: str, run_id: str) -> DagRun:
    run = api.dag_run(dag_id, run_id, deadline_s=LOST_S)
    if run is None:
        raise HarnessError(
            CauseCode.DATABASE_FAILED,
            f"run {run_id} of DAG {dag_id} is gone from Airflow",
            hint="harness status",
        )
    return run


class _View:
    """What is known of a run, and since when."""

    def __init__(
        self,
        watch: PodWatch,
        run: tuple[str, str],
        on_task: OnTask,
        on_deferred: Callable[[], None],
        on_lost: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self.tasks: tuple[TaskInstance, ...] = ()
        self.nodes = NodeWatch(watch.lost_nodes, clock)
        self.first_queued: dict[Try, datetime] = {}
        self._watch = watch
        self._run = run  # DAG id and run id
        self._on_task = on_task
        self._on_deferred = on_deferred
        self._on_lost = on_lost
        self._clock = clock
        self._pods: dict[str, Pod] = {}
        self._told: set[tuple[str, int, int, str]] = set()
        self._deferred = False
        self._troubled_s: dict[tuple[str, CauseCode], float] = {}
        self._blind_since_s: float | None = None
        self._blinded: HarnessError | None = None
        self._told_lost = False
        self._room: Resources | None = None

    @property
    def all_pods(self) -> tuple[Pod, ...]:
        """Also those of the version's other runs: before this one, or triggered by it."""
        return tuple(self._pods.values())

    @property
    def pods(self) -> tuple[Pod, ...]:
        return tuple(pod for pod in self.all_pods if (pod.dag_id, pod.run_id) == self._run)

    def look_at_pods(self, *, at_last: bool) -> None:
        """Keep the latest of each pod; one that vanished before its end was deleted. `at_last`: nothing is missed."""
        asked_s = self._clock()
        try:
            found = {pod.name: pod for pod in (self._watch.pods() if at_last else self._watch.known_pods())}
        except HarnessError as error:
            self._blind(error, asked_s)
            return
        if self._told_lost:
            self._on_lost("the cluster tells of its pods again")
        self._blind_since_s, self._blinded, self._told_lost = None, None, False
        for name, pod in self._pods.items():
            if name not in found and not pod.ended:
                found[name] = replace(pod, deleted=True)
            else:
                found.setdefault(name, pod)
        self._pods = found

    def _blind(self, error: HarnessError, asked_s: float) -> None:
        self._blind_since_s = asked_s if self._blind_since_s is None else self._blind_since_s
        self._blinded = error
        blind_s = self._clock() - self._blind_since_s
        if blind_s > LOST_S:
            raise _untold(error, blind_s) from error
        if blind_s >= SILENT_S and not self._told_lost:
            self._told_lost = True
            self._on_lost(f"{error.message}: waiting for it, {LOST_S:.0f} s at most")

    def blindness(self, timeout_s: float) -> HarnessError | None:
        """Why nobody can tell what a run waits for whose time, `timeout_s`, is over; None when somebody can."""
        if self._blinded is None or self._blind_since_s is None:
            return None
        found = _untold(self._blinded, self._clock() - self._blind_since_s)
        found.message = f"the DAG had not ended after {shown_duration(timeout_s)}, and {found.message}"
        return found

    def tell(self) -> None:
        """Report each new state once."""
        for task in self.tasks:
            if task.state is None:
                continue
            if task.queued_at is not None:
                self.first_queued.setdefault(try_of(task), task.queued_at)
            state = (*task.key, task.try_number, task.state)
            if state not in self._told:
                self._told.add(state)
                self._on_task(task, last_pod(self.pods, task))
            if task.state == "deferred" and not self._deferred:
                self._deferred = True
                self._on_deferred()

    def hopeless(self) -> HarnessError | None:
        """The trouble of a task's pod, once it has lasted and Airflow has not dealt with it."""
        if self._blind_since_s is not None:
            return None  # what was seen last may be over
        active = any(task.state in {"queued", "running"} for task in self.tasks)
        if active and (lost := self.nodes.trouble()) is not None:
            return lost
        now_s = self._clock()
        present: set[tuple[str, CauseCode]] = set()
        for task in self.tasks:
            pod = last_pod(self.pods, task) if task.state in {"queued", "running"} else None
            if pod is None or pod.phase == "Succeeded":
                continue
            if pod.unschedulable and self._room is None:
                self._room = self._watch.largest_room()
            events = self._watch.events(pod.name) if _is_slow(pod, task) else ()
            found = trouble(pod, self._room, events)
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

    def outcome(self, run: DagRun, error: HarnessError | None) -> RunOutcome:
        return RunOutcome(run, self.tasks, self.pods, self._room, error)


def _untold(error: HarnessError, blind_s: float) -> HarnessError:
    return HarnessError(
        error.cause,
        f"the cluster told nothing of its pods for {blind_s:.0f} s: {error.message}",
        hint=error.hint,
        evidence=error.evidence,
    )


def _is_slow(pod: Pod, task: TaskInstance) -> bool:
    """Whether a pod has a node and still no container that runs: only then its events are worth a request."""
    return (
        task.state == "queued"
        and pod.phase == "Pending"
        and bool(pod.node)
        and any(container.waiting_reason for container in pod.containers)
    )
