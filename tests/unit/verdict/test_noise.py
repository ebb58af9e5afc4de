"""Student's t against SciPy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from harness.verdict.noise import student_t, within


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
