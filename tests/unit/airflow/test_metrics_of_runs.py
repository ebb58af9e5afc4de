"""Numbers that a run left in a file or in MLflow."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from harness.airflow.rest.models import DagRun
from harness.airflow.run import metrics_file, mlflow_run
from harness.errors import CauseCode, HarnessError

BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)
RUN = DagRun("churn", "run-1", "success", None, queued_at=BEGAN)


def answering(document: object) -> Callable[[Sequence[str]], str]:
    return lambda _: f"a warning of Python\n{json.dumps(document)}\n"


class TestFile:
    def written(self, document: object, file: str = "reports/m.json") -> object:
        return metrics_file.written(answering(document), file, ("dags/data",), RUN).value

    def refused(self, document: object) -> HarnessError:
        with pytest.raises(HarnessError) as caught:
            self.written(document)
        return caught.value

    def test_its_numbers(self) -> None:
        found = {"written_s": BEGAN.timestamp() + 1, "bytes": 9, "text": '{"a": 1}'}
        assert self.written(found) == {"a": 1}

    @pytest.mark.parametrize(
        ("file", "path"),
        [
            ("reports/m.json", "/opt/airflow/artifacts/reports/m.json"),
            ("artifacts/m.json", "/opt/airflow/artifacts/m.json"),
            ("dags/data/m.json", "/opt/airflow/dags/data/m.json"),
            ("dags/m.json", "/opt/airflow/artifacts/dags/m.json"),
        ],
    )
    def test_where_it_lies(self, file: str, path: str) -> None:
        asked: list[Sequence[str]] = []

        def execute(argv: Sequence[str]) -> str:
            asked.append(argv)
            return json.dumps({"written_s": BEGAN.timestamp() + 1, "text": "1"})

        metrics_file.written(execute, file, ("dags/data",), RUN)
        assert asked[0][3] == path

    def test_one_that_is_older_than_the_run_is_not_the_runs(self) -> None:
        error = self.refused({"written_s": BEGAN.timestamp() - 1, "bytes": 9, "text": '{"a": 1}'})
        assert error.cause is CauseCode.METRICS_MISSING
        assert "the run did not write reports/m.json" in error.message

    def test_none(self) -> None:
        error = self.refused({"near": []})
        assert error.cause is CauseCode.METRICS_MISSING
        assert "$HARNESS_ARTIFACTS_URL" in error.hint
        elsewhere = self.refused({"near": ["/opt/airflow/artifacts/out/m.json"]})
        assert 'metrics` of the test in harness.toml: { file = "out/m.json" }' in elsewhere.hint

    @pytest.mark.parametrize(
        ("found", "told"),
        [({"text": "accuracy: 1"}, "is no JSON"), ({"bytes": 2 << 20}, "has 2,097,152 bytes")],
    )
    def test_what_is_no_metrics(self, found: dict[str, Any], told: str) -> None:
        error = self.refused({"written_s": BEGAN.timestamp() + 1, **found})
        assert error.cause is CauseCode.METRICS_INVALID
        assert told in error.message


class TestMlflow:
    def last(self, *runs: dict[str, Any]) -> Any:
        return mlflow_run.last(answering(list(runs)), RUN)

    def run(
        self, name: str, metrics: dict[str, float], params: dict[str, str] | None = None, **tags: str
    ) -> Any:
        pairs = {"metrics": metrics, "params": params or {}, "tags": tags}
        data = {kind: [{"key": k, "value": v} for k, v in found.items()] for kind, found in pairs.items()}
        return {"info": {"run_id": "1", "run_name": name}, "data": data}

    def test_the_last_one_that_has_any(self) -> None:
        found = self.last(
            self.run("deploy", {}),
            self.run("evaluate", {"auc": 0.9}, {"depth": "3"}),
            self.run("train", {"auc": 1}),
        )
        assert (found.value, found.parameters) == ({"auc": 0.9}, {"depth": "3"})
        assert found.told == "MLflow's run evaluate has"

    def test_a_trial_is_not_the_run_that_it_is_of(self) -> None:
        trial = self.run("trial", {"auc": 0.1})
        trial["data"]["tags"] = [{"key": "mlflow.parentRunId", "value": "2"}]
        assert self.last(trial, self.run("search", {"auc": 0.9})).value == {"auc": 0.9}
        assert self.last(trial).value == {"auc": 0.1}

    @pytest.mark.parametrize(
        ("runs", "told"), [(0, "no run to MLflow"), (1, "1 runs to MLflow, and no metric")]
    )
    def test_none(self, runs: int, told: str) -> None:
        with pytest.raises(HarnessError, match=told) as caught:
            self.last(*[self.run("train", {})] * runs)
        assert caught.value.cause is CauseCode.METRICS_MISSING
        assert "MLFLOW_TRACKING_URI" in caught.value.hint
