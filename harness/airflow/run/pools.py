"""Tasks that wait for slots of a pool that never come: Airflow leaves them `scheduled` without a word."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.models import Pool, TaskInstance
from harness.errors import CauseCode, HarnessError
from harness.project import airflow_settings

# How long a task may be `scheduled` before its pool is looked at: usually it is for a moment, or until others end.
PATIENCE_S = 15.0


def never(task: TaskInstance, pools: Iterable[Pool]) -> HarnessError | None:
    """Why a task never gets its slots; None when it gets them once others have ended."""
    known = {pool.name: pool.slots for pool in pools}
    slots = known.get(task.pool)
    if slots is None:
        names = ", ".join(sorted(known)) or "none"
        return HarnessError(
            CauseCode.TASK_FAILED,
            f"task {task.label} waits for pool {task.pool!r}, which does not exist",
            hint=f"a version has no pool but {names}: name a file with it in harness.toml, "
            f'[secrets] airflow_settings = "airflow_settings.yaml", which holds '
            f"airflow: {{pools: [{{pool_name: {task.pool}, pool_slot: 1}}]}}",
            task_id=task.task_id,
        )
    if 0 <= slots < task.pool_slots:
        return HarnessError(
            CauseCode.REQUEST_TOO_LARGE,
            f"task {task.label} waits for {task.pool_slots} slots of pool {task.pool!r}, which has {slots}",
            hint="lower the task's `pool_slots`",
            task_id=task.task_id,
        )
    return None


def make(api: AirflowApi, wanted: Iterable[airflow_settings.Pool]) -> None:
    """Make the pools that a project's settings have, or let those that are there have as many slots."""
    for pool in wanted:
        api.set_pool(pool.name, pool.slots, pool.description)


@dataclass
class PoolQueue:
    """Since when tasks are `scheduled`. Pools are asked for once: nothing makes any while a run goes on."""

    ask: Callable[[], tuple[Pool, ...]]
    clock: Callable[[], float]
    _since_s: dict[tuple[str, int, int], float] = field(default_factory=dict)
    _pools: tuple[Pool, ...] | None = None

    def hopeless(self, tasks: Iterable[TaskInstance]) -> HarnessError | None:
        """Why a task that has been `scheduled` for a while will stay so."""
        now_s = self.clock()
        scheduled = {(*task.key, task.try_number): task for task in tasks if task.state == "scheduled"}
        self._since_s = {key: self._since_s.get(key, now_s) for key in scheduled}
        late = [task for key, task in scheduled.items() if now_s - self._since_s[key] >= PATIENCE_S]
        if not late:
            return None
        if self._pools is None:
            self._pools = self.ask()
        return next((error for task in late if (error := never(task, self._pools))), None)
