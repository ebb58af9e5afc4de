"""Following a DAG run to its end, with an Airflow and a cluster that play back what a test says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from run_samples import NOW, Clock, Running, followed, pod, task, waiting

from harness.airflow.pods.nodes import LostNode, NodeWatch
from harness.airflow.pods.pods import Pod
from harness.airflow.rest.api import AirflowApi
from harness.airflow.run.chain import Chain
from harness.airflow.run.following import follow
from harness.errors import CauseCode, HarnessError


class Pending:
    """What a run leads to: a DAG that its assets should start, and that never is."""

    runs = ()

    def is_due(self) -> bool:
        return True

    def look(self, *_: object) -> None:
        return

    def pending(self) -> tuple[str, ...]:
        return ("reports",)


def test_a_dag_that_assets_should_have_started_is_named_when_the_time_is_over() -> None:
    outcome, _, _, _ = followed(
        Running([("success", [task("fit", "success")], [])]), timeout_s=30.0, chain=cast(Chain, Pending())
    )
    assert outcome.error is not None
    assert outcome.error.cause == CauseCode.RUN_TIMEOUT
    assert outcome.error.message == (
        "DAG good had ended, and DAG reports, which follows its assets, had not been started 30s after that began"
    )


@pytest.mark.parametrize(("retries", "ended_s"), [(0, 0.5), (1, 1.5), (2, None), (None, None)])
def test_a_task_is_tried_as_often_as_the_test_says(retries: int | None, ended_s: float | None) -> None:
    frames = [
        ("running", [task("fit", "running", max_tries=2)], []),
        ("running", [task("fit", "up_for_retry", max_tries=2)], []),
        ("running", [task("fit", "running", try_number=2, max_tries=2)], []),
        ("running", [task("fit", "up_for_retry", try_number=2, max_tries=2)], []),
        ("failed", [task("fit", "failed", try_number=3, max_tries=2)], []),
    ]
    outcome, _, _, seconds = followed(Running(frames), retries=retries)
    if ended_s is None:
        assert outcome.error is None
        assert outcome.run.state == "failed"
        return
    assert outcome.error is not None
    assert (outcome.error.cause, outcome.error.task_id) == (CauseCode.TASK_FAILED, "fit")
    more = "2 more tries" if retries == 0 else "one more try"
    assert outcome.error.message == f"`retries` of the test leaves out {more}"
    assert seconds == ended_s


def test_tells_each_state_of_each_try_once() -> None:
    again = task("fit", "queued", try_number=2, max_tries=1)
    outcome, told, _, _ = followed(
        Running(
            [
                ("running", [task("fit", None)], []),
                ("running", [task("fit", "queued")], []),
                ("running", [task("fit", "queued")], [pod("fit")]),
                ("running", [task("fit", "running")], [pod("fit", phase="Running")]),
                ("running", [task("fit", "up_for_retry")], [pod("fit", phase="Succeeded")]),
                ("running", [again], [pod("fit", phase="Succeeded")]),
                ("success", [replace(again, state="success")], [pod("fit", name="second", try_number=2)]),
            ]
        )
    )
    assert outcome.succeeded
    assert told == [
        "fit/1 queued -",
        "fit/1 running good-fit-x1",
        "fit/1 up_for_retry good-fit-x1",
        "fit/2 queued -",
        "fit/2 success second",
    ]
    assert {entry.name for entry in outcome.pods} == {"good-fit-x1", "second"}


def test_a_first_try_is_known_when_the_last_one_is_over() -> None:
    first = task("fit", "up_for_retry", max_tries=1, started_at=NOW)
    last = replace(first, state="success", try_number=2, started_at=NOW + timedelta(minutes=5))
    outcome, _, _, _ = followed(Running([("running", [first], []), ("success", [last], [])]))
    assert outcome.first_started == {("fit", -1): NOW}
    assert outcome.tasks == (last,)


def test_the_triggerer_is_asked_for_once() -> None:
    wait_state = ("running", [task("a", "deferred"), task("b", "deferred")], [])
    _, _, deferred, _ = followed(Running([("running", [], []), wait_state, wait_state, ("success", [], [])]))
    assert deferred == [0.5]


def test_timeout_says_who_was_running_and_for_how_long() -> None:
    began = datetime.now(UTC) - timedelta(seconds=552)
    tasks = [task("fit", "running", started_at=began), task("later", None), task("other", "queued")]
    outcome, _, _, took_s = followed(Running([("running", tasks, [])]), timeout_s=600)
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.RUN_TIMEOUT
    assert outcome.error.message == "DAG good had not ended after 10m: task fit was running for 9m12s"
    assert outcome.error.evidence == ("task fit: running for 9m12s", "task other: queued")
    assert outcome.error.task_id == "fit"
    assert 600 < took_s < 602


def test_a_cluster_that_stays_away_is_an_error() -> None:
    running = Running([("running", [task("fit", "running")], [])], cluster_is_away=True)
    with pytest.raises(HarnessError, match="told nothing of its pods for 181 s: the cluster does not answer"):
        followed(running)


def test_a_cluster_that_is_away_for_a_while_is_told_once_and_judged_by_nothing() -> None:
    stuck = pod("fit", phase="Pending", containers=waiting("ErrImageNeverPull"))
    clock, told = Clock(), list[tuple[float, str]]()

    class Away(Running):
        def pods(self) -> tuple[Pod, ...]:
            if 1000.5 < clock.now_s < 1020.0:
                raise HarnessError(CauseCode.CLUSTER_FAILED, "the cluster does not answer")
            return tuple(self.frame[2]) if clock.now_s < 1001.0 else ()

        def events(self, name: str) -> tuple[str, ...]:
            assert not 1000.5 < clock.now_s < 1020.0, "nobody answers"
            return ()

    queued = ("running", [task("fit", "queued")], [stuck])
    running = Away([*[queued] * 40, ("success", [task("fit", "success")], [])])
    outcome = follow(
        cast(AirflowApi, running),
        running,
        "good",
        "harness-1",
        timeout_s=600.0,
        on_lost=lambda text: told.append((clock.now_s - 1000.0, text)),
        clock=clock,
        sleep=clock.sleep,
    )
    assert outcome.succeeded
    assert told == [
        (6.0, "the cluster does not answer: waiting for it, 180 s at most"),
        (20.0, "the cluster tells of its pods again"),
    ]


LOST = LostNode("n1", "it is not ready: Kubelet stopped posting node status.", "docker restart n1")


def test_a_lost_node_ends_the_run_once_it_has_lasted() -> None:
    running = Running([("running", [task("fit", "running")], [pod("fit", phase="Running")])], lost=(LOST,))
    outcome, _, _, took_s = followed(running)
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.NODE_NOT_READY
    assert outcome.error.message == f"node n1 was lost: {LOST.reason}"
    assert outcome.error.hint == "docker restart n1"
    assert 15 <= took_s < 22


def test_a_node_that_comes_back_is_not_lost() -> None:
    clock, looks = Clock(), iter([(LOST,), (LOST,), (), (LOST,)] + [()] * 50)
    nodes = NodeWatch(lambda: next(looks), clock)
    for _ in range(60):
        assert nodes.trouble() is None
        clock.sleep(1.0)


def test_between_two_attempts_of_a_request_the_node_and_the_time_are_looked_at() -> None:
    running = Running([("success", [], [])], lost=(replace(LOST, grace_s=0.0),))
    followed(running)
    with pytest.raises(HarnessError, match="node n1 was lost") as raised:
        running.without_answer("HTTP 502")
    assert raised.value.cause is CauseCode.NODE_NOT_READY
    running = Running([("success", [], [])])
    followed(running, timeout_s=-1.0)
    with pytest.raises(HarnessError, match="Airflow's api-server does not answer: HTTP 502") as raised:
        running.without_answer("HTTP 502")
    assert raised.value.cause is CauseCode.API_SERVER_LOST


def test_a_timeout_of_which_the_cluster_tells_nothing_is_the_clusters() -> None:
    running = Running([("running", [task("fit", "running")], [])], cluster_is_away=True)
    outcome, _, _, _ = followed(running, timeout_s=60)
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.CLUSTER_FAILED
    assert "had not ended after 1m, and the cluster told nothing of its pods for" in outcome.error.message


def test_a_sensor_that_is_queued_again_and_again_has_waited_since_the_first_time() -> None:
    began = datetime.now(UTC) - timedelta(seconds=300)
    for last in ("up_for_reschedule", "scheduled", "queued", "running"):
        looks = [
            (
                "running",
                [task("wait", state, operator="_PythonSensor", queued_at=began + timedelta(seconds=n))],
                [],
            )
            for n, state in enumerate(["up_for_reschedule"] * 289 + [last])
        ]
        outcome, _, _, _ = followed(Running(looks), timeout_s=60)
        assert outcome.error is not None
        assert outcome.error.message.endswith("task wait, a sensor, had waited for 5m for what it looks for")
        assert "give the test what the sensor looks for" in (outcome.error.hint or "")


def test_another_task_that_is_rescheduled_has_waited_since_the_first_time_too() -> None:
    began = datetime.now(UTC) - timedelta(seconds=300)
    looks = [
        ("running", [task("wait", "up_for_reschedule", queued_at=began + timedelta(seconds=number))], [])
        for number in range(290)
    ]
    outcome, _, _, _ = followed(Running(looks), timeout_s=60)
    assert outcome.error is not None
    assert outcome.error.message.endswith("task wait was up_for_reschedule for 5m")


def test_a_sensor_that_never_got_its_turn_is_no_sensor_at_work() -> None:
    waits = [("running", [task("wait", "queued", operator="FileSensor")], [])]
    outcome, _, _, _ = followed(Running(waits), timeout_s=60)
    assert outcome.error is not None
    assert "task wait was queued for " in outcome.error.message
