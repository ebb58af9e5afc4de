"""Following a DAG run to its end, and the runs that it leads to: their tasks, their pods, and what will never start."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import quote

from harness.airflow.autopsy.autopsy import last_pod
from harness.airflow.pods.nodes import NodeWatch
from harness.airflow.pods.pods import Pod, PodWatch, Resources
from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.models import DagRun, TaskInstance
from harness.airflow.run.chain import Chain
from harness.airflow.run.deadline import timed_out, try_of
from harness.airflow.run.pools import PoolQueue
from harness.airflow.run.seen_pods import LOST_S, SeenPods
from harness.airflow.run.watched_run import OnTask, WatchedRun
from harness.errors import CauseCode, HarnessError
from harness.report import format

INTERVAL_S = 0.5
SLOW_INTERVAL_S = 1.0
SLOW_AFTER_S = 60.0

OnPods = Callable[[tuple[Pod, ...]], None]


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended. `error`: why it was given up before it ended; None when Airflow ended it.

    `pods` are all that were seen, in their last state; `children` the runs that it led to, as far as they are followed;
    `first_started` is when a task's first try began, by its key, as Airflow tells of the last try alone.
    """

    run: DagRun
    tasks: tuple[TaskInstance, ...]
    pods: tuple[Pod, ...]
    room: Resources | None = None
    error: HarnessError | None = None
    children: tuple[RunOutcome, ...] = ()
    first_started: Mapping[tuple[str, int], datetime] = field(default_factory=dict)

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
    chain: Chain | None = None,
    retries: int | None = None,
    on_task: OnTask = lambda _task, _pod: None,
    on_pods: OnPods = lambda _pods: None,
    on_deferred: Callable[[], None] = lambda: None,
    on_lost: Callable[[str], None] = lambda _text: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> RunOutcome:
    """Poll a run until it and those of its `chain` end, cannot go on, or `timeout_s` (seconds) is over.

    A task that waits to be tried again ends it too once it has had `retries`; by default Airflow decides that alone.
    `on_task` is called once for each state of each try of a task, `on_pods` each time with all pods so far,
    `on_deferred` once when the first task waits for the triggerer, `on_lost` once when the cluster does not tell of
    its pods, and once when it does again. A pod that can never start, or a pool that can never take a task, ends it in
    seconds, where Airflow waits for minutes or for ever. When the run itself fails, nobody waits for others.
    Raises HarnessError(API_SERVER_LOST, CLUSTER_FAILED) when the api-server or the cluster's does not come back, and
    NODE_NOT_READY when that is because of the node.
    """
    seen = SeenPods(watch, on_lost, clock)
    following = _Following(api, seen, NodeWatch(watch.lost_nodes, clock), chain, clock, timeout_s, retries)
    told_deferred = False
    with api.meanwhile(lambda reason: following.check_without_answer(dag_id, reason)):
        following.begin(dag_id, run_id)
        while True:
            elapsed_s = following.elapsed_s
            following.look(on_task)
            on_pods(seen.all)
            if not told_deferred and following.is_deferred:
                told_deferred = True
                on_deferred()
            if following.has_ended:
                return following.outcome()
            following.check(is_late=elapsed_s > timeout_s)
            if following.error is not None:
                return following.outcome()
            sleep(INTERVAL_S if elapsed_s < SLOW_AFTER_S else SLOW_INTERVAL_S)
            # Before the tasks: once a run has ended, they have their last states.
            following.ask_for_runs()


class _Following:
    """The run of a test, first, and those that it led to."""

    def __init__(
        self,
        api: AirflowApi,
        seen: SeenPods,
        nodes: NodeWatch,
        chain: Chain | None,
        clock: Callable[[], float],
        timeout_s: float,
        retries: int | None,
    ) -> None:
        self.error: HarnessError | None = None
        self.has_ended = False
        self._api = api
        self._seen = seen
        self._nodes = nodes
        self._chain = chain
        self._clock = clock
        self._start_s = clock()
        self._timeout_s = timeout_s
        self._retries = retries
        self._pools = PoolQueue(lambda: api.pools(deadline_s=LOST_S), clock)
        self._runs: list[WatchedRun] = []
        self._asked_input: set[tuple[object, ...]] = set()  # tasks that wait for a person
        self._failing: WatchedRun | None = None
        self._pending: tuple[str, ...] = ()  # DAGs that assets should have started

    @property
    def own(self) -> WatchedRun:
        return self._runs[0]

    @property
    def is_deferred(self) -> bool:
        return any(watched.is_deferred for watched in self._runs)

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._start_s

    def begin(self, dag_id: str, run_id: str) -> None:
        self._runs = [WatchedRun(_run(self._api, dag_id, run_id), self._seen)]

    def ask_for_runs(self) -> None:
        own = self.own
        if not own.run.ended:
            own.run = _run(self._api, *own.run.key)
        if self._chain is not None and (own.run.ended or self._chain.is_due()):
            self._pending = self._chain.pending() if own.run.state == "success" else ()
            self._chain.look(own.run.key, own.tasks)
            self._take(self._chain.runs)
            if self._pending:
                return
        self.has_ended = own.run.ended and (
            own.run.state != "success" or all(watched.run.ended for watched in self._runs)
        )

    def _take(self, runs: tuple[DagRun, ...]) -> None:
        known = {watched.run.key: watched for watched in self._runs}
        for run in runs:
            if run.key in known:
                known[run.key].run = run
            else:
                self._runs.append(WatchedRun(run, self._seen))

    def look(self, on_task: OnTask) -> None:
        """The tasks of all runs that have not ended, or did so since the last look."""
        for watched in self._runs:
            if not watched.is_complete:
                watched.tasks = self._api.task_instances(*watched.run.key, deadline_s=LOST_S)
        self._seen.look(at_last=any(watched.run.ended and not watched.is_complete for watched in self._runs))
        for watched in self._runs:
            watched.tell(on_task)
            watched.is_complete = watched.run.ended
        if self._chain is None and self.own.run.ended:
            self.has_ended = True

    def check(self, *, is_late: bool) -> None:
        """Find out whether it can go on."""
        active = [watched for watched in self._runs if not watched.run.ended]
        for watched in active:
            self.error = watched.tried_enough(self._retries) or self._hopeless(watched)
            if self.error is not None:
                self._failing = watched
                return
        if is_late:
            self._failing = next((watched for watched in reversed(active) if watched.tasks), self.own)
            self.error = self._seen.blindness(self._timeout_s) or self._late(self._failing)

    def check_without_answer(self, dag_id: str, reason: str) -> None:
        """Raises when the api-server is silent for `reason`, and that won't end or the time is over."""
        if (lost := self._nodes.trouble()) is not None:
            raise lost
        if self.elapsed_s > self._timeout_s:
            raise HarnessError(
                CauseCode.API_SERVER_LOST,
                f"DAG {dag_id} had not ended after {format.duration(self._timeout_s)}, and Airflow's api-server does "
                f"not answer: {reason}",
                hint="harness logs",
            )

    def _hopeless(self, watched: WatchedRun) -> HarnessError | None:
        if self._seen.is_blind:
            return self._pools.hopeless(watched.tasks)  # what was seen last of pods may be over
        if watched.is_active and (lost := self._nodes.trouble()) is not None:
            return lost
        return self._in_its_dag(
            watched,
            watched.hopeless(self._clock())
            or self._pools.hopeless(watched.tasks)
            or self._nobody_answers(watched),
        )

    def _nobody_answers(self, watched: WatchedRun) -> HarnessError | None:
        """A task that waits for a person, and has no answer of its own for when none comes."""
        for task in watched.tasks:
            key = (*watched.run.key, *try_of(task))
            if task.state != "awaiting_input" or key in self._asked_input:
                continue
            self._asked_input.add(key)
            path = "dags/{}/dagRuns/{}/taskInstances/{}".format(
                *(quote(part, safe="") for part in (*watched.run.key, task.task_id))
            )
            details = self._api.find(f"{path}/{task.map_index}/hitlDetails", deadline_s=LOST_S)
            if details is not None and not details.get("defaults"):
                return HarnessError(
                    CauseCode.TASK_FAILED,
                    f"task {task.label} waits for a person to answer, and in a test nobody does",
                    hint="name it in `skip` of the test in harness.toml, or give the task `defaults` and an "
                    "execution_timeout, after which they count",
                    task_id=task.task_id,
                )
        return None

    def _late(self, watched: WatchedRun) -> HarnessError:
        return timed_out(
            watched.run.dag_id,
            watched.tasks,
            watched.own_pods,
            self._timeout_s,
            watched.first_queued,
            led_to_by="" if watched is self.own else self.own.run.dag_id,
            pending=self._pending,
        )

    def _in_its_dag(self, watched: WatchedRun, error: HarnessError | None) -> HarnessError | None:
        if error is not None and watched is not self.own:
            error.message = f"DAG {watched.run.dag_id}: {error.message}"
        return error

    def outcome(self) -> RunOutcome:
        own, *children = (
            RunOutcome(
                watched.run,
                watched.tasks,
                watched.own_pods,
                self._seen.room,
                self.error if watched is self._failing else None,
                first_started=watched.first_started,
            )
            for watched in self._runs
        )
        return replace(own, error=self.error, children=tuple(children))


def _run(api: AirflowApi, dag_id: str, run_id: str) -> DagRun:
    run = api.dag_run(dag_id, run_id, deadline_s=LOST_S)
    if run is None:
        raise HarnessError(
            CauseCode.DATABASE_FAILED,
            f"run {run_id} of DAG {dag_id} is gone from Airflow",
            hint="harness status",
        )
    return run
