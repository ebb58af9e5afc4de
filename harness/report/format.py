"""Numbers, seconds, bytes, digests, gates and names as every report shows them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from harness.report.model import (
        ChildRun,
        MetricResult,
        Receipt,
        Result,
        TaskResult,
        TestResult,
        VersionResult,
    )

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_NOT_RUN = {None, "skipped", "removed", "upstream_failed"}
_SIGNIFICANT = 4
SUMMARY_METRICS = 3  # that have no gate, in a verdict's line
_EXACT = 17  # digits that tell any two floats apart


class Bounds(Protocol):
    """What GateResult and config.Gate have in common."""

    @property
    def min(self) -> float | None: ...
    @property
    def max(self) -> float | None: ...
    @property
    def better(self) -> str | None: ...
    @property
    def max_regression(self) -> float | None: ...
    @property
    def max_relative_regression(self) -> float | None: ...


def clean(text: str) -> str:
    """`text` without terminal escapes and control characters, so that a log line can't draw on the screen."""
    return _UNPRINTABLE.sub("", _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def one_line(text: str) -> str:
    """`text`, cleaned, on one line."""
    return " ".join(clean(text).split())


def cleaned(result: Result) -> Result:
    """The result with every text made safe to show: names on one line, evidence line by line."""
    from harness.report.model import Result as Model

    return Model.model_validate(_cleaned(result.model_dump(by_alias=True)))


def _cleaned(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, dict):
        return {
            one_line(key): tuple(line for text in entry for line in clean(text).splitlines())
            if key == "evidence"
            else _cleaned(entry)
            for key, entry in value.items()
        }
    return [_cleaned(entry) for entry in value] if isinstance(value, list | tuple) else value


def exact(value: float) -> str:
    """The shortest decimal that is exactly this float, as people write it: 0.93, 1, 250000."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return repr(float(value))


def number(value: float, *, unlike: float | None = None) -> str:
    """About four significant digits, or as many as it takes to be told from `unlike`.

    0.92999999 is "0.93", but "0.92999999" beside the bound 0.93. Whole numbers are never shortened.
    """
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    for digits in range(_SIGNIFICANT, _EXACT + 1):
        text = _rounded(value, digits)
        shown = Decimal(text)
        if abs(value) < 1000 and shown == shown.to_integral_value():
            continue  # an accuracy of 0.99996 is not 1
        if not math.isfinite(float(text)):
            continue  # rounded up beyond the largest float
        if unlike is None or value == unlike or _same_side(shown, value, unlike):
            return text
    return repr(value)


def _rounded(value: float, digits: int) -> str:
    magnitude = abs(value)
    if not 1e-4 <= magnitude < 1e15:
        return f"{value:.{digits}g}"
    exponent = Decimal(value).adjusted()
    text = f"{value:.{max(0, digits - 1 - exponent)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _same_side(shown: Decimal, value: float, other: float) -> bool:
    bound = Decimal(repr(float(other)))
    return shown < bound if value < other else shown > bound


def signed(value: float) -> str:
    """A difference with its sign: "+0.012", "-0.3", "0"."""
    text = number(value)
    return f"+{text}" if value > 0 else text


def gate(bounds: Bounds) -> str:
    """A gate as text: ">= 0.93", ">= 0.9, <= 1, drop <= 0.01"; "rise" where lower is better."""
    parts = []
    if bounds.min is not None:
        parts.append(f">= {exact(bounds.min)}")
    if bounds.max is not None:
        parts.append(f"<= {exact(bounds.max)}")
    worse = "rise" if bounds.better == "lower" else "drop"
    if bounds.max_regression is not None:
        parts.append(f"{worse} <= {exact(bounds.max_regression)}")
    if bounds.max_relative_regression is not None:
        parts.append(f"{worse} <= {exact(float(Decimal(repr(bounds.max_relative_regression)) * 100))} %")
    return ", ".join(parts)


def seconds(value: float | None) -> str:
    """ "0.35 s", "4.2 s", "43 s", "12 min 5 s", "2 h 3 min"; "-" for None."""
    if value is None:
        return "-"
    if value < 0.995:
        return f"{max(value, 0):.2f} s"
    if value < 9.95:
        return f"{value:.1f} s"
    return " ".join(f"{number} {unit}" for number, unit in _in_units(value, ("h", "min", "s")))


def duration(value: float) -> str:
    """Seconds as people write them in harness.toml: "45s", "9m12s", "1h05m"."""
    (first, unit), *rest = _in_units(value, ("h", "m", "s"))
    return f"{first}{unit}" + "".join(f"{number:02d}{smaller}" for number, smaller in rest)


def _in_units(value: float, units: tuple[str, str, str]) -> list[tuple[int, str]]:
    """Seconds in the largest of these units that they fill, and what is left in the next one."""
    minutes, seconds = divmod(round(value), 60)
    hours, minutes_left = divmod(minutes, 60)
    hour, minute, second = units
    if not minutes:
        return [(seconds, second)]
    found = [(hours, hour), (minutes_left, minute)] if hours else [(minutes, minute), (seconds, second)]
    return found if found[1][0] else found[:1]


def size(value: int | None) -> str:
    """Bytes in decimal units: "812 B", "10.2 kB", "1.07 GB"; "-" for None."""
    if value is None:
        return "-"
    amount = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{value} B" if unit == "B" else f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"


def digest(value: str | None) -> str:
    """The algorithm and the first 12 hex digits: "sha256:0123456789ab"; "-" for None."""
    if not value:
        return "-"
    algorithm, colon, rest = value.rpartition(":")
    return f"{algorithm}{colon}{rest[:12]}"


def commit(version: VersionResult) -> str:
    """The commit's first 12 digits, with "-dirty-…" when there were uncommitted changes."""
    if version.commit is None:
        return "no commit"
    return version.commit[:12] + (f"-dirty-{version.dirty[:8]}" if version.dirty else "")


def task(result: TaskResult) -> str:
    """The task's name; task[3] for the fourth of a mapped task."""
    return result.task_id if result.map_index < 0 else f"{result.task_id}[{result.map_index}]"


def task_state(result: TaskResult) -> str:
    """The state that the task ended in, or that the test left it out; "-" when it has none."""
    return "skipped by the test" if result.skipped_by_test else result.state or "-"


def plural(count: int, noun: str) -> str:
    """ "1 gate", "2 gates"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def receipt(found: Receipt) -> str:
    """An isolation receipt in one line."""
    failed = [check for check in found.checks if check.verdict == "failed"]
    if failed:
        return f"failed: {failed[0].name}: {failed[0].message}"
    if not found.beside:
        return "not exercised: no other version was there"
    open_ones = [check for check in found.checks if check.verdict == "not exercised"]
    rest = f"; not exercised: {', '.join(check.name for check in open_ones)}" if open_ones else ""
    return f"passed beside {plural(len(found.beside), 'version')}{rest}"


def summary(test: TestResult) -> str:
    """One line that says why a test got its verdict: its cause, or the gates that hold."""
    if test.cause is not None:
        return test.cause.message
    held = [
        f"{name} {metric_value(metric)} ({gate(metric.gate)}{': undecided' if metric.answer == 'undecided' else ''})"
        for name, metric in test.metrics.items()
        if metric.gate is not None and metric.value is not None and metric.verdict == "passed"
    ]
    ran = sum(task.state not in _NOT_RUN and not task.skipped_by_test for task in test.tasks)
    failed = sum(task.state == "failed" for task in test.tasks)
    forgiven = f"; {plural(failed, 'task')} failed, which the DAG's trigger rules let pass" if failed else ""
    bare = [f"{name} {metric_value(metric)}" for name, metric in most(test.metrics, SUMMARY_METRICS).items()]
    bare += ["…"] if len(bare) < len(test.metrics) else []
    told = f"; without a gate: {', '.join(bare)}" if bare else ""
    return (", ".join(held) or f"{plural(ran, 'task')} ran{told}") + forgiven


def child_run(child: ChildRun) -> str:
    """A run that a test's run led to, in a line."""
    by = {"operator": ", triggered by a task", "asset": ", triggered by an asset"}
    return f"led to DAG {child.dag_id}{by.get(child.triggered_by or '', '')}, run {child.state}"


def metric_value(metric: MetricResult) -> str:
    """A metric's value, told from the bound next to it; "-" when it was not reported."""
    value, bounds = metric.value, (metric.gate.min, metric.gate.max) if metric.gate else ()
    if value is None:
        return "-"
    known = [bound for bound in bounds if bound is not None]
    return number(value, unlike=min(known, key=lambda bound: abs(bound - value), default=None))


def metric_base(metric: MetricResult) -> str:
    """The base's value; "-" when there is none."""
    return "-" if metric.base is None else number(metric.base, unlike=metric.value)


def metric_change(metric: MetricResult) -> str:
    """What the metric gained or lost against the base: "-0.031"."""
    if metric.value is None or metric.base is None:
        return "-"
    return signed(float(Decimal(repr(metric.value)) - Decimal(repr(metric.base))))


def metric_interval(metric: MetricResult) -> str:
    """Where the true change lies with 95 % confidence: "-0.01 to +0.002"; "-" after a single run."""
    if metric.interval is None:
        return "-"
    low, high = metric.interval
    return signed(low) if low == high else f"{signed(low)} to {signed(high)}"


def metric_gate(metric: MetricResult) -> str:
    """The gate as text, with the base's own where it differs."""
    if metric.gate is None:
        return "-"
    if metric.base_gate is None:
        return gate(metric.gate)
    return f"{gate(metric.gate)} (base: {gate(metric.base_gate) or 'none'})"


def metric_verdict(metric: MetricResult) -> str:
    """The verdict; "not judged" for a gate that had nothing to be judged by, "-" without a gate."""
    return metric.verdict or ("not judged" if metric.gate is not None else "-")


def most(metrics: Mapping[str, MetricResult], limit: int) -> dict[str, MetricResult]:
    """Every gated metric, and of the others the first ones, `limit` in all."""
    room = limit - sum(metric.gate is not None for metric in metrics.values())
    kept: dict[str, MetricResult] = {}
    for name, metric in metrics.items():
        if metric.gate is None:
            room -= 1
        if metric.gate is not None or room >= 0:
            kept[name] = metric
    return kept
