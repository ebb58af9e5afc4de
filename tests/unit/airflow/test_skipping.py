"""Tasks that a test leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from harness.airflow.rest.models import TaskInstance
from harness.airflow.run import skipping
from harness.errors import CauseCode, HarnessError
from harness.project.configuration import TestSettings


class Airflow:
    """A run that is held back; what is done to it, in order."""

    def __init__(self, *tasks: tuple[str, int]) -> None:
        self.tasks = tuple(TaskInstance(name, index, None, 0, 0) for name, index in tasks)
        self.done: list[Any] = []

    def task_instances(self, dag_id: str, run_id: str) -> tuple[TaskInstance, ...]:
        return self.tasks

    def set_succeeded(self, dag_id: str, run_id: str, task: TaskInstance) -> None:
        self.done.append(task.label)

    def pause(self, dag_id: str, *, paused: bool) -> None:
        self.done.append(paused)


def start(airflow: Airflow, *skip: str, lacking: bool = False) -> tuple[str, ...]:
    settings = TestSettings(dag="churn", skip=skip)
    return skipping.start(airflow, settings, "run-1", lacking=lacking)  # type: ignore[arg-type]


def test_the_run_begins_once_its_tasks_are_marked() -> None:
    airflow = Airflow(
        ("train", -1), ("deploy", -1), ("notify_mail", 0), ("notify_mail", 1), ("notify_chat", -1)
    )
    assert start(airflow, "deploy", "notify_*") == ("deploy", "notify_chat", "notify_mail")
    assert airflow.done == ["deploy", "notify_mail[0]", "notify_mail[1]", "notify_chat", False]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("deploi", '"deploy"'), ("publish", '"release.publish"'), ("nothing_like_it", "edit `skip`")],
)
def test_a_name_that_is_no_tasks_is_refused_as_that_task_would_run(name: str, hint: str) -> None:
    airflow = Airflow(("train", -1), ("deploy", -1), ("release.publish", -1))
    with pytest.raises(HarnessError, match=f"names '{name}', and DAG churn has no such task") as caught:
        start(airflow, name)
    assert caught.value.cause is CauseCode.CONFIG_INVALID
    assert hint in caught.value.hint
    assert airflow.done == [], "the run must not begin"


def test_the_base_of_a_comparison_may_lack_what_is_new() -> None:
    airflow = Airflow(("train", -1))
    assert start(airflow, "deploy", lacking=True) == ()
    assert airflow.done == [False]


def test_a_pattern_need_not_match() -> None:
    assert start(Airflow(("train", -1)), "notify_*") == ()


def test_something_must_be_left_to_run() -> None:
    airflow = Airflow(("train", -1), ("deploy", -1))
    with pytest.raises(HarnessError, match="leaves DAG churn no task to run"):
        start(airflow, "*")
    assert airflow.done == []
