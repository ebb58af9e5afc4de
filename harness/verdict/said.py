"""What pairs of runs say of a metric, in a sentence and as fields of the result. Pure functions."""

from __future__ import annotations

from typing import Any

from harness.project.configuration import Gate
from harness.report.format import exact, number, plural
from harness.report.model import LearntResult
from harness.verdict.answers import Answered, tolerance


def sentence(name: str, answered: Answered, gate: Gate, value: float, base: float) -> str:
    """What the pairs say of a gated metric, in a sentence."""
    pairs = plural(answered.pairs, "pair")
    change = "rise" if gate.better == "lower" else "drop"
    if answered.answer == "identical":
        return f"{name}: identical in {pairs}"
    if answered.answer == "worse":
        side = "above" if gate.better == "lower" else "below"
        by, shown = number(abs(value - base)), number(value, unlike=base)
        allowed = _regression_that_counts(gate, base)
        return (
            f"{name} {shown} is {by} {side} the base's {number(base, unlike=value)} in {pairs}: worse, and not by "
            f"chance ({allowed})"
        )
    if answered.answer == "undecided":
        if answered.detectable is None:
            return f"{name}: undecided after {pairs}: too few to tell a change from chance"
        return (
            f"{name}: undecided after {pairs}: a {change} of {number(answered.detectable)} or more would have been "
            "seen in 95 of 100 cases; smaller ones not"
        )
    if answered.tolerance is None:
        return f"{name}: not worse in {pairs}"
    noise = "" if tolerance(gate, base) else ", which is what the noise allows"
    seen = f"a {change} of {number(answered.tolerance)} would have been seen in 95 of 100 cases"
    return f"{name}: not worse in {pairs}: {seen}{noise}"


def beside(answered: Answered, value: float, base: float) -> str:
    """What the pairs say, after what else is wrong with a metric."""
    pairs, told = plural(answered.pairs, "pair"), f"the base's {number(base, unlike=value)}"
    if answered.answer == "identical":
        return f", and identical with {told} in {pairs}"
    if answered.answer == "undecided":
        return f", and undecided against {told} after {pairs}"
    return f", and {'worse' if answered.answer == 'worse' else 'not worse'} than {told} in {pairs}"


def fields(answered: Answered | None) -> dict[str, Any]:
    """What the pairs say, as the fields of a MetricResult."""
    if answered is None:
        return {}
    around = answered.interval
    return {
        "interval": around,
        "within_noise": around[0] <= 0.0 <= around[1] if around is not None else None,
        "answer": answered.answer,
        "pairs": answered.pairs,
        "differences": answered.differences,
        "tolerance": answered.tolerance,
        "sd": answered.sd,
        "learnt": None
        if answered.learnt is None
        else LearntResult(
            sd=answered.learnt.sd,
            pairs=answered.learnt.pairs,
            times_as_wide=answered.misfit,
            left_out=answered.is_learnt_left_out,
        ),
        "detectable": answered.detectable,
    }


def _regression_that_counts(gate: Gate, base: float) -> str:
    """Where a gate allows two regressions, the smaller one of the two."""
    share = gate.max_relative_regression
    if share is not None and gate.max_regression is not None and share * abs(base) < gate.max_regression:
        return f"max_relative_regression {exact(share)}"
    return first_regression(gate)


def first_regression(gate: Gate) -> str:
    """The regression that a gate allows, as harness.toml has it."""
    if gate.max_regression is not None:
        return f"max_regression {exact(gate.max_regression)}"
    return f"max_relative_regression {exact(gate.max_relative_regression or 0)}"
