"""Waiting for a DAG and following its run, with an Airflow and a cluster that play back what a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.airflow.autopsy.pod_trouble import trouble
from harness.airflow.parsing.parsing import wait_for_dag
from harness.airflow.parsing.processor_statistics import ParsedFile, parse_statistics
from harness.airflow.parsing.refused_files import refused_files
from harness.airflow.pods.nodes import LostNode, NodeWatch
from harness.airflow.pods.pods import Container, Pod, Reason, Resources, parse_quantity, shown_bytes
from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.models import Dag, DagImportError, DagRun, Pool, TaskInstance
from harness.airflow.run.chain import Chain
from harness.airflow.run.following import RunOutcome, follow
from harness.errors import CauseCode, HarnessError

NOW = datetime(2026, 11, 22, 19, 43, tzinfo=UTC)

# As Airflow 3.3.2 logs it.
STATISTICS = """\
2026-11-22T19:41:36.831428Z [info     ]
================================================================================
DAG File Processing Stats

Bundle       File Path       PID  Current Duration      # DAGs    # Errors  Last Duration    Last Run At
-----------  ------------  -----  ------------------  --------  ----------  ---------------  -------------------
dags-folder  good.py                                         1           0  0.74s            2026-11-22T19:41:32
dags-folder  two words.py                                    0           1  0.55s            2026-11-22T19:41:31
dags-folder  slow.py          77  3.02s                      0           0
================================================================================ [airflow.dag_processing] loc=1
"""
DONE = STATISTICS.replace(
    "slow.py          77  3.02s                      0           0",
    "slow.py                                         0           0  9.10s            2026-11-22T19:41:41",
)
WHOLE = DONE.replace("0           1  0.55s", "0           0  0.55s")  # no file that is broken


class Clock:
    """Time that passes only while the code under test sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass
class Parsing:
    """The api-server while DAGs are being parsed: each poll sees the next state, the last one for ever."""

    states: Sequence[tuple[Sequence[str], Sequence[DagImportError]]]
    polls: int = 0

    @property
    def state(self) -> tuple[Sequence[str], Sequence[DagImportError]]:
        return self.states[min(self.polls, len(self.states)) - 1]

    def dag(self, dag_id: str) -> Dag | None:
        self.polls += 1
        return Dag(dag_id, True, f"{dag_id}.py") if dag_id in self.state[0] else None

    def dags(self) -> tuple[Dag, ...]:
        return tuple(Dag(dag_id, True, f"{dag_id}.py") for dag_id in self.state[0])

    def import_errors(self) -> tuple[DagImportError, ...]:
        return tuple(self.state[1])


def broken(file: str, line: int = 9) -> DagImportError:
    return DagImportError(
        file,
        "Traceback (most recent call last):\n"
        '  File "/usr/lib/python3/site-packages/airflow/importer.py", line 238, in parse\n'
        "    loader.exec_module(new_module)\n"
        f'  File "/opt/airflow/dags/{file}", line {line}, in <module>\n    import skleran\n'
        "ModuleNotFoundError: No module named 'skleran'\n",
    )


def wait(
    states: Sequence[tuple[Sequence[str], Sequence[DagImportError]]],
    dag_id: str = "good",
    *,
    log: Callable[[], str] | None = lambda: WHOLE,
    sources: dict[str, str] | None = None,
    deadline_s: float = 300.0,
) -> tuple[Any, float]:
    """What wait_for_dag returns or raises, and the seconds it took."""
    clock = Clock()
    try:
        result: Any = wait_for_dag(
            cast(AirflowApi, Parsing(states)),
            dag_id,
            deadline_s=deadline_s,
            processor_log=log,
            read_source=(sources or {}).get,
            clock=clock,
            sleep=clock.sleep,
        )
    except HarnessError as error:
        result = error
    return result, clock.now_s - 1000.0


def test_returns_the_dag_as_soon_as_it_is_there() -> None:
    found, took_s = wait([([], []), (["other"], []), (["other", "good"], [])], log=lambda: "")
    assert found.dag.dag_id == "good"
    assert took_s == 0.5


def test_files_broken_beside_a_good_dag_are_warnings() -> None:
    found, _ = wait([(["good"], [broken("other.py")])])
    assert [error.place for error in found.warnings] == ["other.py:9"]


def test_a_dag_whose_file_also_fails_cannot_run() -> None:
    error, _ = wait([(["good"], [broken("good.py"), broken("other.py")])])
    assert error.cause is CauseCode.DAG_IMPORT_ERROR
    assert error.message.startswith("good.py:9")


def test_an_absent_dag_is_told_once_all_files_are_parsed() -> None:
    logs = iter([STATISTICS, STATISTICS, DONE, DONE])
    error, took_s = wait([(["good", "train"], [])], "goood", log=lambda: next(logs))
    assert error.cause is CauseCode.DAG_NOT_FOUND
    assert "is it 'good'?" in error.message
    assert "DAG train" in error.evidence
    assert took_s == 4.0


def test_an_absent_dag_without_statistics_takes_a_quiet_while() -> None:
    error, took_s = wait([([], []), (["train"], [])], "good", log=None)
    assert error.cause is CauseCode.DAG_NOT_FOUND
    assert took_s == 32.0  # the change is seen by the second look, and 30 s are over at the first one after


def test_the_file_that_names_the_dag_is_the_one_to_blame() -> None:
    sources = {"a.py": "dag_id='no-good'", "b.py": "with DAG('good') as dag: ...", "c.py": "good_enough = 1"}
    error, _ = wait([([], [broken("a.py"), broken("b.py", 4), broken("c.py")])], sources=sources)
    assert error.cause is CauseCode.DAG_IMPORT_ERROR
    assert error.message == "b.py:4 cannot be imported: ModuleNotFoundError: No module named 'skleran'"
    assert error.evidence == ("ModuleNotFoundError: No module named 'skleran'", "  b.py:4 in <module>")


def test_the_only_broken_file_is_to_blame() -> None:
    error, _ = wait([(["train"], [broken("a.py")])])
    assert error.cause is CauseCode.DAG_IMPORT_ERROR
    assert error.message.startswith("a.py:9 cannot be imported")


def test_several_broken_files_that_may_hold_it_are_all_told() -> None:
    error, _ = wait([([], [broken("a.py"), broken("b.py")])])
    assert error.cause is CauseCode.DAG_IMPORT_ERROR
    assert [line.split(":")[0] for line in error.evidence] == ["a.py", "b.py"]


def test_a_misspelt_id_is_not_blamed_on_a_file_that_has_nothing_to_do_with_it() -> None:
    error, _ = wait([(["good"], [broken("a.py")])], "goood", sources={"a.py": "dag_id='other'"})
    assert error.cause is CauseCode.DAG_NOT_FOUND
    assert any("a.py:9" in line for line in error.evidence)


DIED = DONE.replace("0           0  9.10s", "0           1  9.10s")


def test_a_file_whose_process_died_is_known_from_the_statistics_alone() -> None:
    sources = {"slow.py": "import torch\n\n@dag(schedule=None)\ndef train(): ...", "two words.py": "x = 1"}
    error, _ = wait([(["good"], [broken("two words.py")])], "train", log=lambda: DIED, sources=sources)
    assert error.cause is CauseCode.DAG_IMPORT_ERROR
    assert error.message == "slow.py cannot be imported: the process that imported it died"
    assert error.hint.startswith("python slow.py ")


def test_a_file_whose_process_died_and_that_has_nothing_to_do_with_the_dag_is_mentioned() -> None:
    sources = {"slow.py": "dag_id='other'", "two words.py": "x = 1"}
    error, _ = wait([(["good"], [broken("two words.py")])], "goood", log=lambda: DIED, sources=sources)
    assert error.cause is CauseCode.DAG_NOT_FOUND
    assert "cannot be imported: slow.py: the process that imported it died" in error.evidence


def test_parsing_that_never_ends_names_the_file() -> None:
    error, took_s = wait([([], [])], log=lambda: STATISTICS, deadline_s=60)
    assert error.cause is CauseCode.DEPLOY_TIMEOUT
    assert error.evidence == ("not parsed yet: slow.py",)
    assert 60 < took_s < 62


def test_statistics_are_read_by_their_columns() -> None:
    assert parse_statistics(STATISTICS) == (
        ParsedFile("good.py", 1, 0, True),
        ParsedFile("two words.py", 0, 1, True),
        ParsedFile("slow.py", 0, 0, False),
    )
    assert parse_statistics(STATISTICS + DONE) == parse_statistics(DONE)
    cut_short = STATISTICS + DONE[: DONE.index("slow.py")]
    assert parse_statistics(cut_short) == parse_statistics(STATISTICS)
    assert parse_statistics("nothing yet") is None


@given(cut=st.integers(0, len(DONE)), tail=st.text())
def test_a_log_may_end_anywhere(cut: int, tail: str) -> None:
    files = parse_statistics(STATISTICS + DONE[:cut] + tail)
    assert files in (parse_statistics(STATISTICS), parse_statistics(DONE))


REFUSED = """\
2026-11-26T06:36:41Z [error    ] Failed to persist parsing result for sub/nan arg.py in bundle dags-folder; keeping
Traceback (most recent call last):
psycopg2.errors.InvalidTextRepresentation: invalid input syntax for type json
LINE 1: ...3-7303-b935-7d9bc0a74279'::uuid::UUID, 'nan_arg'
DETAIL:  Token "Infinity" is invalid.
"""


def test_a_file_that_airflow_cannot_keep_is_told_at_once_and_of_others_after_a_while() -> None:
    assert refused_files(REFUSED) == {"sub/nan arg.py": 'Token "Infinity" is invalid.'}
    assert refused_files(STATISTICS) == {}
    own, took_s = wait([([], [])], log=lambda: REFUSED, sources={"sub/nan arg.py": "DAG('good')"})
    assert (
        own.message == 'sub/nan arg.py defines a DAG that Airflow cannot keep: Token "Infinity" is invalid.'
    )
    assert own.cause is CauseCode.DAG_IMPORT_ERROR
    assert "finite numbers" in own.hint
    assert took_s == 0.0
    other, took_s = wait([(["train"], [])], log=lambda: REFUSED)
    assert other.message == own.message
    assert 20 < took_s < 24


def task(task_id: str, state: str | None, **more: Any) -> TaskInstance:
    base = TaskInstance(task_id, -1, state, 1, 0, queued_at=NOW - timedelta(seconds=5))
    return replace(base, **more)


def pod(task_id: str, **more: Any) -> Pod:
    made = Pod(
        f"good-{task_id}-x1", "good", "harness-1", task_id, try_number=1, image="demo:abc", created_at=NOW
    )
    return replace(made, **more)


@dataclass
class Running:
    """The api-server and the cluster while a run goes on: each poll sees the next frame."""

    frames: Sequence[tuple[str, Sequence[TaskInstance], Sequence[Pod]]]
    room: Resources | None = None
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    polls: int = 0
    cluster_is_away: bool = False
    asked_for_pools: int = 0
    lost: tuple[LostNode, ...] = ()
    without_answer: Callable[[str], None] = lambda _: None

    @property
    def frame(self) -> tuple[str, Sequence[TaskInstance], Sequence[Pod]]:
        return self.frames[min(self.polls, len(self.frames)) - 1]

    def dag_run(self, dag_id: str, run_id: str, *, deadline_s: float) -> DagRun:
        self.polls += 1
        return DagRun(dag_id, run_id, self.frame[0], None)

    def task_instances(self, dag_id: str, run_id: str, *, deadline_s: float) -> tuple[TaskInstance, ...]:
        return tuple(self.frame[1])

    def pools(self, *, deadline_s: float) -> tuple[Pool, ...]:
        self.asked_for_pools += 1
        return Pool("default_pool", 128), Pool("endless", -1)

    def pods(self) -> tuple[Pod, ...]:
        if self.cluster_is_away:
            raise HarnessError(CauseCode.CLUSTER_FAILED, "the cluster does not answer")
        return tuple(self.frame[2])

    def known_pods(self) -> tuple[Pod, ...]:
        return self.pods()

    def events(self, name: str) -> tuple[str, ...]:
        return self.warnings.get(name, ())

    def largest_room(self) -> Resources | None:
        return self.room

    def lost_nodes(self) -> tuple[LostNode, ...]:
        return self.lost

    @contextmanager
    def meanwhile(self, ask: Callable[[str], None]) -> Iterator[None]:
        self.without_answer = ask
        yield


class Pending:
    """What a run leads to: a DAG that its assets should start, and that never is."""

    runs = ()

    def is_due(self) -> bool:
        return True

    def look(self, *_: object) -> None:
        return

    def pending(self) -> tuple[str, ...]:
        return ("reports",)


def followed(
    running: Running,
    timeout_s: float = 600.0,
    retries: int | None = None,
    chain: Chain | None = None,
) -> tuple[RunOutcome, list[str], list[float], float]:
    """The outcome, the states that were told, when a task was deferred, and the seconds it took."""
    clock, told, deferred = Clock(), list[str](), list[float]()
    outcome = follow(
        cast(AirflowApi, running),
        running,
        "good",
        "harness-1",
        timeout_s=timeout_s,
        chain=chain,
        retries=retries,
        on_task=lambda task, pod: told.append(
            f"{task.label}/{task.try_number} {task.state} {pod.name if pod else '-'}"
        ),
        on_deferred=lambda: deferred.append(clock.now_s - 1000.0),
        clock=clock,
        sleep=clock.sleep,
    )
    return outcome, told, deferred, clock.now_s - 1000.0


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


def waiting(reason: str, message: str = "") -> tuple[Container, ...]:
    return (Container("base", waiting=Reason(reason, message)),)


HOPELESS = {
    "image": (
        pod("fit", node="n", containers=waiting("ErrImageNeverPull", "not present")),
        CauseCode.IMAGE_NOT_STARTABLE,
        "demo:abc",
    ),
    "no python": (
        pod("fit", node="n", phase="Failed", containers=(Container("base", ended=Reason("StartError")),)),
        CauseCode.IMAGE_NOT_STARTABLE,
        "does not start",
    ),
    "secret": (
        pod("fit", node="n", containers=waiting("CreateContainerConfigError", 'secret "s" not found')),
        CauseCode.POD_NOT_STARTED,
        'secret "s" not found',
    ),
    "too large": (
        pod("fit", unschedulable="1 Insufficient memory", requests=Resources(0.1, 64 * 2**30)),
        CauseCode.REQUEST_TOO_LARGE,
        "64Gi of memory, and the largest node has 2 CPU, 24Gi",
    ),
}


NODE = {
    "cpu": "2",
    "memory": "24Gi",
    "ephemeral-storage": "100Gi",
    "hugepages-1Gi": "0",
    "hugepages-2Mi": "0",
    "pods": "110",
}


@pytest.mark.parametrize(
    ("requests", "text", "hint"),
    [
        ({"nvidia.com/gpu": "1"}, "it requests 1 nvidia.com/gpu, and the largest node has 2 CPU", "no node"),
        ({"nvidia.com/gpu": "1"}, "0 nvidia.com/gpu", "take nvidia.com/gpu out of"),
        ({"ephemeral-storage": "200Gi"}, "24Gi of memory, 100Gi of ephemeral-storage", "lower the requests"),
        ({"hugepages-2Mi": "1Gi"}, "0 of hugepages-2Mi", "take hugepages-2Mi out of"),
    ],
)
def test_what_no_node_has_is_told_within_seconds(requests: dict[str, str], text: str, hint: str) -> None:
    (name,) = requests
    found = pod(
        "fit",
        unschedulable=f"0/1 nodes are available: 1 Insufficient {name}.",
        requests=Resources.of(requests),
    )
    running = Running([("running", [task("fit", "queued")], [found])], room=Resources.of(NODE))
    outcome, _, _, took_s = followed(running)
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.REQUEST_TOO_LARGE
    assert text in outcome.error.message
    assert hint in outcome.error.hint
    assert took_s <= 10


def test_a_resource_that_others_hold_now_is_waited_for() -> None:
    requests = Resources.of({"cpu": "1", "ephemeral-storage": "10Gi", "example.com/fpga": "1"})
    room = Resources.of({**NODE, "example.com/fpga": "1"})
    full = pod("fit", unschedulable="1 Insufficient example.com/fpga.", requests=requests)
    outcome, _, _, _ = followed(
        Running([("running", [task("fit", "queued")], [full])], room=room), timeout_s=30
    )
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.POD_NOT_STARTED


@pytest.mark.parametrize(("found", "cause", "text"), HOPELESS.values(), ids=HOPELESS)
def test_a_pod_that_cannot_start_ends_the_run_within_seconds(found: Pod, cause: CauseCode, text: str) -> None:
    running = Running([("running", [task("fit", "queued")], [found])], room=Resources(2.0, 24 * 2**30))
    outcome, _, _, took_s = followed(running)
    assert outcome.error is not None
    assert outcome.error.cause is cause
    assert outcome.error.task_id == "fit"
    assert text in outcome.error.message
    assert took_s <= 10


def test_a_pod_that_no_node_may_take_is_given_a_moment_longer() -> None:
    selector = pod("fit", unschedulable="0/1 nodes are available: 1 node(s) didn't match node selector.")
    outcome, _, _, took_s = followed(Running([("running", [task("fit", "queued")], [selector])]))
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.POD_NOT_STARTED
    assert 20 <= took_s <= 21


def test_trouble_that_passes_is_no_trouble() -> None:
    bad = pod("fit", node="n", containers=waiting("ErrImagePull"))
    good = pod("fit", node="n", phase="Running")
    frames = [("running", [task("fit", "queued")], [bad])] * 8
    frames += [("running", [task("fit", "running")], [good])] * 8
    frames += [("running", [task("fit", "queued")], [bad])] * 8 + [("success", [], [])]
    outcome, _, _, _ = followed(Running(frames))
    assert outcome.succeeded


def test_waiting_for_room_is_patient_until_the_timeout() -> None:
    full = pod("fit", unschedulable="0/1 nodes are available: 1 Insufficient cpu.", requests=Resources(1.0))
    running = Running([("running", [task("fit", "queued")], [full])], room=Resources(2.0, 2**30))
    outcome, _, _, took_s = followed(running, timeout_s=90)
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.POD_NOT_STARTED
    assert "Insufficient cpu" in outcome.error.message
    assert took_s > 90


def test_a_volume_that_cannot_be_mounted_is_told_by_its_event() -> None:
    stuck = pod("fit", node="n", containers=waiting("ContainerCreating"))
    running = Running(
        [("running", [task("fit", "queued")], [stuck])],
        warnings={stuck.name: ('MountVolume.SetUp failed: configmap "x" not found',)},
    )
    outcome, _, _, took_s = followed(running)
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.POD_NOT_STARTED
    assert 'configmap "x" not found' in outcome.error.message
    assert 20 <= took_s < 22


def test_a_configmap_that_the_kubelet_has_not_heard_of_yet_is_waited_for() -> None:
    late = Container(
        "base",
        waiting=Reason(
            "CreateContainerConfigError",
            "failed to sync configmap cache: timed out waiting for the condition",
        ),
    )
    assert trouble(pod("fit", containers=(late,)), None) is None
    missing = replace(late, waiting=replace(late.waiting, message='configmap "x" not found'))
    assert trouble(pod("fit", containers=(missing,)), None) is not None


def test_a_pod_that_vanished_was_deleted() -> None:
    alive = pod("fit", node="n", phase="Running")
    frames = [
        ("running", [task("fit", "running")], [alive]),
        ("failed", [task("fit", "failed")], []),
    ]
    outcome, _, _, _ = followed(Running(frames))
    assert [entry.deleted for entry in outcome.pods] == [True]
    assert outcome.error is None


def test_the_pods_of_other_runs_are_no_pods_of_its_tasks_of_the_same_names() -> None:
    before = pod("fit", name="other-dag", dag_id="other", phase="Failed")
    triggered = pod("fit", name="other-run", run_id="triggered", phase="Running")
    outcome, told, _, _ = followed(
        Running([("failed", [task("fit", "failed")], [before, triggered])]),
    )
    assert outcome.pods == ()
    assert told == ["fit/1 failed -"]


def test_a_pod_that_ended_and_was_cleaned_up_was_not_deleted() -> None:
    ended = pod("fit", node="n", phase="Succeeded")
    outcome, _, _, _ = followed(
        Running([("running", [task("fit", "running")], [ended]), ("success", [task("fit", "success")], [])])
    )
    assert [entry.deleted for entry in outcome.pods] == [False]


@pytest.mark.parametrize(
    ("wanted", "cause", "text", "hint"),
    [
        (
            {"pool": "gpu"},
            CauseCode.TASK_FAILED,
            "task fit waits for pool 'gpu', which does not exist",
            "no pool but default_pool, endless",
        ),
        (
            {"pool_slots": 129},
            CauseCode.REQUEST_TOO_LARGE,
            "task fit waits for 129 slots of pool 'default_pool', which has 128",
            "pool_slots",
        ),
    ],
)
def test_a_pool_that_can_never_take_a_task(
    wanted: dict[str, Any], cause: CauseCode, text: str, hint: str
) -> None:
    running = Running([("running", [task("fit", "scheduled", **wanted), task("other", "running")], [])])
    outcome, _, _, took_s = followed(running)
    assert outcome.error is not None
    assert (outcome.error.cause, outcome.error.message, outcome.error.task_id) == (cause, text, "fit")
    assert hint in outcome.error.hint
    assert 15 <= took_s <= 16


def test_a_pool_that_is_full_is_waited_for() -> None:
    many = task("other", "scheduled", pool="endless", pool_slots=999)
    running = Running([("running", [task("fit", "scheduled", pool_slots=128), many], [])])
    outcome, _, _, _ = followed(running, timeout_s=60)
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.RUN_TIMEOUT
    assert running.asked_for_pools == 1


def test_a_task_that_is_scheduled_for_a_moment_is_no_reason_to_ask() -> None:
    frames = [("running", [task("fit", "scheduled", pool="gpu")], [])] * 20
    frames += [("running", [task("fit", "scheduled", pool="gpu", try_number=2)], [])] * 20
    running = Running([*frames, ("success", [], [])])
    assert followed(running)[0].succeeded
    assert running.asked_for_pools == 0


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


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("EvictionByEvictionAPI", CauseCode.POD_EVICTED),
        ("PreemptionByScheduler", CauseCode.POD_EVICTED),
        ("DeletionByTaintManager", CauseCode.NODE_NOT_READY),
    ],
)
def test_what_the_cluster_did_on_purpose_is_no_deletion_by_someone(reason: str, code: CauseCode) -> None:
    manifest = {
        "metadata": {"name": "p", "deletionTimestamp": "2026-11-22T19:42:50Z"},
        "spec": {"containers": [{"name": "base"}], "nodeName": "n1"},
        "status": {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason}]},
    }
    found = trouble(Pod.of(manifest))
    assert found is not None
    assert found.error.cause is code
    assert trouble(replace(Pod.of(manifest), phase="Succeeded")) is None


def test_a_scheduler_that_is_not_there_and_a_deadline_of_the_pods_own() -> None:
    lonely = trouble(pod("fit", scheduler="gpu-scheduler"))
    assert lonely is not None
    assert "it asks for the scheduler gpu-scheduler" in lonely.error.message
    late = trouble(pod("fit", phase="Failed", reason="DeadlineExceeded", node="n1"))
    assert late is not None
    assert late.error.cause is CauseCode.TASK_FAILED
    assert "activeDeadlineSeconds" in late.error.hint


def test_what_is_left_of_a_node() -> None:
    node = Resources.of({"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"})
    left = node.without(Resources.of({"cpu": "950m", "memory": "1Gi"})).without(Resources.of({"cpu": "3"}))
    assert str(left) == "0 CPU, 3Gi of memory, 1 nvidia.com/gpu"
    assert Resources().without(node) == Resources()


MANIFEST = {
    "metadata": {
        "name": "good-fit-7h2k",
        "creationTimestamp": "2026-11-22T19:42:50Z",
        "annotations": {
            "dag_id": "good",
            "run_id": "harness-1",
            "task_id": "fit",
            "try_number": "2",
            "map_index": "3",
        },
    },
    "spec": {
        "nodeName": "harness-control-plane",
        "containers": [
            {"name": "sidecar", "image": "other:1"},
            {
                "name": "base",
                "image": "demo:abc",
                "resources": {
                    "requests": {"cpu": "100m", "memory": "256Mi"},
                    "limits": {"memory": "2Gi", "ephemeral-storage": "10Gi"},
                },
            },
        ],
    },
    "status": {
        "phase": "Failed",
        "containerStatuses": [
            {
                "name": "base",
                "image": "demo:abc",
                "imageID": "sha256:1234",
                "state": {
                    "terminated": {
                        "exitCode": 137,
                        "reason": "OOMKilled",
                        "startedAt": "2026-11-22T19:42:52Z",
                        "finishedAt": "2026-11-22T19:43:00Z",
                    }
                },
            }
        ],
    },
}


def test_reads_a_pod_from_the_clusters_json() -> None:
    found = Pod.of(MANIFEST)
    assert found.key == ("fit", 3, 2)
    assert (found.dag_id, found.run_id, found.node) == ("good", "harness-1", "harness-control-plane")
    assert found.base is not None
    assert (found.base.ended.reason, found.base.exit_code) == ("OOMKilled", 137)
    assert (found.image, found.image_id) == ("demo:abc", "sha256:1234")
    assert found.requests == Resources(0.1, 256 * 2**20)
    assert found.limits == Resources(None, 2 * 2**30, (("ephemeral-storage", 10 * 2.0**30),))
    assert found.ended
    assert not found.deleted
    assert found.started_at is not None
    assert found.ended_at is not None
    assert (found.ended_at - found.started_at).total_seconds() == 8


def test_a_pod_asks_for_what_its_containers_do_together() -> None:
    def container(name: str, **requests: str) -> dict[str, Any]:
        return {"name": name, "image": "demo:abc", "resources": {"requests": requests}}

    spec = {
        "initContainers": [
            container("fetch", cpu="3", **{"ephemeral-storage": "1Gi"}),
            container("proxy", memory="1Gi") | {"restartPolicy": "Always"},
            container("check", memory="2Gi"),
        ],
        "containers": [
            container("base", cpu="1", memory="256Mi", **{"nvidia.com/gpu": "1"}),
            container("exporter", cpu="500m", memory="256Mi", **{"nvidia.com/gpu": "1"}),
        ],
    }
    others = (("ephemeral-storage", 2.0**30), ("nvidia.com/gpu", 2.0))
    assert Pod.of(MANIFEST | {"spec": spec}).requests == Resources(3.0, 3.0 * 2**30, others)


def test_reads_a_pod_that_no_node_takes() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    status = {"phase": "Pending", "conditions": [condition]}
    spec = {"containers": [{"name": "base", "image": "demo:abc"}]}
    found = Pod.of(MANIFEST | {"spec": spec, "status": status})
    assert found.unschedulable == "0/1 nodes"
    assert found.base is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("250m", 0.25),
        ("2", 2.0),
        ("1.5Gi", 1.5 * 2**30),
        ("64Mi", 2**26),
        ("1G", 1e9),
        ("2e3", 2e3),
        (4, 4.0),
    ],
)
def test_quantities(text: str | int, number: float) -> None:
    assert parse_quantity(text) == number


@given(st.text())
def test_quantities_are_numbers_or_refused(text: str) -> None:
    try:
        assert parse_quantity(text) >= 0
    except ValueError:
        return


@given(st.integers(1, 2**50))
def test_shown_bytes_stay_close(number: int) -> None:
    assert parse_quantity(shown_bytes(number)) == pytest.approx(number, rel=0.01)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (
            pod("fit", phase="Pending", unschedulable="0/1 nodes: Insufficient cpu"),
            "0/1 nodes: Insufficient cpu",
        ),
        (pod("fit", phase="Pending", containers=waiting("ImagePullBackOff")), "ImagePullBackOff"),
        (pod("fit", phase="Pending", containers=waiting("ContainerCreating")), ""),
        (pod("fit", phase="Running"), ""),
    ],
)
def test_what_a_pod_waits_for(found: Pod, reason: str) -> None:
    assert found.waits_for == reason
