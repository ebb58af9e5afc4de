"""A metric's number in the result of schema 1: its gate, its verdict, and what pairs of runs answer."""

from __future__ import annotations

from typing import Literal

from harness.report.provenance import Model

VerdictName = Literal["passed", "failed", "error"]


class GateResult(Model):
    """The bounds that a metric was held to, as harness.toml gives them."""

    min: float | None = None
    max: float | None = None
    better: Literal["higher", "lower"] | None = None
    max_regression: float | None = None
    max_relative_regression: float | None = None


class LearntResult(Model):
    """The spread of a metric's differences that earlier pairs had, and of how many pairs.

    `times_as_wide`: as the learnt one is that of these pairs, where that is more than chance would do. `left_out`:
    the answer does not rely on it, because these pairs are too far from it, or another metric's from theirs.
    """

    sd: float
    pairs: int
    times_as_wide: float | None = None
    left_out: bool = False


class MetricResult(Model):
    """One number that a run reported, the base version's number if there was one, and the gate's verdict.

    `base_gate`: the base's own gate, where it differs. A verdict of None: there was nothing to judge by. With
    several runs of each side `value` and `base` are means, and `interval` is where the mean of their differences
    lies in 95 of 100 comparisons; `within_noise`: it holds 0.

    `answer`: of a gate with a regression, after so many `pairs`. `differences`: head's less the base's, of each pair;
    `sd`: their standard deviation. `tolerance`: the regression that had to be caught, or what the noise allows
    where that is 0; `detectable`: what would have been seen in 95 of 100 cases.
    """

    value: float | None
    base: float | None = None
    gate: GateResult | None = None
    verdict: VerdictName | None = None
    message: str = ""
    base_gate: GateResult | None = None
    interval: tuple[float, float] | None = None
    within_noise: bool | None = None
    answer: Literal["worse", "not_worse", "undecided", "identical"] | None = None
    pairs: int | None = None
    differences: tuple[float, ...] = ()
    tolerance: float | None = None
    sd: float | None = None
    learnt: LearntResult | None = None
    detectable: float | None = None
