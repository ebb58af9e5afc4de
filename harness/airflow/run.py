"""Following a DAG run to its end: its tasks, their pods, and what will never start."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from harness.airflow.api import AirflowApi
from harness.airflow.autopsy import last_pod
from harness.airflow.models import DagRun, TaskInstance
from harness.airflow.pod_trouble import trouble
from harness.airflow.pods import Pod, PodWatch, Resources
from harness.airflow.pools import PoolQueue
from harness.airflow.redaction import masked
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
    Raises HarnessError(API_SERVER_LOST, CLUSTER_FAILED) when the api-server or the cluster's does not come back.
    """
    view = _View(watch, (dag_id, run_id), on_task, on_deferred, on_lost, clock)
    pools = PoolQueue(lambda: api.pools(deadline_s=LOST_S), clock)
    start_s = clock()
    run = _run(api, dag_id, run_id)
    while True:
        elapsed_s = clock() - start_s
        view.tasks = api.task_instances(dag_id, run_id, deadline_s=LOST_S)
        view.look_at_pods()
        on_pods(view.all_pods)
        view.tell()
        if run.ended:
            return view.outcome(run, None)
        error = view.hopeless() or pools.hopeless(view.tasks)
        if error is None and elapsed_s > timeout_s:
            error = _timeout(dag_id, view.tasks, view.pods, timeout_s)
        if error is not None:
            return view.outcome(run, error)
        sleep(INTERVAL_S if elapsed_s < SLOW_AFTER_S else SLOW_INTERVAL_S)
        run = _run(api, dag_id, run_id)  # before the tasks: once it has ended, they have their last states


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
        self._told_lost = False
        self._room: Resources | None = None

    @property
    def all_pods(self) -> tuple[Pod, ...]:
        """Also those of the version's other runs: before this one, or triggered by it."""
        return tuple(self._pods.values())

    @property
    def pods(self) -> tuple[Pod, ...]:
        return tuple(pod for pod in self.all_pods if (pod.dag_id, pod.run_id) == self._run)

    def look_at_pods(self) -> None:
        """Keep the latest of each pod; one that vanished before its end was deleted."""
        asked_s = self._clock()
        try:
            found = {pod.name: pod for pod in self._watch.pods()}
        except HarnessError as error:
            self._blind(error, asked_s)
            return
        if self._told_lost:
            self._on_lost("the cluster tells of its pods again")
        self._blind_since_s, self._told_lost = None, False
        for name, pod in self._pods.items():
            if name not in found and not pod.ended:
                found[name] = replace(pod, deleted=True)
            else:
                found.setdefault(name, pod)
        self._pods = found

    def _blind(self, error: HarnessError, asked_s: float) -> None:
        self._blind_since_s = asked_s if self._blind_since_s is None else self._blind_since_s
        blind_s = self._clock() - self._blind_since_s
        if blind_s > LOST_S:
            raise HarnessError(
                error.cause,
                f"the cluster told nothing of its pods for {LOST_S:.0f} s: {error.message}",
                hint=error.hint,
                evidence=error.evidence,
            ) from error
        if blind_s >= SILENT_S and not self._told_lost:
            self._told_lost = True
            self._on_lost(f"{error.message}: waiting for it, {LOST_S:.0f} s at most")

    def tell(self) -> None:
        """Report each new state once."""
        for task in self.tasks:
            if task.state is None:
                continue
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
        now_s = self._clock()
        present: set[tuple[str, CauseCode]] = set()
        for task in self.tasks:
            pod = last_pod(self.pods, task) if task.state in {"queued", "running"} else None
            if pod is None or pod.phase == "Succeeded":
                continue
            if pod.unschedulable and self._room is None:
                self._room = self._watch.largest_node()
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


def _is_slow(pod: Pod, task: TaskInstance) -> bool:
    """Whether a pod has a node and still no container that runs: only then its events are worth a request."""
    return (
        task.state == "queued"
        and pod.phase == "Pending"
        and bool(pod.node)
        and any(container.waiting_reason for container in pod.containers)
    )


def _timeout(
    dag_id: str, tasks: Sequence[TaskInstance], pods: Sequence[Pod], timeout_s: float
) -> HarnessError:
    """Who was running, who was waiting and for what, when the time was over."""
    running = [task for task in tasks if task.state == "running"]
    waiting = [task for task in tasks if task.state is not None and not task.ended and task not in running]
    homeless = {
        task: pod.unschedulable for task in waiting if (pod := last_pod(pods, task)) and pod.unschedulable
    }
    lines = [f"task {task.label}: {task.state}{_since(task)}" for task in running]
    lines += [
        f"task {task.label}: {task.state}" + (f", {homeless[task]}" if task in homeless else "")
        for task in waiting
    ]
    head = f"DAG {dag_id} had not ended after {shown_duration(timeout_s)}"
    if not running and homeless:
        task, reason = next(iter(homeless.items()))
        return HarnessError(
            CauseCode.POD_NOT_STARTED,
            f"{head}: task {task.label} never got a node: {reason}",
            hint="harness status shows who uses the cluster; harness down VERSION frees what a version holds",
            evidence=lines,
            task_id=task.task_id,
        )
    first = next(iter([*running, *waiting]), None)
    what = f": task {first.label} was {first.state}{_since(first)}" if first else ": no task had started"
    return HarnessError(
        CauseCode.RUN_TIMEOUT,
        head + what,
        hint="raise `timeout` of the test in harness.toml, or give the test less to do through `conf`",
        evidence=lines,
        task_id=first.task_id if first else None,
    )


def _since(task: TaskInstance) -> str:
    start = task.started_at if task.state == "running" else task.queued_at
    if start is None:
        return ""
    return f" for {shown_duration(max(0.0, (datetime.now(UTC) - start).total_seconds()))}"


def shown_duration(seconds: float) -> str:
    """Seconds as people write them: 45s, 9m12s, 1h05m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s" if rest else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if minutes else f"{hours}h"
