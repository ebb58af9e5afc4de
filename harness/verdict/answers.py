"""What pairs of runs answer for each metric: regressions by their gates, and what is told beside. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.project.configuration import Gate
from harness.verdict.sensitivity import detectable, interval
from harness.verdict.sequential import (
    SAME,
    ZONE,
    Answer,
    Evidence,
    Spread,
    decide,
    fitting,
    mean,
    measured,
    misfit,
)

Values = Mapping[str, float]  # the numbers of one run, by metric
COUNTED_UP_TO = 10_000  # rows: a share of so many, such as 110 of 113, may be the same by chance
_LARGEST = 1e306  # difference: what is made of it is still a number


@dataclass(frozen=True)
class Answered:
    """What the pairs say of one metric.

    `answer`: of a gate with a regression; None without. `pairs`: after how many it was known. `differences`: head's
    value less the base's, pair by pair, and `interval` where their mean lies in 95 of 100 comparisons. `tolerance`:
    what had to be caught, or what the noise allows where the gate's is 0; `sd`: the differences' standard
    deviation, with what was `learnt` before unless that `is_learnt_left_out`; `misfit`: how many times as wide as
    learnt they spread, where that is too far from it. `detectable`: what would have been seen in 95 of 100 cases.
    """

    answer: Answer | None
    pairs: int
    differences: tuple[float, ...]
    interval: tuple[float, float] | None
    tolerance: float | None = None
    sd: float | None = None
    learnt: Spread | None = None
    is_learnt_left_out: bool = False
    misfit: float | None = None
    detectable: float | None = None


@dataclass(frozen=True)
class Compared:
    """The answer for all gates together, None where none asks for a regression, and the pairs that it took."""

    answer: Answer | None
    pairs: int
    metrics: Mapping[str, Answered] = field(default_factory=dict)

    @property
    def is_decided(self) -> bool:
        """Whether further pairs would change nothing."""
        return self.answer != "undecided"


def compare(
    base: Sequence[Values],
    head: Sequence[Values],
    gates: Mapping[str, Gate],
    learnt: Mapping[str, Spread] | None = None,
    *,
    at_once: bool = False,
) -> Compared:
    """The answers of the pairs so far. `learnt`: the spread of each metric's differences in earlier comparisons.

    `at_once`: of all pairs together, in place of the first ones that are enough.
    Runs that are the same in every number need no further pair, unless all they report are whole numbers and one share
    of few rows.
    """
    if not base or len(base) != len(head):
        raise ValueError(f"{len(base)} runs of the base and {len(head)} of head are no pairs")
    names = [name for name in head[0] if all(name in run for run in (*base, *head))]
    evidence = {
        name: _evidence(name, base, head, gates.get(name), (learnt or {}).get(name)) for name in names
    }
    asked = {name: each for name, each in evidence.items() if _is_compared(gates.get(name))}
    counted = {**evidence, **fitting(asked, len(head))}
    answers: dict[str, Answer] = {}
    together: Answer | None = None
    pairs = len(head)
    if are_identical(base, head):
        together, answers = "identical", dict.fromkeys(asked, "identical")
        taken = dict.fromkeys(asked, 1)
    else:
        decision = decide(asked, at_once=at_once) if asked else None
        taken = {}
        if decision is not None:
            together, pairs = decision.answer, decision.pairs
            answers = {name: each.answer for name, each in decision.metrics.items()}
            taken = {name: each.pairs for name, each in decision.metrics.items()}
    return Compared(
        together,
        pairs,
        {
            name: _answered(
                each,
                counted[name],
                answers.get(name),
                taken.get(name, len(head)),
                len(asked),
                _sign(gates.get(name)),
            )
            for name, each in evidence.items()
        },
    )


def are_identical(base: Sequence[Values], head: Sequence[Values]) -> bool:
    """Whether the pairs agree in every number, and not by chance as one count of right answers easily does.

    A whole number beside it, such as that of the rows, is the same anyway.
    """
    for before, after in zip(base, head, strict=True):
        if before.keys() != after.keys():
            return False
        if any(abs(after[name] - value) > SAME * abs(value) for name, value in before.items()):
            return False
    told = [value for value in head[0].values() if not float(value).is_integer()]
    return len(head) >= 3 or len(told) > 1 or not all(map(_may_be_counted, told or [0.0]))


def tolerance(gate: Gate, base: float) -> float | None:
    """The regression that must be caught, in the metric's unit; None where the gate asks for none."""
    limits = [gate.max_regression] if gate.max_regression is not None else []
    if gate.max_relative_regression is not None:
        limits.append(gate.max_relative_regression * abs(base))
    return min(limits, default=None)


def _evidence(
    name: str, base: Sequence[Values], head: Sequence[Values], gate: Gate | None, learnt: Spread | None
) -> Evidence:
    sign = _sign(gate)
    regressions = tuple(
        sign * max(-_LARGEST, min(after[name] - before[name], _LARGEST))
        for before, after in zip(base, head, strict=True)
    )
    asked = tolerance(gate, mean([run[name] for run in base])) if gate is not None else None
    return Evidence(regressions, asked or 0.0, learnt, size=max(abs(run[name]) for run in (*base, *head)))


def _answered(
    evidence: Evidence, counted: Evidence, answer: Answer | None, taken: int, gates: int, sign: float
) -> Answered:
    pairs = len(evidence.regressions)
    found = measured(counted, pairs)
    around = interval(counted, pairs)
    learnt = evidence.learnt if evidence.learnt is not None and evidence.learnt.is_known else None
    known = found.degrees > 0 and found.sd > 0.0
    compared = answer is not None
    return Answered(
        answer=answer,
        pairs=taken,
        differences=tuple(sign * each for each in evidence.regressions),
        interval=None
        if around is None
        else (min(sign * each for each in around), max(sign * each for each in around)),
        tolerance=(evidence.tolerance or (ZONE * found.sd if known else None)) if compared else None,
        sd=found.sd if known else None,
        learnt=learnt,
        is_learnt_left_out=learnt is not None and not found.prior_pairs,
        misfit=misfit(evidence, pairs),
        detectable=detectable(counted, pairs, gates) if compared else None,
    )


def _sign(gate: Gate | None) -> float:
    """1 where more is worse."""
    return -1.0 if gate is not None and gate.better == "higher" else 1.0


def _is_compared(gate: Gate | None) -> bool:
    return gate is not None and not (gate.max_regression is None and gate.max_relative_regression is None)


def _may_be_counted(value: float) -> bool:
    """Whether a number is a share of few rows: a fraction with a small denominator."""
    from fractions import Fraction

    near = Fraction(value).limit_denominator(COUNTED_UP_TO)
    return abs(float(near) - value) <= 1e-12 * max(1.0, abs(value))
