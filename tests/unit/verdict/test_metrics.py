"""What counts as a metric, and what a gate says to it."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from harness.errors import CauseCode, HarnessError
from harness.project.configuration import Gate
from harness.verdict.metrics import cause, judge, read

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(
    st.characters(categories=["L", "N"], include_characters="_-@ "), min_size=1, max_size=30
).filter(str.isprintable)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def gate(**bounds) -> Gate:
    return Gate.model_validate(bounds)


class TestRead:
    def test_flattens_and_passes_over_what_is_no_number(self):
        value = {
            "accuracy": 0.95,
            "rows": 569,
            "by_class": {"benign": {"f1": 0.9}},
            "model": "forest",
            "seeds": [1],
        }
        assert read(value) == {"accuracy": 0.95, "rows": 569.0, "by_class.benign.f1": 0.9}

    def test_truth_values_are_one_and_zero(self):
        assert read({"converged": True, "leaked": False}) == {"converged": 1.0, "leaked": 0.0}

    def test_unwraps_what_airflow_wraps(self):
        numpy = {"__classname__": "numpy.float64", "__version__": 1, "__data__": 0.5}
        record = {"__classname__": "my_dag.Scores", "__version__": 1, "__data__": {"accuracy": numpy, "n": 3}}
        assert read({"accuracy": numpy}) == {"accuracy": 0.5}
        assert read(record) == {"accuracy": 0.5, "n": 3.0}

    def test_reads_json_text(self):
        assert read('{"accuracy": 0.5}') == {"accuracy": 0.5}

    @pytest.mark.parametrize("value", [None, {}, "", [], "null", "{}"])
    def test_missing(self, value):
        with pytest.raises(HarnessError) as caught:
            read(value)
        assert caught.value.cause is CauseCode.METRICS_MISSING
        assert caught.value.hint

    @pytest.mark.parametrize(
        ("value", "says"),
        [
            (0.93, "a number"),
            ([0.93], "a list"),
            ("0.93", "text"),
            ("{accuracy", "text"),
            ({"model": "forest"}, "none of what the task returned is a number: model is text 'forest'"),
            ({"best": {"auc": None}}, "none of what the task returned is a number: best.auc is None"),
            ({3: 1.0}, "a number, not text"),
            ({"": 1.0}, "empty or not printable"),
            ({"a\x1b[31m": 1.0}, "not printable"),
            ({"a\nb": 1.0}, "not printable"),
            ({"x" * 201: 1.0}, "201 characters"),
            ({f"m{i}": i for i in range(1001)}, "more than 1000"),
            ({"a.b": 1, "a": {"b": 2}}, "'a.b' is there twice"),
        ],
    )
    def test_invalid(self, value, says):
        with pytest.raises(HarnessError, match=says) as caught:
            read(value)
        assert caught.value.cause is CauseCode.METRICS_INVALID
        assert caught.value.hint

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, "NaN", "-Infinity", 10**400, -(10**400)])
    def test_names_what_is_not_finite(self, bad):
        with pytest.raises(HarnessError, match=r"the metric loss is -?(nan|inf)") as caught:
            read({"accuracy": 0.9, "loss": bad})
        assert caught.value.cause is CauseCode.METRICS_INVALID

    @pytest.mark.parametrize(
        ("entry", "says"),
        [
            ("0.93", "test.accuracy is text '0.93', not a number"),
            ("x" * 41, f"test.accuracy is text '{'x' * 40}'…, not a number"),
            (None, "test.accuracy is None, not a number"),
            ([0.93], "test.accuracy is a list, not a number"),
        ],
    )
    def test_what_a_gate_asks_for_must_be_a_number(self, entry, says):
        value = {"loss": 0.21, "test": {"accuracy": entry}}
        assert read(value) == read(value, {"loss", "other"}) == {"loss": 0.21}
        with pytest.raises(HarnessError) as caught:
            read(value, {"test.accuracy"})
        assert (caught.value.cause, caught.value.message) == (CauseCode.METRICS_INVALID, says)

    def test_names_all_that_are_not_finite(self):
        with pytest.raises(HarnessError, match="and 1 other") as caught:
            read({"a": math.nan, "b": {"c": math.inf}})
        assert caught.value.evidence == ("a is nan", "b.c is inf")

    def test_limits_are_reachable(self):
        assert len(read({f"m{i}": i for i in range(1000)})) == 1000
        assert read({"x" * 200: 1}) == {"x" * 200: 1.0}

    def test_too_deep_is_no_recursion_error(self):
        value: object = 1.0
        for _ in range(5000):
            value = {"a": value}
        with pytest.raises(HarnessError, match="deep"):
            read(value)

    @given(JSON)
    def test_any_json_is_read_or_refused(self, value):
        try:
            metrics = read(value)
        except HarnessError as error:
            assert error.cause in {CauseCode.METRICS_MISSING, CauseCode.METRICS_INVALID}
        else:
            assert metrics
            assert all(math.isfinite(number) for number in metrics.values())

    @given(st.dictionaries(NAMES, FINITE, min_size=1))
    def test_a_flat_mapping_comes_back(self, metrics):
        assert read(metrics) == metrics
        assert read(json.dumps(metrics)) == metrics


class TestJudge:
    @pytest.mark.parametrize(
        ("value", "bounds", "message"),
        [
            (0.9123, {"min": 0.93}, "m 0.9123 is below its minimum 0.93"),
            (0.92999999, {"min": 0.93}, "m 0.92999999 is below its minimum 0.93"),
            (0.1 + 0.2, {"max": 0.3}, "m 0.30000000000000004 is above its maximum 0.3"),
            (1234567, {"max": 1000000}, "m 1234567 is above its maximum 1000000"),
            (-0.5, {"min": 0}, "m -0.5 is below its minimum 0"),
            (2e-9, {"max": 1e-9}, "m 2e-09 is above its maximum 1e-09"),
        ],
    )
    def test_says_metric_value_and_bound(self, value, bounds, message):
        result = judge({"m": value}, {"m": gate(**bounds)})["m"]
        assert (result.verdict, result.message) == ("failed", message)

    @pytest.mark.parametrize("bounds", [{"min": 0.93}, {"max": 0.93}, {"min": 0.93, "max": 0.93}])
    def test_bounds_are_inclusive(self, bounds):
        assert judge({"m": 0.93}, {"m": gate(**bounds)})["m"].verdict == "passed"

    @pytest.mark.parametrize(
        ("value", "base", "better", "verdict"),
        [
            (0.94, 0.95, "higher", "passed"),  # in binary, 0.95 - 0.94 > 0.01
            (0.9399, 0.95, "higher", "failed"),
            (0.99, 0.95, "higher", "passed"),
            (0.31, 0.3, "lower", "passed"),
            (0.3101, 0.3, "lower", "failed"),
            (0.1, 0.3, "lower", "passed"),
        ],
    )
    def test_regression(self, value, base, better, verdict):
        gates = {"m": gate(better=better, max_regression=0.01)}
        assert judge({"m": value}, gates, {"m": base})["m"].verdict == verdict

    def test_regression_message(self):
        gates = {"m": gate(better="higher", max_regression=0.01)}
        result = judge({"m": 0.93999}, gates, {"m": 0.95})["m"]
        assert (
            result.message == "m 0.93999 is 0.01001 below the base's 0.95, more than its max_regression 0.01"
        )
        lower = judge({"m": 0.5}, {"m": gate(better="lower", max_regression=0.1)}, {"m": 0.3})["m"]
        assert lower.message == "m 0.5 is 0.2 above the base's 0.3, more than its max_regression 0.1"

    @pytest.mark.parametrize("base", [None, {}, {"other": 1.0}])
    def test_regression_without_a_base_is_not_judged(self, base):
        only = judge({"m": 0.9}, {"m": gate(better="higher", max_regression=0.01)}, base)["m"]
        bounded = judge({"m": 0.9}, {"m": gate(min=0.5, better="higher", max_regression=0.01)}, base)["m"]
        assert (only.verdict, bounded.verdict) == (None, "passed")
        assert "not judged" in only.message
        assert "not judged" in bounded.message
        assert cause({"m": only}) is None

    def test_a_missing_metric_fails_its_gate(self):
        result = judge({"other": 1.0}, {"accuracy": gate(min=0.93)})["accuracy"]
        assert (result.value, result.verdict) == (None, "failed")
        assert result.message == "accuracy was not reported, and its gate is min 0.93"

    def test_gated_first_and_the_rest_kept(self):
        results = judge({"a": 1.0, "b": 2.0, "c": 3.0}, {"c": gate(min=0), "z": gate(max=1)}, {"a": 0.5})
        assert list(results) == ["c", "z", "a", "b"]
        assert (results["a"].base, results["a"].verdict, results["a"].gate) == (0.5, None, None)

    def test_keeps_the_bases_gate_where_it_differs(self):
        gates = {"same": gate(min=1), "moved": gate(min=1), "new": gate(min=1)}
        results = judge(
            dict.fromkeys(gates, 1.0), gates, base_gates={"same": gate(min=1), "moved": gate(min=2)}
        )
        assert results["same"].base_gate is None
        assert results["moved"].base_gate.min == 2
        assert results["new"].base_gate.model_dump(exclude_none=True) == {}

    @given(FINITE, FINITE)
    @example(0.92999999, 0.93)
    @example(math.nextafter(0.93, 0), 0.93)
    @example(999999.96, 1000000.0)
    def test_a_failure_shows_a_value_beyond_the_bound(self, value, bound):
        result = judge({"m": value}, {"m": gate(min=bound)})["m"]
        assert result.verdict == ("passed" if value >= bound else "failed")
        assume(value < bound)
        _, shown, *_, shown_bound = result.message.split()
        assert float(shown) < float(shown_bound)
        assert float(shown_bound) == bound

    @given(
        st.decimals(-1000, 1000, places=3), st.decimals(0, 10, places=3), st.sampled_from(["higher", "lower"])
    )
    def test_a_change_of_exactly_max_regression_passes(self, base, allowed, better):
        sign = -1 if better == "higher" else 1
        gates = {"m": gate(better=better, max_regression=float(allowed))}
        at, beyond = base + sign * allowed, base + sign * (allowed + Decimal("0.001"))
        assert judge({"m": float(at)}, gates, {"m": float(base)})["m"].verdict == "passed"
        assert judge({"m": float(beyond)}, gates, {"m": float(base)})["m"].verdict == "failed"

    @given(st.lists(FINITE, min_size=2, max_size=20, unique=True))
    def test_a_stricter_minimum_never_passes_more(self, values):
        passed = [
            judge({"m": values[0]}, {"m": gate(min=bound)})["m"].verdict == "passed"
            for bound in sorted(values)
        ]
        assert all(looser or not stricter for looser, stricter in pairwise(passed))


class TestCause:
    def test_none_when_all_gates_hold(self):
        assert cause(judge({"m": 1.0, "free": 0.0}, {"m": gate(min=1)})) is None

    def test_names_the_first_and_counts_the_others(self):
        gates = {"b": gate(min=0.93), "a": gate(max=0.1), "c": gate(min=0)}
        found = cause(judge({"a": 0.5, "b": 0.9, "c": 1.0}, gates))
        assert (found.code, found.exit_code) == ("gate_failed", 1)
        assert found.message == "b 0.9 is below its minimum 0.93 (and 1 more gate failed)"
        assert found.evidence == ("b 0.9 is below its minimum 0.93", "a 0.5 is above its maximum 0.1")

    def test_hint_suits_what_is_known(self):
        gates = {"m": gate(min=1)}
        assert cause(judge({"m": 0.5}, gates)).hint.startswith("harness logs; harness test --ref")
        assert cause(judge({"m": 0.5}, gates, {"m": 1.0})).hint == "harness logs"
        assert "harness.toml" in cause(judge({}, gates)).hint
