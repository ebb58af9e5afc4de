"""What pairs of runs tell of a test, in lines for every report."""

from __future__ import annotations

from harness.report.format import number, plural
from harness.report.model import MetricResult, TestResult


def noise(test: TestResult) -> tuple[str, ...]:
    """What the runs tell of the changes against the base, a line for each gate that compares; without base how many.

    A base that was measured before may be the mean of more runs than its pairs with head are.
    """
    compared = {name: metric for name, metric in test.metrics.items() if metric.base is not None}
    if not compared:
        count = len(test.repetitions) if test.metrics else 0
        return (f"means of {count} runs", *test.notes) if count > 1 else test.notes
    answered = [metric for metric in compared.values() if metric.answer is not None]
    if not test.repetitions and not answered:
        several = "" if test.notes else "; a seed in the test's conf makes it several"
        return (f"one run of each: that can't tell a change from chance{several}", *test.notes)
    told = [line(metric) for metric in answered if metric.message]
    others = {name: metric for name, metric in compared.items() if metric.answer is None}
    real = [name for name, metric in others.items() if metric.within_noise is False]
    told += [f"changed by more than the noise, without a gate: {', '.join(real)}"] if real else []
    return (f"{plural(max(1, len(test.repetitions)), 'run')} of each", *test.notes, *told)


def line(metric: MetricResult) -> str:
    """What its pairs tell of a gated metric."""
    return f"{metric.message}{_learnt(metric)}"


def _learnt(metric: MetricResult) -> str:
    """What earlier pairs told of the spread, where these are too far from it."""
    learnt = metric.learnt
    if learnt is None or metric.sd is None:
        return ""
    if learnt.times_as_wide is None:
        return " (what earlier pairs told of the noise is left out)" if learnt.left_out else ""
    spread = (
        f"{number(round(learnt.times_as_wide, 1))} times as wide as"
        if learnt.times_as_wide >= 0.1
        else "far less than"
    )
    left_out = ", which is left out" if learnt.left_out else ""
    return (
        f" (these pairs spread {spread} the {learnt.pairs} earlier ones, whose standard deviation was "
        f"{number(learnt.sd)}{left_out})"
    )
