"""The result of `harness test`, and errors, for people at a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.report import format, phases, task_numbers
from harness.report.pairs import noise
from harness.report.text.style import Style

if TYPE_CHECKING:
    from harness.errors import HarnessError
    from harness.report.model import Cause, MetricResult, Result, TaskResult, TestResult, VersionResult

_BAR_COLUMNS = 30
_MOST_TASKS = 60
_MOST_METRICS = 40
_NARROWEST_COLUMN = 12
_ROOM_FOR_INTERVALS = 90
_ROOM_FOR_PODS = 100
_GAP = "  "


def render(result: Result, style: Style | None = None) -> str:
    """The whole result as text: each version, then the hints, and the verdict in the last lines."""
    style = style or Style()
    result = format.cleaned(result)
    blocks = [_version(version, style) for version in result.versions]
    if result.cause is not None:
        blocks.append(_cause(result.cause, style))
    hints = list(dict.fromkeys(cause.hint for cause in result.causes if cause.hint))
    if hints:
        blocks.append([_hint(hint, style) for hint in hints])
    blocks.append(_verdicts(result, style))
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def render_error(error: HarnessError, style: Style | None = None) -> str:
    """An error as text: what failed and why, what was seen, and a hint."""
    from harness.report.model import Cause

    style = style or Style()
    lines = [f"{style.paint('error:', 'bold', 'red')} {format.clean(error.message)}"]
    told = Cause.of(error).evidence  # as much of it as in a result
    lines += [f"  {line}" for text in told for line in format.clean(text).splitlines()]
    if error.hint:
        lines += ["", _hint(error.hint, style)]
    return "\n".join(lines) + "\n"


def _hint(hint: str, style: Style) -> str:
    return f"{style.paint('hint:', 'bold', 'cyan')} {format.one_line(hint)}"


def _version(version: VersionResult, style: Style) -> list[str]:
    if version.cause is not None and version.image is None and not version.tests:
        return _cause(version.cause, style)  # nothing was begun; the verdict's line names the ref
    ref, commit = version.ref, format.commit(version)
    ref = f"{ref} ({version.role})" if version.role else ref
    title = ref if ref == commit else f"{ref}{_GAP}{commit}"
    lines = [style.paint(title, "bold")]
    if version.image is not None:
        lines.append(f"image      {version.image.name}{_GAP}{format.digest(version.image.digest)}")
    if version.namespace is not None:
        lines.append(f"namespace  {version.namespace}{_GAP + 'kept' if version.kept else ''}")
    if version.bundle is not None:
        lines.append(f"bundle     {version.bundle}")
    if version.receipt is not None:
        lines.append(f"isolation  {format.receipt(version.receipt)}")
    for test in version.tests:
        lines += ["", *_test(test, style)]
    spent = phases.of_version(version)
    if spent:
        lines += ["", *_phases(spent, version.load_bytes, style)]
    for test in version.tests:
        if test.cause is not None:  # of several tests it says of which
            lines += ["", *_cause(test.cause, style, f"{test.name}: " if len(version.tests) > 1 else "")]
    if version.cause is not None:
        lines += ["", *_cause(version.cause, style)]
    return lines


def _test(test: TestResult, style: Style) -> list[str]:
    details = [f"DAG {test.dag_id}"] if test.dag_id != test.name else []
    details += [text for text in (test.run_id, f"run {test.state}" if test.state else None) if text]
    details += [f"measured before, {test.kept_at}"] if test.kept_at else []
    rest = style.fit(_GAP.join(details), max(0, style.width - len(test.name) - len(_GAP)))
    lines = [f"{style.paint(test.name, 'bold')}{_GAP}{rest}".rstrip()]
    if test.tasks:
        lines += ["", *_tasks(test.tasks, style)]
    for child in test.children:
        lines += ["", f"  {style.fit(format.child_run(child), style.width - 2)}"]
        lines += ["", *_tasks(child.tasks, style)] if child.tasks else []
    if test.metrics:
        lines += ["", *_metrics(test.metrics, style)]
    for told in noise(test):
        wrapped = textwrap.wrap(told, max(20, style.width - 4), subsequent_indent="  ")
        lines += [f"  {style.paint(line, 'dim')}" for line in wrapped]
    if test.parameters:
        told = ", ".join(f"{name}={value}" for name, value in test.parameters.items())
        lines.append(style.fit(f"  parameters  {told}", style.width))
    return lines


def _tasks(tasks: tuple[TaskResult, ...], style: Style) -> list[str]:
    rows = []
    numbers = task_numbers.columns(tasks)
    with_pods = len(numbers) < 5 or style.width >= _ROOM_FOR_PODS  # of a comparison the numbers tell more
    for task in tasks[:_MOST_TASKS]:
        state = format.task_state(task)
        tries = f"{state} (try {task.try_number})" if task.try_number > 1 else state
        rows.append(
            (
                format.task(task),
                tries,
                *((task.pod or "-",) if with_pods else ()),
                *(column.cell(task) for column in numbers),
            )
        )
    verdicts = {"success": "passed", "failed": "failed", "upstream_failed": "failed"}
    colours = [None if task.skipped_by_test else verdicts.get(task.state or "") for task in tasks]
    head = ("task", "state", *(("pod",) if with_pods else ()), *(column.head for column in numbers))
    lines = _table(
        head,
        rows,
        style,
        right=range(len(head) - len(numbers), len(head)),
        shrink=(2, 0) if with_pods else (0,),
        paint=(1, colours),
    )
    hidden = len(tasks) - _MOST_TASKS
    return [*lines, f"  and {format.plural(hidden, 'more task')}"] if hidden > 0 else lines


def _metrics(metrics: dict[str, MetricResult], style: Style) -> list[str]:
    compared = any(metric.base is not None for metric in metrics.values())
    # On a narrow terminal what a gate allows tells more: what the pairs say stands below.
    wide = style.width >= _ROOM_FOR_INTERVALS
    repeated = wide and any(metric.interval is not None for metric in metrics.values())
    rows, verdicts = [], []
    shown = format.most(metrics, _MOST_METRICS)
    for name, metric in shown.items():
        row = [name, *([format.metric_base(metric)] if compared else []), format.metric_value(metric)]
        if compared:
            row += [format.metric_change(metric), *([format.metric_interval(metric)] if repeated else [])]
        verdicts.append(metric.verdict)
        rows.append((*row, format.metric_gate(metric), format.metric_verdict(metric)))
    changed = ("change", *(("95 % sure",) if repeated else ()))
    head = ("metric", *(("base", "head", *changed) if compared else ("value",)), "gate", "verdict")
    right = range(1, len(head) - 2)
    lines = _table(head, rows, style, right=right, shrink=(0, len(head) - 2), paint=(len(head) - 1, verdicts))
    hidden = len(metrics) - len(shown)
    return [*lines, f"  and {format.plural(hidden, 'more metric')} without a gate"] if hidden else lines


def _phases(spent: dict[str, float], load_bytes: int | None, style: Style) -> list[str]:
    total = sum(spent.values())
    longest = max(spent.values()) or 1.0
    width = max(map(len, spent))
    columns = max(8, min(_BAR_COLUMNS, style.width - width - 24))
    lines = [style.paint(f"where the time went ({format.seconds(total)})", "dim")]
    for name, value in spent.items():
        bar = style.signs.bar * max(1 if value > 0 else 0, round(columns * value / longest))
        loaded = f"{_GAP}{format.size(load_bytes)} sent" if name == "load" and load_bytes is not None else ""
        lines.append(f"  {name:<{width}}  {format.seconds(value):>12}  {style.paint(bar, 'cyan')}{loaded}")
    return lines


def _cause(cause: Cause, style: Style, test: str = "") -> list[str]:
    where = f" in task {cause.task_id}" if cause.task_id else ""
    lines = [f"{style.paint('cause:', 'bold')} {test}{cause.message} ({cause.code}{where})"]
    return lines + [f"  {line}" for line in cause.evidence]


def _verdicts(result: Result, style: Style) -> list[str]:
    """One line per test, what did not pass last; a cause outside every test has a line of its own."""
    entries: list[tuple[str, str]] = []
    for version in result.versions:
        ref = version.ref
        for test in version.tests:
            entries.append((test.verdict, f"{ref}{_GAP}{test.name}: {format.summary(test)}"))
        if version.cause is not None:
            entries.append((version.cause.verdict, f"{ref}: {version.cause.message}"))
        elif not version.tests:
            entries.append((version.verdict, f"{ref}: no test ran"))
    if result.cause is not None:
        entries.append((result.cause.verdict, result.cause.message))
    if not entries:
        entries.append((result.verdict, "nothing was asked for"))
    order = {"passed": 0, "error": 1, "failed": 2}
    return [
        f"{style.verdict(verdict, f'{style.sign(verdict)} {verdict}')}{_GAP}{text}"
        for verdict, text in sorted(entries, key=lambda entry: order[entry[0]])
    ]


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    style: Style,
    *,
    right: Sequence[int],
    shrink: Sequence[int],
    paint: tuple[int, Sequence[str | None]],
) -> list[str]:
    """Aligned columns. Where they don't fit, the columns `shrink` lose width first, then the widest."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(head, *rows, strict=True)]
    room = style.width - 2 - len(_GAP) * (len(head) - 1)
    others = sorted(set(range(len(head))) - set(shrink), key=lambda index: -widths[index])
    for index in (*shrink, *others):
        excess = sum(widths) - room
        if excess > 0:
            widths[index] = min(widths[index], max(_NARROWEST_COLUMN, widths[index] - excess))

    def line(cells: Sequence[str], verdict: str | None = None) -> str:
        parts = []
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            text = style.fit(cell, width)
            fill = " " * (width - cell_len(text))
            shown = style.verdict(verdict, text) if index == paint[0] and cells is not head else text
            parts.append(fill + shown if index in right else shown + fill)
        return f"  {_GAP.join(parts).rstrip()}"

    return [
        style.paint(line(head), "dim"),
        *(line(row, verdict) for row, verdict in zip(rows, paint[1], strict=False)),
    ]
