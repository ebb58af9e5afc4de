"""What a DAG's run leads to: which DAGs may run, whose runs are waited for, and which failure is the cause."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.dependencies import AssetQueue, Dependencies
from harness.airflow.rest.models import Dag, DagRun, TaskInstance
from harness.airflow.run.chain import Chain
from harness.airflow.run.following import RunOutcome
from harness.engine.testing.diagnosis import first_failure

NOW = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)


def edges(*pairs: tuple[str, str]) -> dict[str, Any]:
    """As Airflow 3.3 answers /ui/dependencies."""
    return {"nodes": [], "edges": [{"source_id": source, "target_id": target} for source, target in pairs]}


GRAPH = Dependencies.of(
    edges(
        ("dag:root", "trigger:root:left:go_left"),
        ("trigger:root:left:go_left", "dag:left"),
        ("dag:root", "trigger:root:right:go_right"),
        ("trigger:root:right:go_right", "dag:right"),
        ("dag:right", "asset:1"),
        ("asset:1", "dag:fourth"),
        ("asset:2", "dag:stranger"),
        ("dag:root", "sensor:root:watcher:wait"),
        ("sensor:root:watcher:wait", "dag:watcher"),
    )
)


def test_reached_is_what_is_triggered_or_follows_an_asset_and_no_sensor() -> None:
    assert GRAPH.reached_from("root") == {"left", "right", "fourth"}
    assert GRAPH.reached_from("left") == frozenset()
    assert GRAPH.leads_on("right")
    assert not GRAPH.leads_on("fourth")


def test_an_alias_may_become_any_asset() -> None:
    graph = Dependencies.of(edges(("dag:root", "asset-alias:latest"), ("asset:2", "dag:follower")))
    assert graph.reached_from("root") == {"follower"}


def test_a_loop_ends() -> None:
    graph = Dependencies.of(edges(("dag:a", "trigger:a:b:t"), ("trigger:a:b:t", "dag:b"), ("dag:b", "dag:a")))
    assert graph.reached_from("a") == {"a", "b"}


ONE = {"asset": {"uri": "x://one", "name": "one", "group": "asset", "id": 1}}
TWO = {"asset": {"uri": "x://two", "name": "two", "group": "asset", "id": 2}}


@pytest.mark.parametrize(
    ("expression", "changed", "enough"),
    [
        ({"all": [ONE, TWO]}, {"x://one", "one"}, False),
        ({"all": [ONE, TWO]}, {"x://one", "x://two"}, True),
        ({"any": [ONE, TWO]}, {"two"}, True),
        ({"all": [{"any": [ONE, TWO]}, TWO]}, {"one"}, False),
        ({"all": [ONE]}, set(), False),
        ({"asset_ref": {"name": "one"}}, {"one"}, True),
        ("something new", {"one"}, True),
    ],
)
def test_whether_a_run_is_about_to_be_made(expression: Any, changed: set[str], enough: bool) -> None:
    assert AssetQueue(expression, frozenset(changed)).is_enough is enough


@dataclass
class Airflow:
    """A version with these DAGs, all paused but those named, and what was asked of it."""

    unpaused: set[str] = field(default_factory=set)
    runs: list[DagRun] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def dags(self) -> tuple[Dag, ...]:
        names = ("root", "left", "right", "fourth", "stranger", "timed", "watcher")
        return tuple(Dag(name, name not in self.unpaused, f"{name}.py") for name in names)

    def dependencies(self) -> Dependencies:
        return GRAPH

    def dag_runs(self, **_: object) -> tuple[DagRun, ...]:
        return tuple(self.runs)

    def pause(self, dag_id: str, *, paused: bool, **_: object) -> None:
        self.asked.append(("pause" if paused else "unpause", dag_id))

    def empty_asset_queue(self, dag_id: str, **_: object) -> None:
        self.asked.append(("empty", dag_id))

    def cancel(self, dag_id: str, run_id: str, **_: object) -> None:
        self.asked.append(("cancel", dag_id))

    def asset_queue(self, dag_id: str) -> AssetQueue:
        return AssetQueue(ONE, frozenset({"one"} if dag_id == "fourth" else ()))


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def chain(airflow: Airflow, *, follow: bool = True) -> tuple[Chain, Clock]:
    clock = Clock()
    return Chain(cast(AirflowApi, airflow), "root", follow=follow, clock=clock), clock


def run(dag_id: str, state: str, by: str = "operator") -> DagRun:
    return DagRun(dag_id, f"{dag_id}-1", state, None, triggered_by=by)


def task(
    name: str, state: str, after_s: float = 0.0, operator: str = "TriggerDagRunOperator"
) -> TaskInstance:
    ended = NOW + timedelta(seconds=after_s)
    return TaskInstance(name, -1, state, 1, 0, ended_at=ended, operator=operator)


def test_only_what_is_reached_is_unpaused_and_nothing_else_starts() -> None:
    airflow = Airflow(unpaused={"timed"})
    found, _ = chain(airflow)
    found.open()
    assert {name for what, name in airflow.asked if what == "unpause"} == {"left", "right", "fourth"}
    assert ("pause", "timed") in airflow.asked
    assert found.reached == {"left", "right", "fourth"}


def test_a_dag_whose_id_a_task_computed_runs_once_it_has_a_run() -> None:
    airflow = Airflow()
    found, _ = chain(airflow)
    found.open()
    airflow.runs = [run("root", "running", "rest_api"), run("stranger", "queued")]
    found.look(("root", "root-1"), ())
    assert airflow.asked[-1] == ("unpause", "stranger")
    assert [each.dag_id for each in found.runs] == ["stranger"]


def test_what_such_a_dag_leads_to_is_ready_before_it_begins() -> None:
    airflow = Airflow()
    found, _ = chain(airflow)
    found.open()
    airflow.asked.clear()
    found._dependencies = Dependencies.of(edges(("dag:stranger", "asset:9"), ("asset:9", "dag:watcher")))
    airflow.runs = [run("stranger", "queued")]
    found.look(("root", "root-1"), ())
    assert airflow.asked == [("unpause", "watcher"), ("unpause", "stranger")]
    assert "watcher" in found.reached


def test_runs_of_earlier_tests_do_not_count() -> None:
    airflow = Airflow(runs=[run("left", "success")])
    found, _ = chain(airflow)
    found.open()
    assert ("empty", "fourth") in airflow.asked
    found.look(("root", "root-1"), ())
    assert found.runs == ()


def test_without_follow_only_what_the_dag_waits_for_runs_and_nothing_is_told() -> None:
    airflow = Airflow()
    found, clock = chain(airflow, follow=False)
    found.open()
    assert "unpause" not in {what for what, _ in airflow.asked}
    airflow.runs = [run("left", "queued")]
    waiting, gone_on = (task("go", "running"),), (task("train", "running", operator="@task"),)
    found.look(("root", "root-1"), waiting)
    clock.now_s = 6.0
    found.look(("root", "root-1"), gone_on)
    assert ("unpause", "left") not in airflow.asked
    found.look(("root", "root-1"), waiting)
    assert airflow.asked[-1] == ("unpause", "left")
    assert found.runs == ()
    assert found.pending() == ()


def test_an_asset_that_has_changed_is_waited_for() -> None:
    found, _ = chain(Airflow())
    found.open()
    assert found.pending() == ("fourth",)


def test_at_the_end_what_it_led_to_is_paused_and_what_still_runs_is_cancelled() -> None:
    airflow = Airflow()
    found, _ = chain(airflow)
    found.open()
    airflow.runs = [run("left", "running"), run("right", "success")]
    found.look(("root", "root-1"), ())
    airflow.asked.clear()
    found.close()
    assert {dag_id for what, dag_id in airflow.asked if what == "pause"} == {"left", "right", "fourth"}
    assert [dag_id for what, dag_id in airflow.asked if what == "cancel"] == ["left"]


def test_a_dag_that_was_tested_before_can_be_run_by_hand_again() -> None:
    airflow = Airflow(
        unpaused={"stranger", "timed", "left"}, runs=[run("stranger", "success"), run("left", "success")]
    )
    found, _ = chain(airflow)
    found.open()
    assert {("pause", "stranger"), ("pause", "timed")} <= set(airflow.asked)
    airflow.asked.clear()
    found.close()
    assert airflow.asked[-2:] == [("empty", "stranger"), ("unpause", "stranger")]
    assert {name for what, name in airflow.asked if what == "unpause"} == {
        "stranger"
    }  # nobody has tested the other


def outcome(
    dag_id: str, state: str, *tasks: TaskInstance, children: tuple[RunOutcome, ...] = ()
) -> RunOutcome:
    return RunOutcome(run(dag_id, state), tasks, (), children=children)


def test_what_failed_first_is_the_cause_not_who_waited_for_it() -> None:
    child = outcome("left", "failed", task("score", "failed", 5.0))
    parent = outcome("root", "failed", task("go_left", "failed", 9.0), children=(child,))
    assert first_failure(None, parent) == (child, child.tasks[0])


def test_a_child_that_nobody_waited_for_fails_the_test_too() -> None:
    child = outcome("fourth", "failed", task("publish", "failed", 5.0))
    parent = outcome(
        "root", "success", task("go", "success", 1.0), children=(outcome("left", "success"), child)
    )
    assert first_failure(None, parent) == (child, child.tasks[0])
    assert first_failure(None, outcome("root", "success", children=(outcome("left", "success"),))) is None
