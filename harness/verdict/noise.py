"""Student's t distribution. Pure functions."""

from __future__ import annotations

import math


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
