"""What pairs can tell: where the true regression lies, what would have been seen, how many it takes. Pure functions."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from harness.verdict.noise import student_t
from harness.verdict.sequential import MOST_PAIRS, ZONE, Evidence, bounds, is_worse, measured

_SEEN = 1.6449  # 95 of 100 of a normal distribution lie below


def interval(evidence: Evidence, pairs: int) -> tuple[float, float] | None:
    """Where the true regression lies in 95 of 100 comparisons, however their number of pairs came about.

    Student's interval with a confidence that holds after every pair up to the twelfth at once (Jennison and
    Turnbull, Journal of the Royal Statistical Society B 51, 1989). None for one pair of which no spread is known.
    """
    found = measured(evidence, pairs)
    if found.degrees < 1:
        return None
    # Per look, by simulation: the least p-value of twelve looks is below its complement in 5 of 100.
    confidence = 0.9825 if found.prior_pairs else 0.9911
    half = _student_t(confidence, found.degrees) * found.sd / math.sqrt(pairs)
    return found.mean - half, found.mean + half


def detectable(evidence: Evidence, pairs: int, gates: int = 1) -> float | None:
    """The smallest regression that so many pairs with this spread call worse in 95 of 100 cases.

    None where the pairs tell no spread, or are fewer than any answer takes.
    """
    found = measured(evidence, pairs)
    limits = bounds(gates, learnt=found.prior_pairs > 0)
    if found.degrees < 1 or found.sd == 0.0 or pairs < limits.earliest:
        return None
    low, high = 0.0, max(evidence.tolerance, found.sd)
    while not is_worse(replace(found, mean=high), evidence.tolerance, limits):
        high *= 2.0
    for _ in range(40):
        middle = (low + high) / 2.0
        enough = is_worse(replace(found, mean=middle), evidence.tolerance, limits)
        low, high = (low, middle) if enough else (middle, high)
    # Above the bound in 95 of 100 cases; more than for a known spread, because this one is an estimate itself.
    seen = high + _student_t(0.95, found.degrees) * found.sd / math.sqrt(pairs)
    return seen if evidence.tolerance > 0.0 else max(seen, ZONE * found.sd)


def smallest_caught(sd: float, pairs: int, gates: int = 1) -> float:
    """The smallest tolerance that so many pairs catch in 95 of 100 cases, where their spread is known.

    With a tolerance of x · sd / √pairs the logarithm of the likelihood ratio is normal, with x²/2 as its mean and
    x as its standard deviation: x is where 95 of 100 lie above the bound.
    """
    bound = bounds(gates, learnt=True).worse
    return sd / math.sqrt(pairs) * (_SEEN + math.sqrt(_SEEN**2 + 2.0 * bound))


def expected_pairs(evidence: Evidence, gates: int = 1, most: int = MOST_PAIRS) -> int | None:
    """How many pairs a comparison takes on average, by its spread; None while that is unknown.

    By Wald's equation: the bound over what a pair adds, (tolerance / sd)² / 2, and one and a half for what it
    overshoots. Of several gates the slowest counts.
    """
    found = measured(evidence, len(evidence.regressions))
    if found.degrees < 1 or found.sd == 0.0:
        return None
    ratio = min(max(evidence.tolerance / found.sd, 0.01), 100.0) if evidence.tolerance > 0.0 else ZONE
    earliest = bounds(gates, learnt=found.prior_pairs > 0).earliest
    return min(most, max(earliest, round(1.5 + 2.0 * (1.8 + 1.75 * math.log(gates)) / ratio**2)))


_student_t = lru_cache(maxsize=1024)(student_t)
