"""What pairs of runs tell of a test, in lines for every report."""

from __future__ import annotations

from harness.report.format import number, plural
from harness.report.model import MetricResult, TestResult


def noise(test: TestResult) -> tuple[str, ...]:
    """What the runs tell of the changes against the base, a line for each gate that compares; nothing without base."""
    compared = {name: metric for name, metric in test.metrics.items() if metric.base is not None}
    if not compared:
        return test.notes
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
    if metric.learnt is None or metric.learnt.times_as_wide is None or metric.sd is None:
        return ""
    return (
        f" (these pairs spread {metric.learnt.times_as_wide:.1f} times as wide as the {metric.learnt.pairs} earlier "
        f"ones, whose standard deviation was {number(metric.learnt.sd)})"
    )
