"""The HTML report's plots as SVG: a metric beside its gate, task instances over time, where the time went."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.report import format
from harness.report.html.markup import Markup, element, joined
from harness.report.model import MetricResult, TaskResult

_WIDTH = 920.0
_LABEL_WIDTH = 190.0
_RIGHT_ROOM = 70.0
_ROW = 24.0
_AXIS = 26.0
_MOST_ROWS = 200
_MOST_TICKS = 8
_OPEN_STATES = frozenset({"queued", "running", "deferred", "restarting"})
_GATE_WIDTH, _GATE_HEIGHT = 200.0, 22.0


def gate_bar(name: str, metric: MetricResult) -> Markup | None:
    """A scale with the range that the gate allows, the value and the base's; None without a gate."""
    gate = metric.gate
    if gate is None:
        return None
    low, high = gate.min, gate.max
    if gate.max_regression is not None and metric.base is not None:
        if gate.better == "lower":
            high = min(bound for bound in (high, metric.base + gate.max_regression) if bound is not None)
        else:
            low = max(bound for bound in (low, metric.base - gate.max_regression) if bound is not None)
    points = [point for point in (low, high, metric.value, metric.base) if point is not None]
    if not points:
        return None
    spread = (max(points) - min(points)) or abs(points[0]) * 0.1 or 1.0
    start, end = min(points) - 0.25 * spread, max(points) + 0.25 * spread

    def x(point: float) -> float:
        return (point - start) / (end - start) * (_GATE_WIDTH - 8) + 4

    left, right = x(low) if low is not None else 0.0, x(high) if high is not None else _GATE_WIDTH
    parts = [
        element("rect", x=0, y=8, width=_GATE_WIDTH, height=6, rx=3, class_="track"),
        element("rect", x=left, y=8, width=max(0.0, right - left), height=6, class_="allowed"),
    ]
    parts += [_line(x(bound), 4, 18, "bound") for bound in (low, high) if bound is not None]
    if metric.base is not None:
        parts.append(element("circle", cx=x(metric.base), cy=11, r=4.5, class_="base"))
    if metric.value is not None:
        parts.append(
            element("circle", cx=x(metric.value), cy=11, r=5, class_=f"value {metric.verdict or 'none'}")
        )
    label = (
        f"{name}: {format.metric_value(metric)}, gate {format.gate(gate)}, base {format.metric_base(metric)}"
    )
    return _svg(_GATE_WIDTH, _GATE_HEIGHT, label, parts, "gatebar")


def timeline(tasks: Sequence[TaskResult], run_s: float | None = None) -> Markup | None:
    """One row per task instance: how long it was queued, then how long it ran. None when no time is known.

    Rows start when the task was queued, counted from the run's start; at zero where that is not known. What a task
    still did when the run of `run_s` seconds ended, or was given up, is drawn to the end of the axis.
    """
    shown = [
        task for task in tasks if task.queued_s is not None or task.duration_s is not None or _is_open(task)
    ]
    if not shown:
        return None
    hidden, shown = len(shown) - _MOST_ROWS, shown[:_MOST_ROWS]
    end_s = max(_start_s(task) + _queued_s(task) + (task.duration_s or 0.0) for task in shown)
    if any(map(_is_open, shown)):
        end_s = max(end_s, run_s or 0.0)
    end_s = end_s or 1.0
    scale = (_WIDTH - _LABEL_WIDTH - _RIGHT_ROOM) / end_s
    height = _ROW * len(shown) + _AXIS
    parts = []
    for tick_s in _ticks(end_s):
        at = _LABEL_WIDTH + tick_s * scale
        parts.append(_line(at, 0, height - _AXIS + 4, "grid"))
        label = f"{tick_s:g} s" if tick_s < 60 else format.seconds(tick_s)
        parts.append(element("text", label, x=at, y=height - 8, text_anchor="middle", class_="tick"))
    for row, task in enumerate(shown):
        parts.append(_task_row(task, row * _ROW, scale, end_s))
    plot = _svg(_WIDTH, height, "task instances over time: queued, then running", parts, "timeline")
    if hidden <= 0:
        return plot
    return joined([plot, element("p", f"and {format.plural(hidden, 'more task')}", class_="dim")])


def phase_bar(phases: dict[str, float]) -> Markup | None:
    """One bar as long as the whole, a part for each phase. None when no time was spent."""
    total = sum(phases.values())
    if total <= 0:
        return None
    parts, x = [], 0.0
    for index, (name, value) in enumerate(phases.items()):
        width = value / total * _WIDTH
        title = element("title", f"{name}: {format.seconds(value)}")
        rect = element(
            "rect", title, x=x, y=0, width=max(width - 1.5, 0.5), height=18, class_=f"phase{index % 6}"
        )
        parts.append(rect)
        x += width
    return _svg(_WIDTH, 18.0, "where the time went", parts, "phases", stretched=True)


def _task_row(task: TaskResult, y: float, scale: float, end_s: float) -> Markup:
    name = format.task(task)
    short = name if len(name) <= 26 else f"{name[:25]}…"
    queued_s, ran_s, took = _queued_s(task), task.duration_s or 0.0, format.seconds(task.duration_s)
    times = f"queued {format.seconds(task.queued_s)}, ran {took}"
    if _is_open(task):
        rest_s = end_s - _start_s(task) - queued_s
        took = times = f"still {task.state}"
        queued_s, ran_s = (queued_s, rest_s) if task.queued_s is not None else (rest_s, 0.0)
    start, queued, ran = _LABEL_WIDTH + _start_s(task) * scale, queued_s * scale, ran_s * scale
    told = f"{name}: {task.state or 'no state'}, {times}"
    return element(
        "g",
        element("title", told),
        element("text", short, x=_LABEL_WIDTH - 10, y=y + 16, text_anchor="end", class_="label"),
        element("rect", x=start, y=y + 8, width=max(queued, 0.5), height=8, class_="queued"),
        element(
            "rect", x=start + queued, y=y + 4, width=max(ran, 1.5), height=16, rx=2, class_=_state_class(task)
        ),
        element("text", took, x=start + queued + ran + 6, y=y + 16, class_="took"),
    )


def _is_open(task: TaskResult) -> bool:
    """Whether the task had not ended when the run did."""
    return task.state in _OPEN_STATES and (task.duration_s is None or task.state == "running")


def _state_class(task: TaskResult) -> str:
    return {"success": "ran passed", "failed": "ran failed", "upstream_failed": "ran failed"}.get(
        task.state or "", "ran other"
    )


def _ticks(end_s: float) -> list[float]:
    rough = end_s / _MOST_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [step * index for index in range(int(end_s / step) + 1)]


def _start_s(task: TaskResult) -> float:
    return max(task.offset_s or 0.0, 0.0)


def _queued_s(task: TaskResult) -> float:
    return max(task.queued_s or 0.0, 0.0)


def _line(x: float, y1: float, y2: float, kind: str) -> Markup:
    return element("line", x1=x, x2=x, y1=y1, y2=y2, class_=kind)


def _svg(
    width: float, height: float, label: str, parts: Sequence[Markup], kind: str, *, stretched: bool = False
) -> Markup:
    box = f"0 0 {width:g} {height:g}"
    ratio = "none" if stretched else None
    return element(
        "svg", *parts, viewBox=box, preserveAspectRatio=ratio, role="img", aria_label=label, class_=kind
    )
