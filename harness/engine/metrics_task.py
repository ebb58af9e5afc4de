"""What the task that a test takes its metrics from handed over."""

from __future__ import annotations

from harness.airflow.api import AirflowApi
from harness.airflow.autopsy import root_failure
from harness.airflow.models import TaskInstance
from harness.airflow.run import RunOutcome
from harness.config import MetricsSource
from harness.errors import CauseCode, HarnessError


def failure(source: MetricsSource | None, outcome: RunOutcome) -> TaskInstance | None:
    """The failed task because of which there are no metrics, although the run succeeded: its last tasks decide that."""
    mine = [task for task in outcome.tasks if source and task.task_id == source.task]
    if (failed := root_failure(mine)) is not None:
        return failed
    return root_failure(outcome.tasks) if any(task.state == "upstream_failed" for task in mine) else None


def handed_over(api: AirflowApi, dag_id: str, source: MetricsSource, outcome: RunOutcome) -> object:
    """What the metrics task handed over in a run that succeeded.

    Raises HarnessError: METRICS_MISSING when the DAG has no such task or it was skipped, METRICS_INVALID when it is
    mapped.
    """
    instances = [task for task in outcome.tasks if task.task_id == source.task]
    if not instances:
        known = ", ".join(sorted({task.task_id for task in outcome.tasks}))
        raise HarnessError(
            CauseCode.METRICS_MISSING,
            f"DAG {dag_id} has no such task: it has {known}",
            hint="edit `metrics` of the test in harness.toml",
        )
    if instances[0].state == "skipped":
        raise HarnessError(
            CauseCode.METRICS_MISSING,
            "it was skipped, so there are no metrics",
            hint=f"harness logs --task {source.task}: see why it was skipped",
        )
    if len(instances) > 1 or instances[0].map_index >= 0:
        raise HarnessError(
            CauseCode.METRICS_INVALID,
            "it is mapped: which of its instances' numbers count can't be known",
            hint="let a task after it return the numbers, and name that in `metrics` of harness.toml",
        )
    return api.xcom(dag_id, outcome.run.run_id, source.task, source.key)
