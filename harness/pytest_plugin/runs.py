"""A DAG run as a test sees it: its metrics, tasks, XComs and logs, and why it failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.pytest_plugin.open_version import OpenVersion
    from harness.report.model import Cause, TaskResult, TestResult

AUTOPSIES = pytest.StashKey[list[tuple[str, str]]]()


class DagRunFailed(AssertionError):  # noqa: N818  named as Airflow names it
    """A DAG run that did not succeed. Its message is the cause; the autopsy is in the test's report."""


@dataclass(frozen=True)
class Run:
    """A DAG run that has ended.

    `metrics`: the numbers by name. `tasks`: by task id, mapped ones as `task[0]`. `state`: as Airflow has it.
    """

    result: TestResult
    metrics: Mapping[str, float]
    tasks: Mapping[str, TaskResult]
    version: OpenVersion

    @classmethod
    def of(cls, result: TestResult, version: OpenVersion) -> Run:
        """From what the engine tells of it."""
        return cls(
            result,
            {name: metric.value for name, metric in result.metrics.items() if metric.value is not None},
            {_label(task): task for task in result.tasks},
            version,
        )

    @property
    def state(self) -> str | None:
        return self.result.state

    @property
    def run_id(self) -> str | None:
        return self.result.run_id

    @property
    def cause(self) -> Cause | None:
        return self.result.cause

    def xcom(self, task: str, key: str = "return_value", map_index: int = -1) -> Any:  # noqa: ANN401
        """What a task handed over, as a Python value; None when it handed over nothing."""
        return self.version.airflow.xcom(self.result.dag_id, self.run_id or "", task, key, map_index)

    def logs(self, task: str, map_index: int = -1) -> str:
        """What a task's last try printed. Raises KeyError for a task that the run has not."""
        from harness.airflow.logs.task_log import readable

        found = self.tasks[task if map_index < 0 else f"{task}[{map_index}]"]
        log = self.version.airflow.task_log(
            self.result.dag_id, self.run_id or "", task, found.try_number, map_index
        )
        return readable(log)


def checked(run: Run, item: pytest.Item) -> Run:
    """The run when it succeeded; else its autopsy goes into the test's report, and DagRunFailed is raised."""
    cause = run.cause
    if cause is None:
        return run
    report(item, f"harness: DAG run {run.run_id} of {run.result.dag_id}", autopsy(run.result))
    raise DagRunFailed(cause.message)


def report(item: pytest.Item, title: str, text: str) -> None:
    """Put a section into the report of a test that fails."""
    item.stash.setdefault(AUTOPSIES, []).append((title, text))


def autopsy(result: TestResult) -> str:
    """Why a test failed, in the words of `harness test`."""
    cause = result.cause
    if cause is None:
        return ""
    lines = [f"cause: {cause.message} ({cause.code})", *(f"  {line}" for line in cause.evidence)]
    lines += [f"  {_label(task)}: {task.state}" for task in result.tasks]
    return "\n".join([*lines, "", f"hint: {cause.hint}"] if cause.hint else lines)


def _label(task: TaskResult) -> str:
    return task.task_id if task.map_index < 0 else f"{task.task_id}[{task.map_index}]"
