"""Whether a difference between two models is more than noise: paired differences and Student's t. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences, and the interval that holds the true one with 95 % confidence."""

    mean: float
    low: float
    high: float
    pairs: int

    @property
    def is_noise(self) -> bool:
        """Whether 0 is in the interval: the data do not tell the two apart."""
        return self.low <= 0.0 <= self.high


def paired(base: Sequence[float], head: Sequence[float]) -> Difference | None:
    """Head's values minus the base's, pair by pair; None for fewer than two pairs.

    Pairs share a seed, so what a seed does to both sides cancels out. The interval is mean ± t · s / √n.
    """
    differences = [after - before for before, after in zip(base, head, strict=True)]
    count = len(differences)
    if count < 2:
        return None
    mean = math.fsum(differences) / count
    variance = math.fsum((each - mean) ** 2 for each in differences) / (count - 1)
    half = student_t(CONFIDENCE, count - 1) * math.sqrt(variance / count)
    return Difference(mean, mean - half, mean + half, count)


def student_t(confidence: float, degrees: int) -> float:
    """The t for which a variable of Student's distribution lies within ±t with this probability.

    By bisection of the distribution function, which for whole degrees of freedom is the finite sum of Abramowitz
    and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    if not 0.0 < confidence < 1.0 or degrees < 1:
        raise ValueError(f"no such quantile: confidence {confidence}, {degrees} degrees of freedom")
    low, high = 0.0, 1.0
    while within(high, degrees) < confidence:
        high *= 2.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if within(middle, degrees) < confidence else (low, middle)
    return (low + high) / 2.0


def within(t: float, degrees: int) -> float:
    """The probability that a variable of Student's distribution lies between -t and t."""
    angle = math.atan2(t, math.sqrt(degrees))
    cosine = math.cos(angle)
    odd = degrees % 2 == 1
    term = cosine if odd else 1.0
    total = 0.0
    for index in range((degrees - 1) // 2 if odd else degrees // 2):
        if index:
            step = 2 * index
            term *= cosine**2 * (step / (step + 1) if odd else (step - 1) / step)
        total += term
    if odd:
        return 2.0 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total
