"""Worse, not worse or undecided: one answer from pairs of runs that come one after another. Pure functions.

A metric's regressions, pair by pair, are held against two hypotheses: that nothing changed, and that it became worse
by the tolerance. After each pair their likelihoods are compared, with the unknown spread integrated out
(Wald, Sequential Analysis, 1947; for the spread: Robbins, Annals of Mathematical Statistics 41, 1970), beside
Student's t against either one, whose bound is the same after every pair (Pocock, Biometrika 64, 1977). A spread that
was learnt from earlier pairs counts as a prior of four pairs. The bounds were fitted to the error rates that
`python -m benchmarks.verdict` measures; docs/verdict.md tells what they are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

Answer = Literal["worse", "not_worse", "undecided", "identical"]

MOST_PAIRS = 12
SAME = 1e-9  # of a metric's size: what differs by less is rounding
PRIOR_PAIRS = 4  # that a learnt spread counts for, at most
LEARNT_FROM = 5  # pairs; fewer tell too little of a spread
ZONE = 2.0  # standard deviations: what noise allows where the tolerance is 0
MISFIT = 3.0  # times as wide as learnt, or as narrow: then what was learnt is left out
NARROW_FROM = 5  # pairs: fewer are often alike by chance
_MORE_WITH_GATES = 0.8
_FLOOR = 0.35  # of the smallest step between differences: equal ones still have a spread
_OVERSHOOT = 0.583
_FAR = 1e100  # standard deviations: its square is still a number


@dataclass(frozen=True)
class Spread:
    """The standard deviation of paired differences that earlier pairs had, and how many pairs those were."""

    sd: float
    pairs: int

    @property
    def is_known(self) -> bool:
        """Whether it can be relied on."""
        return self.pairs >= LEARNT_FROM and 0.0 < self.sd < math.inf

    @property
    def counts_for(self) -> int:
        """How many pairs of the next comparison it is worth: fewer than those that told it."""
        return min(PRIOR_PAIRS, self.pairs - 2)


@dataclass(frozen=True)
class Evidence:
    """What is known of one gated metric.

    `regressions`: by how much head is worse than the base, one number for each pair, negative where it is better.
    `tolerance`: the regression that must be caught, 0 for what the noise allows. `size`: of the metric's values;
    differences of 1e-9 of it count as none.
    """

    regressions: Sequence[float]
    tolerance: float
    learnt: Spread | None = None
    size: float = 0.0

    def first(self, pairs: int) -> tuple[float, ...]:
        """The regressions of the first pairs, without those that are only rounding."""
        least = SAME * abs(self.size)
        return tuple(0.0 if abs(each) <= least else each for each in self.regressions[:pairs])


@dataclass(frozen=True)
class Measured:
    """The mean of some pairs and their spread. `prior_pairs`: what of it was learnt before, in pairs."""

    pairs: int
    mean: float
    sd: float
    own_sd: float
    prior_pairs: int

    @property
    def degrees(self) -> int:
        return self.prior_pairs + self.pairs - 1


@dataclass(frozen=True)
class Bounds:
    """What evidence it takes, as logarithms of likelihood ratios, and after how many pairs at the earliest."""

    worse: float
    not_worse: float
    t_worse: float
    t_not_worse: float
    t_zone: float
    earliest: int


@dataclass(frozen=True)
class MetricDecision:
    """One metric's answer, and after which pair it was known; for `undecided` all pairs."""

    answer: Answer
    pairs: int


@dataclass(frozen=True)
class Decision(MetricDecision):
    """The answer for all metrics together, after how many pairs it was known, and each metric's own."""

    metrics: Mapping[str, MetricDecision]


def decide(evidence: Mapping[str, Evidence], *, at_once: bool = False) -> Decision:
    """What the pairs say, looked at one after another: pairs after the decision are not looked at any more.

    Worse as soon as one metric is; not worse when none is and all are decided. With `at_once` it is looked at all of
    them together alone, as where their number was fixed before. Raises ValueError for metrics with different numbers
    of pairs.
    """
    counts = {len(each.regressions) for each in evidence.values()}
    if len(counts) != 1:
        raise ValueError(f"metrics with different numbers of pairs: {sorted(counts)}")
    (most,) = counts
    known: dict[str, MetricDecision] = {}
    for pairs in range(most if at_once else 1, most + 1):
        for name, each in fitting(evidence, pairs).items():
            answer = look(each, pairs, len(evidence))
            if answer == "worse" or (answer != "undecided" and name not in known):
                known[name] = MetricDecision(answer, pairs)
        answers = {found.answer for found in known.values()}
        if "worse" in answers or len(known) == len(evidence):
            together: Answer = (
                "worse" if "worse" in answers else "identical" if answers == {"identical"} else "not_worse"
            )
            return Decision(together, pairs, _all(evidence, known, pairs))
    return Decision("undecided", most, _all(evidence, known, most))


def look(evidence: Evidence, pairs: int, gates: int = 1) -> Answer:
    """What the first pairs say by themselves, for one of several gates."""
    regressions = evidence.first(pairs)
    found = measured(evidence, pairs)
    limits = bounds(gates, learnt=found.prior_pairs > 0)
    if pairs < limits.earliest:
        return "undecided"
    if not any(regressions):
        return "identical"
    tolerance = evidence.tolerance or ZONE * found.sd
    if is_worse(found, evidence.tolerance, limits):
        return "worse"
    likelihood = _likelihood(found, evidence.tolerance) if evidence.tolerance > 0.0 else 0.0
    overshoot = _overshoot(found, evidence.tolerance)
    t_not_worse = limits.t_not_worse if evidence.tolerance > 0.0 else limits.t_zone
    if _student(found, tolerance - found.mean) >= t_not_worse:
        return "not_worse"
    return "not_worse" if -likelihood >= limits.not_worse - overshoot else "undecided"


def is_worse(found: Measured, tolerance: float, limits: Bounds) -> bool:
    """Whether a mean and its spread are enough to say so."""
    if _student(found, found.mean) >= limits.t_worse:
        return True
    return tolerance > 0.0 and _likelihood(found, tolerance) >= limits.worse - _overshoot(found, tolerance)


def fitting(evidence: Mapping[str, Evidence], pairs: int) -> dict[str, Evidence]:
    """The evidence, without any learnt spread once the pairs of one metric have been far wider than its own.

    Such commits differ in another way than the earlier ones did, as by other draws where those had the same: then
    nothing that was learnt holds for them, whatever the other metrics' few pairs look like. Far is three times, and a
    little more with each gate, because of many one is so wide by chance.
    """
    far = MISFIT + _MORE_WITH_GATES * math.log(max(1, len(evidence)))
    if any("wide" in _misfits(each, pairs, far) for each in evidence.values()):
        return {name: replace(each, learnt=None) for name, each in evidence.items()}
    return dict(evidence)


def measured(evidence: Evidence, pairs: int) -> Measured:
    """Mean and spread of the first pairs. A learnt spread that did not fit them is left out."""
    regressions = evidence.first(pairs)
    middle = mean(regressions)
    distance = math.hypot(*(each - middle for each in regressions))
    own = distance / math.sqrt(pairs - 1) if pairs > 1 else 0.0
    learnt = evidence.learnt
    if learnt is not None and learnt.is_known and not _misfits(evidence, pairs):
        prior = learnt.counts_for
        both = math.hypot(math.sqrt(prior) * learnt.sd, distance)
        return Measured(pairs, middle, both / math.sqrt(prior + pairs - 1), own, prior)
    return Measured(pairs, middle, max(own, _FLOOR * _step(regressions)), own, 0)


def mean(values: Sequence[float]) -> float:
    """Also of numbers whose sum is too large for one."""
    try:
        return math.fsum(values) / len(values)
    except OverflowError:
        return math.fsum(each / len(values) for each in values)


def misfit(evidence: Evidence, pairs: int) -> float | None:
    """How many times as wide as learnt the pairs spread, where that is more than chance does to one in ten.

    The standard deviation of so few pairs varies by a share of 1 / √(2 (pairs - 1)) itself. Less than once where they
    are so narrow that what was learnt is left out.
    """
    if evidence.learnt is None or not evidence.learnt.is_known or pairs < 2:
        return None
    times = min(measured(evidence, pairs).own_sd / evidence.learnt.sd, _FAR)
    is_told = times > 1.0 + 1.2 / math.sqrt(2.0 * (pairs - 1)) or _misfits(evidence, pairs)
    return times if is_told else None


@lru_cache
def bounds(gates: int, *, learnt: bool) -> Bounds:
    """The bounds for each of several gates, so that all together keep the error rates.

    Fitted by simulation to: equal models are called worse in 5 of 100 comparisons, models that are worse by the
    tolerance are caught in 95, with as few pairs as that takes. Without a learnt spread nobody is judged before
    the third pair, with one before the second: until then nothing would say that it no longer fits.
    """
    more = math.log(gates)
    if learnt:
        return Bounds(2.82 + 1.1 * more, 2.82 - 0.15 * more, 2.3 + 0.9 * more, 2.5, 1.7 + 0.1 * more, 2)
    return Bounds(2.93 + 1.17 * more, 2.73, 2.7 + 1.05 * more, 2.5, 1.8 + 0.1 * more, 3)


def _misfits(evidence: Evidence, pairs: int, far: float = MISFIT) -> frozenset[Literal["wide", "narrow"]]:
    """How the spread of the first pairs has been at odds with the learnt one, after any of them."""
    learnt = evidence.learnt
    if learnt is None or not learnt.is_known:
        return frozenset()
    found: set[Literal["wide", "narrow"]] = set()
    middle, distance = 0.0, 0.0
    for count, each in enumerate(evidence.first(pairs), start=1):
        before = each - middle
        middle += before / count
        distance = math.hypot(distance, before * math.sqrt((count - 1) / count))
        own = distance / math.sqrt(count - 1) if count > 1 else 0.0
        if own > far * learnt.sd:
            found.add("wide")
        if count >= NARROW_FROM and own < learnt.sd / MISFIT:
            found.add("narrow")
    return frozenset(found)


def _student(found: Measured, distance: float) -> float:
    """How much likelier the data are with the mean where it is than this far below: 0 where it is not below."""
    if distance <= 0.0 or found.degrees < 1:
        return 0.0
    if found.sd == 0.0:
        return math.inf
    square = found.pairs * min(distance / found.sd, _FAR) ** 2
    return 0.5 * found.degrees * math.log1p(square / found.degrees)


def _likelihood(found: Measured, tolerance: float) -> float:
    """How much likelier a regression by the tolerance is than none, as a logarithm, the spread integrated out.

    Without a learnt spread there is a weak prior, worth one pair: people choose tolerances of about two standard
    deviations. What is better than none counts as none, and what is worse than the tolerance as just that.
    """
    unit = max(found.sd, tolerance)  # squares of numbers near 1 are numbers themselves
    squares = found.degrees * (found.sd / unit) ** 2
    weight = found.degrees + 1
    if not found.prior_pairs:
        squares += (tolerance / unit / ZONE) ** 2
        weight += 1
    regression = min(max(found.mean, 0.0), tolerance)
    none = squares + found.pairs * (regression / unit) ** 2
    worse = squares + found.pairs * ((tolerance - regression) / unit) ** 2
    return 0.5 * weight * (math.log(none) - math.log(worse)) if none > 0.0 and worse > 0.0 else 0.0


def _overshoot(found: Measured, tolerance: float) -> float:
    """By how much a likelihood ratio is over its bound on average when it gets there, as a logarithm.

    0.583 standard deviations of what one pair adds, tolerance / sd (Siegmund, Sequential Analysis, 1985, chapter X);
    of no more than two, because a spread that few pairs show may be far too small.
    """
    return _OVERSHOOT * min(tolerance / found.sd, ZONE) if found.sd > 0.0 else _OVERSHOOT * ZONE


def _step(regressions: Sequence[float]) -> float:
    """The smallest step between differences, of a metric that is a count: 0 where all are 0."""
    largest = max(map(abs, regressions))
    points = sorted((0.0, *regressions))
    gaps = (after - before for before, after in itertools.pairwise(points))
    return min((gap for gap in gaps if gap > SAME * largest), default=0.0)


def _all(
    evidence: Mapping[str, Evidence], known: Mapping[str, MetricDecision], pairs: int
) -> dict[str, MetricDecision]:
    undecided = MetricDecision("undecided", pairs)
    return {name: known.get(name, undecided) for name in evidence}
