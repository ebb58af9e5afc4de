"""What the run of a test leads to: runs of other DAGs, which its tasks trigger, or the assets that they produce."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.dependencies import Dependencies
from harness.airflow.rest.models import DagRun, TaskInstance
from harness.errors import HarnessError

CLOSE_S = 5.0  # for each request at the end, when the verdict is all but known
LOOK_S = 1.0  # between two looks at all runs of the version
SELDOM_S = 5.0  # the same where nothing that is known of the DAG leads to another
WAITED_FOR_S = 5.0  # a task that has triggered a run, and goes on for that long, waits for it
_WAITING = frozenset({"running", "deferred", "up_for_reschedule"})


class Chain:
    """The runs that follow a test's own. In a version every DAG but those that a test needs is paused.

    `follow`: all that follow run, and are told. Without it only those run that the tested DAG itself waits for.
    `beside`: other runs of the tested DAG go at the same time: they do not follow.
    """

    def __init__(
        self,
        api: AirflowApi,
        dag_id: str,
        *,
        follow: bool,
        beside: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.follow = follow
        self.reached: frozenset[str] = frozenset()
        self._beside = beside
        self._api = api
        self._dag_id = dag_id
        self._clock = clock
        self._dependencies = Dependencies()
        self._paused: set[str] = set()
        self._known: set[tuple[str, str]] = set()  # runs of earlier tests
        self._tested: set[str] = set()  # DAGs of earlier tests, which were not paused
        self._runs: dict[tuple[str, str], DagRun] = {}
        self._seen_s: dict[tuple[str, str], float] = {}
        self._looked_s: float | None = None

    @property
    def runs(self) -> tuple[DagRun, ...]:
        """Those that follow, as they were seen last, the oldest first."""
        return tuple(self._runs.values()) if self.follow else ()

    def open(self) -> None:
        """Let those run that the tested DAG leads to, and no other."""
        dags = self._api.dags()
        if self.follow:
            self._dependencies = self._api.dependencies()
            reached = self._dependencies.reached_from(self._dag_id)
            self.reached = reached & {dag.dag_id for dag in dags} - {self._dag_id}
        self._known = {run.key for run in self._api.dag_runs()}
        self._tested.clear()
        for dag in dags:
            if self._known:  # what an earlier test left counts for nothing
                self._api.empty_asset_queue(dag.dag_id)
            if dag.dag_id == self._dag_id:
                continue  # whoever makes its run lets it run
            if dag.dag_id in self.reached:
                self._api.pause(dag.dag_id, paused=False)
            else:
                if not dag.is_paused:  # by its own is_paused_upon_creation, or an earlier test's
                    self._api.pause(dag.dag_id, paused=True)
                    self._tested |= {dag.dag_id} & {dag_id for dag_id, _ in self._known}
                self._paused.add(dag.dag_id)

    def is_due(self) -> bool:
        """Whether it is time to look for runs again."""
        pause_s = LOOK_S if self.reached or self._runs else SELDOM_S
        return self._looked_s is None or self._clock() - self._looked_s >= pause_s

    def look(self, own: tuple[str, str], tasks: tuple[TaskInstance, ...]) -> None:
        """See which runs there are beside the test's `own`, whose tasks are in these states, and let them run."""
        self._looked_s = self._clock()
        for run in self._api.dag_runs():
            sibling = self._beside and run.dag_id == self._dag_id
            if run.key in self._known or run.key == own or sibling:
                continue
            self._runs[run.key] = run
            since_s = self._looked_s - self._seen_s.setdefault(run.key, self._looked_s)
            if run.dag_id not in self._paused or run.ended:
                continue
            if self.follow or (since_s >= WAITED_FOR_S and any(map(_may_wait, tasks))):
                self._let_run(run.dag_id)

    def _let_run(self, dag_id: str) -> None:
        """A DAG that nobody knew of, since a task computed its id; what it leads to is ready before it begins."""
        if self.follow:
            further = (self._dependencies.reached_from(dag_id) & self._paused) - {dag_id}
            self.reached |= further
            for each in sorted(further):
                self._api.pause(each, paused=False)
            self._paused -= further
        self._api.pause(dag_id, paused=False)
        self._paused.discard(dag_id)

    def pending(self) -> tuple[str, ...]:
        """The DAGs of which assets are about to trigger a run that is not there yet."""
        asked = sorted(self.reached) if self.follow else ()
        return tuple(dag_id for dag_id in asked if self._api.asset_queue(dag_id).is_enough)

    def close(self) -> None:
        """Leave nothing that could run beside a later test. What can't be had any more is done without.

        Tested DAGs are not paused in the end: whoever looks at a version that is kept can run them.
        """
        with suppress(HarnessError):
            led_to = self.reached | {run.dag_id for run in self._runs.values()}
            for dag_id in led_to - {self._dag_id}:
                self._api.pause(dag_id, paused=True, deadline_s=CLOSE_S)
            for run in self._api.dag_runs(deadline_s=CLOSE_S) if self._runs else ():
                if run.key not in self._known and run.dag_id != self._dag_id and not run.ended:
                    self._api.cancel(run.dag_id, run.run_id, deadline_s=CLOSE_S)
            for dag_id in sorted(self._tested - led_to):
                self._api.empty_asset_queue(dag_id, deadline_s=CLOSE_S)  # or it would run at once
                self._api.pause(dag_id, paused=False, deadline_s=CLOSE_S)


def _may_wait(task: TaskInstance) -> bool:
    return task.state in _WAITING and "trigger" in (task.operator or "").lower()
