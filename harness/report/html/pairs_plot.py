"""The HTML report's plot of a comparison: pair by pair, what had to be caught, and where it had an answer."""

from __future__ import annotations

from harness.report import format
from harness.report.html.markup import Markup, element, joined
from harness.report.model import MetricResult
from harness.report.pairs import line

_WIDTH, _HEIGHT = 560.0, 150.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 70.0, 150.0, 12.0, 24.0
_MOST_NUMBERS = 20
_LINE = 13.0


def pairs_plot(name: str, metric: MetricResult) -> Markup | None:
    """A dot for each pair, the line of no change, that of the tolerance, and the interval; None without pairs.

    At the upright line the answer was known.
    """
    if metric.answer is None or not metric.differences or metric.pairs is None:
        return None
    better = metric.gate.better if metric.gate else None
    worse = None if metric.tolerance is None else metric.tolerance * (1 if better == "lower" else -1)
    low, high = metric.interval or (0.0, 0.0)
    points = [0.0, *metric.differences, *([worse] if worse is not None else [])]
    # An interval of two pairs may be wider than all else by far: it is cut there.
    spread = (max(points) - min(points)) or abs(points[-1]) or 1.0
    bottom, top = min(points) - 0.25 * spread, max(points) + 0.25 * spread
    count = len(metric.differences)

    def x(pair: float) -> float:
        return _LEFT + (pair - 0.5) / count * (_WIDTH - _LEFT - _RIGHT)

    def y(difference: float) -> float:
        inside = min(max(difference, bottom), top)
        return _TOP + (top - inside) / (top - bottom) * (_HEIGHT - _TOP - _BOTTOM)

    end = _WIDTH - _RIGHT
    parts = []
    if metric.interval is not None:
        height = max(2.0, y(low) - y(high))
        parts.append(element("rect", x=end - 10, y=y(high), width=8, height=height, class_="allowed"))
    levels = [(y(0.0), "0", "grid", "no change")]
    if worse is not None:
        label = "to be caught" if _asked(metric) else "what noise allows"
        levels.append((y(worse), format.signed(worse), "bound", label))
    texts = _apart([height for height, *_ in levels])
    for (height, text, kind, label), at in zip(levels, texts, strict=True):
        parts += [
            element("line", x1=_LEFT, x2=end, y1=height, y2=height, class_=kind),
            element("text", text, x=4, y=at + 4, class_="tick"),
            element("text", label, x=end + 6, y=at + 4, class_="tick"),
        ]
    stop = x(metric.pairs + 0.5)
    if metric.answer != "undecided":
        parts.append(element("line", x1=stop, x2=stop, y1=_TOP, y2=_HEIGHT - _BOTTOM, class_="bound"))
        parts.append(element("text", metric.answer.replace("_", " "), x=stop + 4, y=_TOP + 8, class_="tick"))
    verdict = "failed" if metric.answer == "worse" else "passed"
    for number, difference in enumerate(metric.differences, start=1):
        exact = element("title", f"pair {number}: {format.signed(difference)}")
        parts.append(element("circle", exact, cx=x(number), cy=y(difference), r=4, class_=f"value {verdict}"))
        if count <= _MOST_NUMBERS:
            parts.append(element("text", str(number), x=x(number) - 3, y=_HEIGHT - 6, class_="tick"))
    label = f"{name}: differences of {format.plural(count, 'pair')}, {metric.message}"
    svg = element(
        "svg", *parts, viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}", role="img", aria_label=label, class_="pairs"
    )
    return joined([element("p", line(metric)), svg])


def _asked(metric: MetricResult) -> bool:
    """Whether the tolerance is what the gate asks for; of a share of 0, or with one of 0, it is not."""
    gate, base = metric.gate, abs(metric.base or 0.0)
    if gate is None:
        return False
    shares = () if gate.max_relative_regression is None else (gate.max_relative_regression * base,)
    fixed = () if gate.max_regression is None else (gate.max_regression,)
    return min((*fixed, *shares), default=0.0) > 0.0


def _apart(heights: list[float]) -> list[float]:
    """Where the texts of one or two levels stand, which are not written over each other."""
    if len(heights) < 2 or abs(heights[1] - heights[0]) >= _LINE:
        return heights
    middle, half = sum(heights) / 2.0, _LINE / 2.0
    return [middle - half, middle + half] if heights[1] >= heights[0] else [middle + half, middle - half]
