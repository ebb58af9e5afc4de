"""What the task that a test takes its metrics from handed over."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

from harness.airflow.autopsy.autopsy import root_failure
from harness.airflow.rest import xcom_backend
from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.models import TaskInstance
from harness.airflow.rest.plain_value import plain_value
from harness.airflow.run.following import RunOutcome
from harness.airflow.run.skipped import why_skipped
from harness.errors import CauseCode, HarnessError
from harness.hints import toml_text
from harness.project.configuration import MetricsSource

RETURNED = "return_value"
MOST_NAME = 190  # as long as `name` may be


def failure(source: MetricsSource | None, outcome: RunOutcome) -> TaskInstance | None:
    """The failed task because of which there are no metrics, although the run succeeded: its last tasks decide that."""
    mine = [task for task in outcome.tasks if source and task.task_id == source.task]
    if (failed := root_failure(mine)) is not None:
        return failed
    return root_failure(outcome.tasks) if any(task.state == "upstream_failed" for task in mine) else None


def handed_over(
    api: AirflowApi,
    dag_id: str,
    source: MetricsSource,
    outcome: RunOutcome,
    execute: Callable[[Sequence[str]], str] | None = None,
) -> object:
    """What the metrics task handed over in a run that succeeded.

    `execute`, which runs a program in the control plane, is given where an XCom backend keeps values elsewhere.
    Raises HarnessError: METRICS_MISSING when the DAG has no such task, it was skipped, or it handed over nothing under
    the key; METRICS_INVALID when it is mapped.
    """
    task_id = source.task or ""
    _refuse_unfit(api, dag_id, task_id, outcome.tasks)
    value = api.xcom(dag_id, outcome.run.run_id, task_id, source.key)
    if value is None:
        keys = api.xcom_keys(dag_id, outcome.run.run_id, task_id)
        others = {
            key: other
            for key in keys
            if key != source.key and (other := api.xcom(dag_id, outcome.run.run_id, task_id, key)) is not None
        }
        if source.key != RETURNED or others:
            raise _nothing_under(source, others, is_none=source.key in keys)
    if execute is not None and value is not None:
        raw = api.xcom(dag_id, outcome.run.run_id, task_id, source.key, wrapped=True)
        names = {"key": source.key, "task_id": task_id, "dag_id": dag_id, "run_id": outcome.run.run_id}
        value = plain_value(xcom_backend.read(execute, raw, **names))
    return value if source.name is None else _named(source.name, value)


def _refuse_unfit(api: AirflowApi, dag_id: str, task_id: str, tasks: Sequence[TaskInstance]) -> None:
    """Raises for a task that is not there, was skipped, or is mapped."""
    instances = [task for task in tasks if task.task_id == task_id]
    if not instances:
        ids = sorted({task.task_id for task in tasks})
        # A task in a group has the group's id before its own.
        near = [each for each in ids if each.endswith(f".{task_id}")] or get_close_matches(task_id, ids, n=1)
        raise HarnessError(
            CauseCode.METRICS_MISSING,
            f"DAG {dag_id} has no such task: it has {', '.join(ids)}",
            hint=f"edit `metrics` of the test in harness.toml: {{ task = {toml_text(near[0])} }}"
            if near
            else "edit `metrics` of the test in harness.toml",
        )
    if instances[0].state == "skipped":
        skip = why_skipped(task_id, tasks, api.task_definitions(dag_id))
        raise HarnessError(
            CauseCode.METRICS_MISSING,
            f"it was skipped, so there are no metrics: {skip.reason}",
            hint=skip.hint,
        )
    if len(instances) > 1 or instances[0].map_index >= 0:
        raise HarnessError(
            CauseCode.METRICS_INVALID,
            "it is mapped: which of its instances' numbers count can't be known",
            hint="let a task after it return the numbers, and name that in `metrics` of harness.toml",
        )


def _named(name: str, value: object) -> object:
    """A number under its name; the numbers of a list under it and their places. What is neither stays as it is."""
    if isinstance(value, list):
        return {f"{name}.{place}": entry for place, entry in enumerate(value)}
    return value if value is None or isinstance(value, dict) else {name: value}


def _nothing_under(source: MetricsSource, others: Mapping[str, object], *, is_none: bool) -> HarnessError:
    """`others`: what the task handed over under other keys."""
    instead = (
        f"; its keys are {', '.join(map(repr, list(others)[:10]))}"
        if others
        else ", and nothing under any other"
    )
    handed_over = "it handed over None" if is_none else "it handed over nothing"
    what = "it returned nothing" if source.key == RETURNED else f"{handed_over} under the key {source.key!r}"
    hint = ""
    if others:
        key = next(iter(get_close_matches(source.key, others, n=1)), next(iter(others)))
        settings = {"task": source.task or "", "key": key}
        if isinstance(others[key], int | float | list):
            settings["name"] = source.name or (key if key != RETURNED else source.key)[:MOST_NAME]
        line = ", ".join(f"{name} = {toml_text(text)}" for name, text in settings.items())
        hint = f"edit `metrics` of the test in harness.toml: {{ {line} }}"
    return HarnessError(
        CauseCode.METRICS_MISSING,
        f"{what}{instead}",
        hint=hint
        or (f"harness logs --task {shlex.quote(source.task or '')}: see why it is None" if is_none else "")
        or f"return the numbers from that task, and take `key = {toml_text(source.key)}` out of harness.toml",
    )
