"""What results tell of a DAG run: how it ended, and when its first task began."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from harness.airflow.rest.models import DagRun, TaskInstance
from harness.airflow.run.following import RunOutcome
from harness.engine.testing.run_result import children_of, state_of, task_phases, tasks_of
from harness.project.configuration import TestSettings

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def outcome(state: str = "running", *tasks: TaskInstance, **more: object) -> RunOutcome:
    run = DagRun("churn", "run-1", state, None, queued_at=NOW, started_at=NOW)
    return RunOutcome(run, tasks, (), **more)  # type: ignore[arg-type]


def waiting(try_number: int) -> TaskInstance:
    return TaskInstance("fit", -1, "up_for_retry", try_number, 2)


@pytest.mark.parametrize(
    ("retries", "try_number", "state", "task_state"),
    [
        (0, 1, "failed", "failed"),
        (1, 1, "running", "up_for_retry"),
        (1, 2, "failed", "failed"),
        (None, 2, "running", "up_for_retry"),
    ],
)
def test_a_run_that_retries_ended_has_failed(
    retries: int | None, try_number: int, state: str, task_state: str
) -> None:
    settings, ended = TestSettings(dag="churn", retries=retries), outcome("running", waiting(try_number))
    assert state_of(settings, ended) == state
    assert [task.state for task in tasks_of(settings, "", ended)] == [task_state]
    above = outcome("running", children=(ended,))
    assert state_of(settings, above) == state
    assert [child.state for child in children_of(settings, "", above)] == [state]


def test_what_airflow_ended_stays_so() -> None:
    above = outcome("success", children=(outcome("running", waiting(1)),))
    assert state_of(TestSettings(dag="churn", retries=0), above) == "success"


def test_the_first_task_began_with_its_first_try() -> None:
    last = TaskInstance("fit", -1, "success", 2, 2, NOW, NOW + timedelta(minutes=5))
    settings = TestSettings(dag="churn")
    assert task_phases(settings, outcome("success", last)) == {"first_task_s": 300.0}
    first = {("fit", -1): NOW + timedelta(seconds=3)}
    assert task_phases(settings, outcome("success", last, first_started=first)) == {"first_task_s": 3.0}


def test_a_task_that_no_pod_runs_stands_where_it_began_and_is_not_the_first_of_user_code() -> None:
    start = TaskInstance("start", -1, "success", 1, 0, None, NOW + timedelta(seconds=1))
    fit = TaskInstance("fit", -1, "success", 1, 0, NOW + timedelta(seconds=2), NOW + timedelta(seconds=6))
    never = TaskInstance("end", -1, "upstream_failed", 0, 0)
    settings, ended = TestSettings(dag="churn"), outcome("failed", never, fit, start)
    assert [task.task_id for task in tasks_of(settings, "", ended)] == ["start", "fit", "end"]
    assert task_phases(settings, ended) == {"first_task_s": 6.0}
