"""Student's t against SciPy's, and intervals that hold the true difference as often as they say."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from harness.verdict.noise import paired, student_t, within


@given(st.floats(0.5, 0.999), st.integers(1, 200))
def test_quantiles_are_those_of_scipy(confidence: float, degrees: int) -> None:
    assert student_t(confidence, degrees) == pytest.approx(
        stats.t.ppf((1 + confidence) / 2, degrees), rel=1e-9
    )


@given(st.floats(0.0, 50.0), st.integers(1, 200))
def test_probabilities_are_those_of_scipy(t: float, degrees: int) -> None:
    # Not by stats.t.sf, which is 1e-10 off next to 0: P(|T| < t) as the incomplete beta function.
    expected = special.betainc(0.5, degrees / 2, t * t / (degrees + t * t))
    assert within(t, degrees) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("confidence", "degrees"), [(0.0, 3), (1.0, 3), (0.95, 0)])
def test_no_such_quantile(confidence: float, degrees: int) -> None:
    with pytest.raises(ValueError, match="no such quantile"):
        student_t(confidence, degrees)


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=2, max_size=30))
def test_the_interval_is_that_of_a_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    base, head = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = paired(base, head)
    assert found is not None
    low, high = stats.ttest_rel(head, base).confidence_interval(0.95)
    if low == low:  # SciPy has none where all differences are the same  # noqa: PLR0124
        assert (found.low, found.high) == (pytest.approx(low, abs=1e-7), pytest.approx(high, abs=1e-7))
    assert found.low <= found.mean <= found.high
    assert found.pairs == len(pairs)


def test_one_pair_tells_nothing() -> None:
    assert paired([0.9], [0.8]) is None
    assert paired([], []) is None


def test_the_same_change_every_time_is_no_noise() -> None:
    found = paired([0.5, 0.625, 0.75], [0.25, 0.375, 0.5])
    assert found is not None
    assert (found.mean, found.low, found.high, found.is_noise) == (-0.25, -0.25, -0.25, False)
    same = paired([0.5, 0.75], [0.5, 0.75])
    assert same is not None
    assert same.is_noise


def test_a_true_difference_of_nothing_is_called_noise_nineteen_times_of_twenty() -> None:
    generator = random.Random(7)
    rounds = 2000
    calls = 0
    for _ in range(rounds):
        seeds = [generator.gauss(0.9, 0.02) for _ in range(5)]
        found = paired(
            [each + generator.gauss(0, 0.01) for each in seeds],
            [each + generator.gauss(0, 0.01) for each in seeds],
        )
        calls += found is not None and found.is_noise
    assert 0.935 < calls / rounds < 0.965
