"""The JSON that other programs read, schema 1, and the exit code that goes with it."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import report_samples as samples

from harness.errors import CauseCode, HarnessError
from harness.report.model import Cause, MetricResult, Result, TestResult

RESULT = {"schema", "verdict", "versions", "environment", "cause"}
VERSION = {
    "ref",
    "commit",
    "dirty",
    "image",
    "namespace",
    "role",
    "bundle",
    "phases",
    "load_bytes",
    "values",
    "kept",
    "tests",
    "receipt",
    "cause",
}
IMAGE = {
    *("name", "digest", "config_digest", "base_digest", "python", "lock", "layers"),
    *("base_packages", "built_from_source", "own"),
}
ENVIRONMENT = {"platform", "source", "node_image", "versions", "digests"}
TEST = {
    "name",
    "dag_id",
    "run_id",
    "logical_date",
    "data_digest",
    "state",
    "verdict",
    "metrics",
    "parameters",
    "tasks",
    "repetitions",
    "children",
    "kept_at",
    "notes",
    "phases",
    "cause",
}
METRIC = {"value", "base", "gate", "verdict", "message", "base_gate", "interval", "within_noise"} | {
    "answer",
    "pairs",
    "differences",
    "tolerance",
    "sd",
    "learnt",
    "detectable",
}
GATE = {"min", "max", "better", "max_regression", "max_relative_regression"}
TASK = {
    "task_id",
    "map_index",
    "state",
    "try_number",
    "pod",
    "image_digest",
    "image_name",
    "queued_s",
    "duration_s",
    "offset_s",
    "peak_memory_bytes",
    "base_duration_s",
    "base_peak_memory_bytes",
    "skipped_by_test",
}
CAUSE = {"code", "message", "task_id", "hint", "evidence"}


def written(result: Result) -> dict:
    text = result.to_json()
    assert text.endswith("}\n")
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def cause(code: CauseCode) -> Cause:
    return Cause(code=code.code, message="it went wrong")


class TestShape:
    def test_keys_of_every_level(self):
        result = written(samples.gate_failed())
        version = result["versions"][1]
        test = version["tests"][0]
        assert result.keys() == RESULT
        assert version.keys() == VERSION
        assert version["image"].keys() == IMAGE
        assert written(samples.passed())["environment"].keys() == ENVIRONMENT
        assert test.keys() == TEST
        assert test["metrics"]["accuracy"].keys() == METRIC
        assert test["metrics"]["accuracy"]["gate"].keys() == GATE
        assert test["tasks"][0].keys() == TASK
        assert test["cause"].keys() == CAUSE

    def test_values(self):
        result = written(samples.gate_failed())
        test = result["versions"][1]["tests"][0]
        assert (result["schema"], result["verdict"], result["cause"]) == (1, "failed", None)
        assert result["versions"][1]["phases"] == {"image_s": 0.62, "load_s": 0.45, "deploy_s": 11.2}
        accuracy = test["metrics"]["accuracy"]
        assert (accuracy["value"], accuracy["base"], accuracy["verdict"]) == (
            0.9123456,
            0.9561403508771929,
            "failed",
        )
        assert accuracy["gate"] == {
            "min": 0.93,
            "max": None,
            "better": "higher",
            "max_regression": 0.01,
            "max_relative_regression": None,
        }
        assert test["cause"]["code"] == "gate_failed"
        assert [task["map_index"] for task in test["tasks"]] == [-1, 0, 1, 2, -1]

    def test_a_cause_lies_where_it_arose(self):
        before_any_test = written(samples.load_failed())
        assert (before_any_test["cause"], before_any_test["versions"][0]["cause"]["code"]) == (
            None,
            "image_load_failed",
        )
        before_any_version = written(samples.no_cluster())
        assert (before_any_version["versions"], before_any_version["cause"]["code"]) == (
            [],
            "cluster_missing",
        )

    @pytest.mark.parametrize("sample", samples.ALL)
    def test_reads_back_as_the_same(self, sample):
        assert Result.model_validate_json(sample().to_json()) == sample()

    def test_names_without_utf8_have_a_question_mark(self):
        error = HarnessError(
            CauseCode.USAGE, "no y\udcff", hint="ls y\udcff", evidence=["y\udcff", "größe 😀"]
        )
        told = Cause.of(error)
        assert (told.message, told.hint, told.evidence) == ("no y?", "ls y?", ("y?", "größe 😀"))
        (version,) = samples.load_failed().versions
        kept = version.model_copy(update={"bundle": "/y\udcff/bundle.tar.gz"})
        assert written(Result.of((kept,)))["versions"][0]["bundle"] == "/y?/bundle.tar.gz"

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.0, 5e-324, 1e300, 0.1 + 0.2])
    def test_numbers_are_exact_or_null(self, value):
        test = samples.run_of({}).model_copy(update={"metrics": {"m": MetricResult(value=value)}})
        result = written(Result.of((samples.version("HEAD", "0" * 40, test),)))
        assert result["versions"][0]["tests"][0]["metrics"]["m"]["value"] == (
            value if math.isfinite(value) else None
        )

    def test_unknown_keys_are_refused(self):
        with pytest.raises(ValueError, match="bogus"):
            Result.model_validate({"schema": 1, "verdict": "passed", "bogus": 1})


class TestVerdictAndExitCode:
    @pytest.mark.parametrize(
        ("sample", "verdict", "exit_code"),
        [
            (samples.passed, "passed", 0),
            (samples.gate_failed, "failed", 1),
            (samples.out_of_memory, "failed", 1),
            (samples.no_cluster, "error", 3),
            (samples.load_failed, "error", 4),
        ],
    )
    def test_of_samples(self, sample, verdict, exit_code):
        assert (sample().verdict, sample().exit_code) == (verdict, exit_code)

    @pytest.mark.parametrize("code", CauseCode)
    def test_each_cause_fixes_its_exit_code(self, code):
        result = Result.of((), cause(code))
        assert result.exit_code == code.exit_code
        assert result.verdict == ("failed" if code.exit_code == 1 else "error")

    def test_precedence_among_several(self):
        by_code = {code.exit_code: code for code in CauseCode}
        order = [70, 130, 2, 3, 4, 1]
        assert sorted(by_code) == sorted(order)
        for stronger, weaker in itertools.combinations(order, 2):
            for outer, inner in ((stronger, weaker), (weaker, stronger)):
                version = samples.version("HEAD", "0" * 40, None, cause=cause(by_code[inner]))
                assert Result.of((version,), cause(by_code[outer])).exit_code == stronger

    def test_causes_of_tests_count_too(self):
        failed = TestResult(name="a", dag_id="a", verdict="error", cause=cause(CauseCode.POD_DELETED))
        result = Result.of((samples.version("HEAD", "0" * 40, failed),))
        assert (result.verdict, result.exit_code) == ("error", 4)

    @pytest.mark.parametrize(("verdict", "exit_code"), [("failed", 1), ("error", 4), ("passed", 0)])
    def test_a_verdict_without_a_cause_still_fails(self, verdict, exit_code):
        test = TestResult(name="a", dag_id="a", verdict=verdict)
        assert Result.of((samples.version("HEAD", "0" * 40, test),)).exit_code == exit_code


class TestEvidence:
    def test_a_screen_of_it_at_most(self) -> None:
        lines = [f"line {number}" for number in range(100)]
        for evidence in (tuple(lines), ("\n".join(lines),)):
            cause = Cause(code="task_failed", message="no", evidence=evidence)
            assert len(cause.evidence) == 20
            assert cause.evidence[0] == "line 0"
            assert cause.evidence[8] == "… 81 lines left out"
            assert cause.evidence[-1] == "line 99"

    def test_short_evidence_is_as_it_was(self) -> None:
        assert Cause(code="task_failed", message="no", evidence=("a\nb", "c")).evidence == ("a\nb", "c")

    def test_each_violation_of_a_configuration_counts(self) -> None:
        lines = tuple(map(str, range(50)))
        assert Cause(code="config_invalid", message="no", evidence=lines).evidence == lines
