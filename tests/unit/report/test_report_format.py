"""Numbers, seconds, bytes and texts as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.report import format
from harness.report.model import GateResult, MetricResult, TaskResult, TestResult

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.9123456, "0.9123"),
        (0.95, "0.95"),
        (0.99996, "0.99996"),
        (0.00001234, "1.234e-05"),
        (12.34567, "12.35"),
        (1234.5678, "1235"),
        (569.0, "569"),
        (1e6, "1000000"),
        (1e20, "1e+20"),
        (-0.5, "-0.5"),
        (0.0, "0"),
        (-0.0, "0"),
        (math.inf, "inf"),
    ],
)
def test_number(value, shown):
    assert format.number(value) == shown


@given(FINITE, FINITE)
def test_number_beside_another_keeps_their_order(value, other):
    assume(value != other)
    shown = float(format.number(value, unlike=other))
    assert (shown < other) == (value < other)
    assert shown != other


@given(FINITE)
def test_number_is_close_and_exact_is_exact(value):
    assert float(format.exact(value)) == value
    assert float(format.number(value)) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (-1e-9, "0.00 s"),
        (0.994, "0.99 s"),
        (0.996, "1.0 s"),
        (4.24, "4.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3599.7, "1 h"),
        (7380, "2 h 3 min"),
    ],
)
def test_seconds(value, shown):
    assert format.seconds(value) == shown


def test_durations_as_people_write_them():
    shown = [format.duration(seconds) for seconds in (0.4, 45, 60, 552, 3599.6, 3600, 3605, 3900)]
    assert shown == ["0s", "45s", "1m", "9m12s", "1h", "1h", "1h", "1h05m"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (10_240, "10.2 kB"),
        (999_600, "1 MB"),
        (1_071_000_000, "1.07 GB"),
        (10**16, "1e+04 TB"),
    ],
)
def test_size(value, shown):
    assert format.size(value) == shown


def test_digest():
    assert format.digest("sha256:0123456789abcdef") == "sha256:0123456789ab"
    assert (format.digest(None), format.digest("")) == ("-", "-")


@pytest.mark.parametrize(
    ("bounds", "shown"),
    [
        ({"min": 0.93}, ">= 0.93"),
        ({"min": 0, "max": 1}, ">= 0, <= 1"),
        ({"better": "higher", "max_regression": 0.01}, "drop <= 0.01"),
        ({"better": "lower", "max_regression": 0.01, "max": 1e-9}, "<= 1e-09, rise <= 0.01"),
    ],
)
def test_gate(bounds, shown):
    assert format.gate(GateResult(**bounds)) == shown


def test_gate_shows_the_bases_where_it_differs():
    metric = MetricResult(value=1, gate=GateResult(min=1), base_gate=GateResult(min=2))
    assert format.metric_gate(metric) == ">= 1 (base: >= 2)"
    assert format.metric_gate(metric.model_copy(update={"base_gate": GateResult()})) == ">= 1 (base: none)"


def test_most_never_drops_a_gate():
    metrics = {f"m{i}": MetricResult(value=1, gate=GateResult(min=0) if i % 2 else None) for i in range(10)}
    kept = format.most(metrics, 6)
    assert list(kept) == ["m0", "m1", "m3", "m5", "m7", "m9"]
    assert format.most(metrics, 100) == metrics
    assert len(format.most(metrics, 0)) == 5


@given(st.text() | st.text(st.sampled_from("\x1b[]0;31m\x07\x9b\\AZ\r\n\u202e")))
def test_clean_text_can_not_draw(text):
    shown = format.one_line(text)
    assert "\x1b" not in shown
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 or char in "\u202e\u2066\u2028" for char in shown)


def test_clean_keeps_what_is_harmless():
    assert format.clean("a\tb ✓ é\n\x1b[1;31mred\x1b[0m \x1b]0;title\x07end") == "a\tb ✓ é\nred end"


def test_numbers_without_a_gate_stand_in_the_line_of_a_verdict() -> None:
    numbers = {name: MetricResult(value=0.5) for name in ("accuracy", "auc", "f1", "loss")}
    skipped, ran = (TaskResult(task_id=state, state=state) for state in ("skipped", "success"))
    test = TestResult(name="churn", dag_id="churn", verdict="passed", tasks=(ran, skipped), metrics=numbers)
    assert format.summary(test) == "1 task ran; without a gate: accuracy 0.5, auc 0.5, f1 0.5, …"
    assert format.summary(test.model_copy(update={"metrics": {}})) == "1 task ran"
