"""One test of one version: what its run, its numbers and its failures come to."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from harness.airflow.pods.pods import Container, Pod, Reason
from harness.airflow.rest.models import AuditEvent, Dag, DagImportError, DagRun, TaskInstance
from harness.airflow.rest.task_definitions import TaskDefinition
from harness.airflow.run.following import RunOutcome
from harness.engine.testing import dag_test, diagnosis, run_result
from harness.errors import CauseCode, HarnessError
from harness.progress import Silent
from harness.project.configuration import Gate, MetricsSource, TestSettings
from harness.project.places import CodeFiles
from harness.report.model import TestResult

NOW = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)


class Airflow:
    """A run of one DAG whose metrics task handed over `value`, and `other` under other keys."""

    def __init__(
        self, value: object = None, log: str = "", keys: tuple[str, ...] = (), other: object = 1
    ) -> None:
        self.value = value
        self.other = other
        self.keys = keys
        self.log = log
        self.asked: list[tuple[str, ...]] = []

    def task_definitions(self, dag_id: str) -> tuple[TaskDefinition, ...]:
        return (TaskDefinition("train"),)

    def dags(self) -> tuple[Dag, ...]:
        return (Dag("churn", is_paused=False, file="churn.py"),)

    def cancel(self, dag_id: str, run_id: str) -> None:
        self.asked.append(("cancel", dag_id))

    def xcom_keys(self, *_: object) -> tuple[str, ...]:
        return self.keys

    def task_log(self, *_: object) -> str:
        return self.log

    def audit_events(self, *_: object) -> tuple[AuditEvent, ...]:
        return ()

    def dagrun_timeout_s(self, dag_id: str) -> float:
        return 2.0

    def xcom(self, *key: str) -> object:
        self.asked.append(key)
        return self.value if key[3] == self.asked[0][3] else self.other


PARSED = """\
harness-definitions {}
================================================================================
DAG File Processing Stats

Bundle       File Path    PID    Current Duration    # DAGs    # Errors    Last Duration    Last Run At
-----------  -----------  -----  ------------------  --------  ----------  ---------------  -------------------
dags-folder  churn.py                                       1           0  0.74s            2026-11-22T19:41:32
================================================================================
"""


class Pods:
    """A namespace whose dag-processor has parsed one file, which is all that was logged."""

    def watched(self) -> AbstractContextManager[Pods]:
        return nullcontext(self)

    def component_log(self, component: str, *, tail_lines: int) -> str:
        return PARSED

    def log(self, pod: str, container: str, *, tail_lines: int) -> str:
        return f"{container} of {pod} has nothing to read\n"


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TestResult]:
    """Judge a run that ended: dag_test.run without the waiting."""
    monkeypatch.setattr(dag_test, "_parse", lambda *_: None)

    def judged(
        airflow: Airflow,
        *tasks: tuple[str, int],
        gates: dict[str, Gate] | None = None,
        metrics: MetricsSource | None = MetricsSource(task="evaluate"),  # noqa: B008
        error: HarnessError | None = None,
        pods: tuple[Pod, ...] = (),
        state: str = "success",
        states: dict[str, str] | None = None,
    ) -> TestResult:
        monkeypatch.setattr(diagnosis, "oom_kills", lambda _: None)
        instances = tuple(
            TaskInstance(
                name, index, (states or {}).get(name, "success"), 1, 0, NOW, NOW + timedelta(seconds=2)
            )
            for name, index in tasks
        )
        ended = NOW + timedelta(seconds=3)
        run = DagRun("churn", "run-1", state, None, queued_at=NOW, started_at=NOW, ended_at=ended)
        outcome = RunOutcome(run=run, tasks=instances, pods=pods, error=error)
        monkeypatch.setattr(dag_test, "_followed", lambda *_: outcome)
        settings = TestSettings(dag="churn", metrics=metrics, gates=gates or {})
        wanted = dag_test.DagTest(
            api=airflow,  # type: ignore[arg-type]
            pods=Pods(),  # type: ignore[arg-type]
            name="churn",
            settings=settings,
            logical_date=NOW,
            dags_folder="dags",
            read_source=lambda _: None,
        )
        return dag_test.run(wanted, Silent())

    return judged


RAISED = json.dumps(
    {
        "event": "Task failed with exception",
        "level": "error",
        "error_detail": [{"exc_type": "ValueError", "exc_value": "Input X contains NaN", "frames": []}],
    }
)


class TestTrial:
    def test_passed(self, judge: Callable[..., TestResult]) -> None:
        airflow = Airflow({"accuracy": 0.9})
        found = judge(airflow, ("train", -1), ("evaluate", -1), gates={"accuracy": Gate(min=0.8)})
        assert (found.verdict, found.cause, found.metrics["accuracy"].value) == ("passed", None, 0.9)
        assert airflow.asked == [("churn", "run-1", "evaluate", "return_value")]
        assert found.phases["first_task_s"] == 2.0

    def test_memory_is_what_the_pod_of_the_last_try_told(self, judge: Callable[..., TestResult]) -> None:
        def told(try_number: int, peak: int) -> Pod:
            container = Container("base", exit_code=0, peak_memory_bytes=peak)
            return Pod(f"train-{try_number}", task_id="train", try_number=try_number, containers=(container,))

        found = judge(Airflow(), ("train", -1), ("load", -1), metrics=None, pods=(told(0, 9), told(1, 5)))
        peaks = {task.task_id: task.peak_memory_bytes for task in found.tasks}
        assert peaks == {"train": 5, "load": None}

    def test_below_its_gate(self, judge: Callable[..., TestResult]) -> None:
        found = judge(Airflow({"accuracy": 0.7}), ("evaluate", -1), gates={"accuracy": Gate(min=0.8)})
        assert found.verdict == "failed"
        assert found.cause is not None
        assert found.cause.code == "gate_failed"
        assert "accuracy" in found.cause.message

    @pytest.mark.parametrize(
        "failure",
        [
            {"state": "failed", "states": {"publish": "failed"}},
            {"error": HarnessError(CauseCode.RUN_TIMEOUT, "late")},
        ],
        ids=["a later task failed", "a later task took too long"],
    )
    def test_what_was_handed_over_before_a_failure_is_told(
        self, judge: Callable[..., TestResult], failure: dict[str, Any]
    ) -> None:
        found = judge(Airflow({"accuracy": 0.9}), ("evaluate", -1), ("publish", -1), **failure)
        assert found.cause is not None
        assert found.cause.code in {"task_failed", "run_timeout"}
        assert found.metrics["accuracy"].value == 0.9

    def test_nobody_is_asked_for_metrics_where_nobody_answers(self, judge: Callable[..., TestResult]) -> None:
        airflow = Airflow({"accuracy": 0.9})
        found = judge(airflow, ("evaluate", -1), error=HarnessError(CauseCode.API_SERVER_LOST, "silent"))
        assert (found.metrics, airflow.asked) == ({}, [])

    def test_the_dags_own_limit_is_asked_for_when_no_task_failed(
        self, judge: Callable[..., TestResult]
    ) -> None:
        found = judge(Airflow(), ("train", -1), state="failed")
        assert found.cause is not None
        assert found.cause.code == "run_timeout"
        assert "dagrun_timeout of 2.0 s" in found.cause.message

    def test_no_such_task(self, judge: Callable[..., TestResult]) -> None:
        airflow = Airflow()
        found = judge(airflow, ("train", -1), ("load", -1))
        assert found.cause is not None
        assert (found.cause.code, found.cause.task_id) == ("metrics_missing", "evaluate")
        assert "it has load, train" in found.cause.message
        assert "harness.toml" in found.cause.hint
        assert airflow.asked == []

    @pytest.mark.parametrize("tasks", [(("evaluate", 0),), (("evaluate", 0), ("evaluate", 1))])
    def test_a_mapped_task(
        self, judge: Callable[..., TestResult], tasks: tuple[tuple[str, int], ...]
    ) -> None:
        found = judge(Airflow({"accuracy": 1.0}), *tasks)
        assert found.cause is not None
        assert found.cause.code == "metrics_invalid"
        assert "it is mapped" in found.cause.message
        assert found.metrics == {}

    @pytest.mark.parametrize(
        ("value", "code"),
        [
            ({"accuracy": float("nan")}, "metrics_invalid"),
            ({"accuracy": "NaN"}, "metrics_invalid"),
            ({"accuracy": float("-inf"), "loss": 1.0}, "metrics_invalid"),
            ({"model": "forest"}, "metrics_invalid"),
            ({"accuracy": "0.93", "loss": 0.21}, "metrics_invalid"),
            ([0.9], "metrics_invalid"),
            (None, "metrics_missing"),
            ({}, "metrics_missing"),
        ],
    )
    def test_what_is_no_metric(self, judge: Callable[..., TestResult], value: object, code: str) -> None:
        found = judge(Airflow(value), ("evaluate", -1), gates={"accuracy": Gate(min=0.0)})
        assert found.verdict == "failed"
        assert found.cause is not None
        assert (found.cause.code, found.cause.task_id) == (code, "evaluate")
        assert found.cause.message.startswith("task evaluate: ")
        assert found.cause.hint

    @pytest.mark.parametrize(
        ("key", "keys", "says", "hint"),
        [
            (
                "scores",
                ("model", "score"),
                "under the key 'scores'; its keys are 'model', 'score'",
                'key = "score"',
            ),
            ("scores", ("return_value",), "its keys are 'return_value'", 'key = "return_value"'),
            (
                "scores",
                (),
                "nothing under the key 'scores', and nothing under any other",
                "return the numbers",
            ),
            ("return_value", ("score",), "it returned nothing; its keys are 'score'", 'key = "score"'),
            ("return_value", (), "the task returned no metrics", "return a flat dict"),
        ],
    )
    def test_a_key_that_the_task_did_not_push(
        self, judge: Callable[..., TestResult], key: str, keys: tuple[str, ...], says: str, hint: str
    ) -> None:
        metrics = MetricsSource(task="evaluate", key=key)
        found = judge(Airflow(None, keys=keys), ("evaluate", -1), metrics=metrics)
        assert found.cause is not None
        assert (found.cause.code, found.cause.task_id) == ("metrics_missing", "evaluate")
        assert says in found.cause.message
        assert hint in found.cause.hint

    def test_a_key_that_holds_none(self, judge: Callable[..., TestResult]) -> None:
        source = MetricsSource(task="evaluate", key="accuracy")
        found = judge(Airflow(None, keys=("accuracy",)), ("evaluate", -1), metrics=source)
        assert found.cause is not None
        assert (
            "it handed over None under the key 'accuracy', and nothing under any other" in found.cause.message
        )
        assert found.cause.hint == "harness logs --task evaluate: see why it is None"

    @pytest.mark.parametrize(
        ("metrics", "value", "hint"),
        [
            ({"key": "scores"}, {"accuracy": 0.9}, 'key = "score" }'),
            ({"key": "scores"}, 0.9, 'key = "score", name = "score" }'),
            ({"key": "scores", "name": "accuracy"}, [0.9, 0.8], 'key = "score", name = "accuracy" }'),
        ],
    )
    def test_a_key_that_is_proposed_brings_the_name_that_a_number_needs(
        self, judge: Callable[..., TestResult], metrics: dict[str, str], value: object, hint: str
    ) -> None:
        source = MetricsSource.model_validate({"task": "evaluate", **metrics})
        found = judge(Airflow(None, keys=("score",), other=value), ("evaluate", -1), metrics=source)
        assert found.cause is not None
        assert found.cause.hint.endswith(hint)

    def test_without_metrics_it_must_just_run(self, judge: Callable[..., TestResult]) -> None:
        airflow = Airflow()
        found = judge(airflow, ("train", -1), metrics=None)
        assert found.verdict == "passed"
        assert airflow.asked == []

    @pytest.mark.parametrize("metrics", [None, MetricsSource(task="evaluate")])
    def test_a_run_without_any_task_instance_has_tested_nothing(
        self, judge: Callable[..., TestResult], metrics: MetricsSource | None
    ) -> None:
        airflow = Airflow({"accuracy": 0.9})
        found = judge(airflow, metrics=metrics)
        assert found.verdict == "failed"
        assert found.cause is not None
        assert (found.cause.code, CauseCode.of(found.cause.code).exit_code) == ("task_failed", 1)
        assert "logical date 2026-03-01 is before the start_date or after the end_date" in found.cause.message
        assert "logical_date" in found.cause.hint
        assert airflow.asked == []

    @pytest.mark.parametrize(
        ("states", "to_blame"),
        [
            ({"train": "failed", "evaluate": "upstream_failed"}, "train"),
            ({"train": "failed", "evaluate": "failed"}, "evaluate"),
        ],
    )
    def test_a_metrics_task_that_failed_in_a_run_that_succeeded(
        self, judge: Callable[..., TestResult], states: dict[str, str], to_blame: str
    ) -> None:
        airflow = Airflow({"accuracy": 0.9}, log=RAISED)
        found = judge(airflow, ("train", -1), ("evaluate", -1), ("notify", -1), states=states)
        assert found.verdict == "failed"
        assert found.cause is not None
        assert (found.cause.code, found.cause.task_id) == ("task_failed", to_blame)
        assert "ValueError: Input X contains NaN" in found.cause.message

    def test_a_failed_init_container_has_its_own_log_read(self, judge: Callable[..., TestResult]) -> None:
        containers = (Container("fetch", exit_code=4, is_init=True), Container("base"))
        pod = Pod("p", task_id="evaluate", try_number=1, phase="Failed", node="n", containers=containers)
        found = judge(Airflow(), ("evaluate", -1), states={"evaluate": "failed"}, pods=(pod,))
        assert found.cause is not None
        assert found.cause.message == "task evaluate: init container fetch ended with exit code 4"
        assert found.cause.evidence == ("fetch of p has nothing to read",)

    def test_what_was_killed_beside_a_task_is_told_if_the_task_failed(
        self, judge: Callable[..., TestResult]
    ) -> None:
        containers = (Container("base", exit_code=0), Container("proxy", ended=Reason("OOMKilled")))
        pod = Pod("p", task_id="evaluate", try_number=1, phase="Failed", node="n", containers=containers)
        airflow = Airflow({"a": 1.0})
        assert judge(airflow, ("evaluate", -1), pods=(pod,)).verdict == "passed"
        found = judge(airflow, ("evaluate", -1), states={"evaluate": "failed"}, pods=(pod,))
        assert found.cause is not None
        assert found.cause.code == "task_failed"
        assert "container proxy beside it was killed" in found.cause.evidence[0]

    def test_that_leaves_the_evidence_within_its_twenty_lines(
        self, judge: Callable[..., TestResult], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        containers = (Container("base", exit_code=0), Container("proxy", ended=Reason("OOMKilled")))
        pod = Pod("p", task_id="evaluate", try_number=1, phase="Failed", node="n", containers=containers)
        many = {"exc_type": "ValueError", "exc_value": "\n".join("abc" * 9), "frames": []}
        raised = json.dumps(json.loads(RAISED) | {"error_detail": [many]})
        monkeypatch.setattr(Pods, "log", lambda *_, **__: raised)
        found = judge(Airflow(), ("evaluate", -1), states={"evaluate": "failed"}, pods=(pod,))
        assert found.cause is not None
        assert "container proxy beside it was killed" in found.cause.evidence[0]
        assert len(found.cause.evidence) == 20

    def test_a_task_that_may_fail_does_not_matter_once_there_are_metrics(
        self, judge: Callable[..., TestResult]
    ) -> None:
        found = judge(Airflow({"a": 1.0}), ("plot", -1), ("evaluate", -1), states={"plot": "failed"})
        assert found.verdict == "passed"

    def test_a_run_that_was_given_up_is_cancelled(self, judge: Callable[..., TestResult]) -> None:
        airflow = Airflow()
        error = HarnessError(CauseCode.RUN_TIMEOUT, "too long", hint="raise timeout")
        found = judge(airflow, ("train", -1), error=error, state="running")
        assert found.cause is not None
        assert found.cause.code == "run_timeout"
        assert airflow.asked == [("cancel", "churn")]

    def test_a_run_that_waits_for_a_try_says_how_not_to(self, judge: Callable[..., TestResult]) -> None:
        error = HarnessError(CauseCode.RUN_TIMEOUT, "too long", task_id="train")
        airflow = Airflow(log=RAISED)
        found = judge(airflow, ("train", -1), error=error, state="running", states={"train": "up_for_retry"})
        assert found.cause is not None
        assert "too long; it waits for try 2" in found.cause.message
        assert "`retries = 0` of the test in harness.toml leaves other tries out" in found.cause.hint

    def test_a_run_that_its_test_does_not_try_again_says_how_to(
        self, judge: Callable[..., TestResult]
    ) -> None:
        error = HarnessError(CauseCode.TASK_FAILED, "`retries` of the test leaves out more", task_id="train")
        found = judge(
            Airflow(log=RAISED), ("train", -1), error=error, state="running", states={"train": "up_for_retry"}
        )
        assert found.cause is not None
        assert found.cause.message.endswith("; `retries` of the test leaves out more")
        assert "`retries = 1` of the test in harness.toml allows one try more" in found.cause.hint

    def test_a_failed_try_is_told_once(self, judge: Callable[..., TestResult]) -> None:
        task = TaskInstance("train", -1, "up_for_retry", 2, 2, dag_id="churn")
        airflow = Airflow(log=RAISED)
        airflow.dag_run = lambda *_: DagRun("churn", "run-1", "running", None)  # type: ignore[attr-defined]
        told = diagnosis.Diagnosis(
            airflow,  # type: ignore[arg-type]
            Pods(),  # type: ignore[arg-type]
            None,
            TestSettings(dag="churn"),
            CodeFiles(),
        )
        assert (
            told.of_try("run-1", task, None) == "train: try 2 of 3 failed: ValueError: Input X contains NaN"
        )

    def test_the_broken_file_of_a_dag_that_a_task_triggers_is_told_as_the_repository_has_it(
        self, judge: Callable[..., TestResult]
    ) -> None:
        detail = {
            "exc_type": "AirflowRuntimeError",
            "exc_value": "Dag with dag_id: 'score' not found",
            "frames": [],
        }
        line = json.dumps({"event": "Task failed", "level": "error", "error_detail": [detail]})
        airflow = Airflow(log=line)
        raised = 'File "/opt/airflow/dags/score.py", line 3, in <module>\nE: x\n'
        broken = DagImportError(
            "/opt/airflow/dags/score.py", f"Traceback (most recent call last):\n  {raised}"
        )
        airflow.import_errors = lambda: (broken,)  # type: ignore[attr-defined]
        found = judge(airflow, ("train", -1), state="failed", states={"train": "failed"})
        assert found.cause is not None
        assert "; dags/score.py:3 cannot be imported: E: x" in found.cause.message


def test_a_broken_file_beside_the_dags_is_told_once_in_all_tests_of_a_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notes: list[str] = []
    progress = Silent()
    monkeypatch.setattr(progress, "note", notes.append)
    broken = DagImportError("/opt/airflow/dags/old.py", "E: x")
    parsed = SimpleNamespace(dag=SimpleNamespace(file="churn.py"), warnings=(broken,))
    monkeypatch.setattr(dag_test, "wait_for_dag", lambda *_, **__: parsed)
    told: set[str] = set()
    for name in ("first", "second"):
        wanted = dag_test.DagTest(
            api=Airflow(),  # type: ignore[arg-type]
            pods=Pods(),  # type: ignore[arg-type]
            name=name,
            settings=TestSettings(dag="churn"),
            logical_date=NOW,
            dags_folder="dags",
            read_source=lambda _: None,
            told=told,
        )
        dag_test._parse(wanted, progress, {})
    assert notes == [f"beside it, {broken.place} can't be imported: E: x"]


@pytest.mark.parametrize(
    ("image_id", "digest"),
    [
        ("sha256:ab", "sha256:ab"),
        ("harness.local/churn@sha256:ab", "sha256:ab"),
        ("docker-pullable://x@sha256:ab", "sha256:ab"),
        ("", None),
        ("busybox", None),
    ],
)
def test_digest_of(image_id: str, digest: str | None) -> None:
    assert run_result.digest_of(image_id) == digest
