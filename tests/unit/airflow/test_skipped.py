"""Why a task was skipped; the tasks and states are those of Airflow 3.3.2."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from harness.airflow.rest.models import TaskInstance
from harness.airflow.rest.task_definitions import TaskDefinition
from harness.airflow.run.skipped import why_skipped

NOW = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)


def task(name: str, state: str, *, ran: bool = False) -> TaskInstance:
    started = NOW if ran or state == "success" else None
    return TaskInstance(name, -1, state, 1, 0, started_at=started, pod=f"{name}-pod" if started else None)


def define(
    name: str, *downstream: str, operator: str = "@task", rule: str = "all_success", mapped: bool = False
) -> TaskDefinition:
    return TaskDefinition(name, operator, rule, frozenset(downstream), mapped)


def test_mapped_over_nothing() -> None:
    found = why_skipped(
        "evaluate",
        [task("list_models", "success"), task("score", "skipped"), task("evaluate", "skipped")],
        [define("list_models", "score"), define("score", "evaluate", mapped=True), define("evaluate")],
    )
    assert found.reason == (
        "evaluate: its trigger_rule all_success wants all upstream tasks to succeed, and upstream score was skipped "
        "(score is mapped over nothing: list_models returned no elements)"
    )
    assert found.hint.startswith("let list_models return something in this test")
    assert 'trigger_rule="all_done"' in found.hint


def test_a_join_of_two_branches() -> None:
    found = why_skipped(
        "evaluate",
        [
            task("choose", "success"),
            task("promote", "success"),
            task("retrain", "skipped"),
            task("evaluate", "skipped"),
        ],
        [
            define("choose", "promote", "retrain", operator="@task.branch"),
            define("promote", "evaluate"),
            define("retrain", "evaluate"),
            define("evaluate"),
        ],
    )
    assert "upstream retrain was skipped (retrain: the branch choose did not choose it)" in found.reason
    assert (
        found.hint
        == 'give evaluate trigger_rule="none_failed_min_one_success" to run it after the branch that was chosen'
    )


@pytest.mark.parametrize(
    ("operator", "words"),
    [
        ("BranchPythonOperator", "the branch choose did not choose it"),
        ("ShortCircuitOperator", "choose, a short circuit, returned nothing that is true"),
        ("@task.short_circuit", "choose, a short circuit, returned nothing that is true"),
        ("LatestOnlyOperator", "choose lets only the latest scheduled run on"),
    ],
)
def test_who_skips_what_comes_after_it(operator: str, words: str) -> None:
    found = why_skipped(
        "evaluate",
        [task("choose", "success"), task("evaluate", "skipped")],
        [define("choose", "evaluate", operator=operator), define("evaluate")],
    )
    assert words in found.reason


def test_a_task_that_skips_itself_has_a_log() -> None:
    found = why_skipped("evaluate", [task("evaluate", "skipped", ran=True)], [define("evaluate")])
    assert found.has_log
    assert found.hint.startswith("harness logs --task evaluate")


def test_a_rule_that_nobody_satisfied() -> None:
    found = why_skipped(
        "alarm",
        [task("train", "success"), task("alarm", "skipped")],
        [define("train", "alarm"), define("alarm", rule="one_failed")],
    )
    assert found.reason == (
        "alarm: its trigger_rule one_failed wants one upstream task to fail, and upstream there was train success"
    )


def test_without_definitions_little_is_known_and_nothing_fails() -> None:
    assert why_skipped("evaluate", [task("evaluate", "skipped")], []).reason
