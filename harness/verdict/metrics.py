"""A run's metrics: read from what a task returned, judged by gates, compared with a base. Pure functions."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any

from harness.errors import CauseCode, HarnessError
from harness.project.configuration import Gate
from harness.report.format import exact, number, plural
from harness.report.model import Cause, GateResult, MetricResult
from harness.verdict import said
from harness.verdict.answers import Answered
from harness.verdict.said import first_regression

MAX_METRICS = 1000
MAX_NAME_LENGTH = 200
_MAX_DEPTH = 16
NAMED_METRICS = 5
_HINT = 'return a flat dict of numbers from that task, such as {"accuracy": 0.95}'
_NAME_HINT = 'add `name = "accuracy"` to `metrics` of the test in harness.toml, or return {"accuracy": 0.95}'
_NOT_FINITE_WORDS = frozenset({"nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})


def read(value: object, gated: Collection[str] = (), told: str = "the task returned") -> dict[str, float]:
    """The numbers in what a task returned, by name; those of nested dicts as "outer.inner".

    `told` says in messages where they are from, such as "reports/metrics.json holds".

    True and False count as 1 and 0, so that a gate can ask for them. What Airflow wraps to keep its type
    (NumPy numbers, dataclasses) is unwrapped, and text that is a JSON object is read as that object. Other
    entries (text, lists, None) are passed over as long as there is at least one number and no gate asks for them.

    Raises HarnessError: METRICS_MISSING for None or nothing at all, METRICS_INVALID for what is no mapping,
    holds no number, none where one is `gated`, a number that is not finite, one name twice, more than 1000
    numbers or a name of more than 200 characters.
    """
    value = _unwrapped(_from_json(value))
    if isinstance(value, int | float) or (
        isinstance(value, list) and value and not isinstance(value[0], dict | list)
    ):
        told_as = f"the metrics are {_a(value)}, not a mapping of names to numbers"
        raise HarnessError(CauseCode.METRICS_INVALID, told_as, hint=_NAME_HINT)
    if value is None or value in ("", {}, []):
        raise HarnessError(CauseCode.METRICS_MISSING, f"{told} no metrics", hint=_HINT)
    if not isinstance(value, Mapping):
        raise _invalid(f"the metrics are {_a(value)}, not a mapping of names to numbers")
    metrics: dict[str, float] = {}
    not_finite: list[str] = []
    for name, entry in _flat(value, (), 0):
        _check_name(name)
        found = _finite_number(entry)
        if found is None and name in gated:
            raise _invalid(f"{name} is {_told(entry)}, not a number")
        if found is None:
            continue
        if name in metrics:
            raise _invalid(f"the metric {name!r} is there twice: as a name with a dot and as a nested one")
        if math.isfinite(found):
            metrics[name] = found
            if len(metrics) > MAX_METRICS:
                raise _invalid(f"more than {MAX_METRICS} metrics")
        else:
            not_finite.append(f"{name} is {found}")
    if not_finite:
        rest = len(not_finite) - 1
        more = f" and {plural(rest, 'other')}" if rest else ""
        raise HarnessError(
            CauseCode.METRICS_INVALID,
            f"the metric {not_finite[0]}{more}: not a finite number",
            evidence=not_finite[:20] if rest else (),
            hint="harness logs: see where the training went wrong",
        )
    if not metrics:
        entries = [f"{name} is {_told(entry)}" for name, entry in _flat(value, (), 0)]
        raise _invalid(f"none of what {told} is a number: {', '.join(entries[:NAMED_METRICS])}")
    return metrics


def judge(
    metrics: Mapping[str, float],
    gates: Mapping[str, Gate],
    base: Mapping[str, float] | None = None,
    *,
    base_gates: Mapping[str, Gate] | None = None,
    answers: Mapping[str, Answered] | None = None,
    fail_undecided: bool = False,
) -> dict[str, MetricResult]:
    """Every metric with its gate's verdict: the gated ones first, in the gates' order.

    Bounds are inclusive, and compared as the decimals that people write: 0.95 to 0.94 is a drop of exactly
    0.01. A gated metric that the run did not report has failed. Without a base, or where the base lacks the
    metric, a regression is not judged, and the message says so. `base_gates`: the base's own gates, kept
    in the result where they differ. `answers`: what the pairs of runs say of which `metrics` and `base` are the
    means: then that decides, and what they left undecided passes unless `fail_undecided`.
    """
    base, answers = base or {}, answers or {}
    results: dict[str, MetricResult] = {}
    for name, gate in gates.items():
        value, base_value, answered = metrics.get(name), base.get(name), answers.get(name)
        failure = _out_of_bounds(name, value, gate)
        bounded = gate.min is not None or gate.max is not None
        compared = gate.max_regression is not None or gate.max_relative_regression is not None
        unjudged = compared and base_value is None
        message = failure
        if compared and value is not None and base_value is not None:
            if answered is None or answered.answer is None:
                message = failure = failure or _regression(name, value, gate, base_value)
            elif failure:
                message = failure + said.beside(answered, value, base_value)
            else:
                message = said.sentence(name, answered, gate, value, base_value)
                if answered.answer == "worse" or (answered.answer == "undecided" and fail_undecided):
                    failure = message
        elif unjudged and not failure:
            message = f"no base {name} to compare with: max_regression not judged"
        results[name] = MetricResult(
            value=value,
            base=base_value,
            gate=_result(gate),
            verdict="failed" if failure else None if unjudged and not bounded else "passed",
            message=message,
            base_gate=_other(gate, base_gates.get(name)) if base_gates is not None else None,
            **said.fields(answered),
        )
    for name, value in metrics.items():
        if name not in results:
            results[name] = MetricResult(value=value, base=base.get(name), **said.fields(answers.get(name)))
    return results


def cause(results: Mapping[str, MetricResult]) -> Cause | None:
    """The cause of a run whose gates failed: the first one's metric, value and bound. None when all hold."""
    failed = [result for result in results.values() if result.verdict == "failed"]
    if not failed:
        return None
    more = f" (and {plural(len(failed) - 1, 'more gate')} failed)" if len(failed) > 1 else ""
    if failed[0].value is None:
        hint = "add it to what the metrics task returns, or take its gate out of harness.toml"
        others = [name for name, each in results.items() if each.value is not None and each.gate is None]
        reported = f"; without a gate are {', '.join(others[:NAMED_METRICS])}" if others else ""
        more = reported + more
    elif any(result.base is not None for result in results.values()):
        hint = "harness logs"
    else:
        hint = "harness logs; harness test --ref main shows the numbers before the change"
    return Cause(
        code=CauseCode.GATE_FAILED.code,
        message=failed[0].message + more,
        hint=hint,
        evidence=tuple(result.message for result in failed) if len(failed) > 1 else (),
    )


def _out_of_bounds(name: str, value: float | None, gate: Gate) -> str:
    if value is None:
        return f"{name} was not reported, and its gate is {_first_bound(gate)}"
    if gate.min is not None and value < gate.min:
        return f"{name} {number(value, unlike=gate.min)} is below its minimum {exact(gate.min)}"
    if gate.max is not None and value > gate.max:
        return f"{name} {number(value, unlike=gate.max)} is above its maximum {exact(gate.max)}"
    return ""


def _regression(name: str, value: float, gate: Gate, base: float) -> str:
    lower = gate.better == "lower"
    worse = _decimal(value) - _decimal(base) if lower else _decimal(base) - _decimal(value)
    limits = []
    if gate.max_regression is not None:
        limits.append((_decimal(gate.max_regression), f"max_regression {exact(gate.max_regression)}"))
    if gate.max_relative_regression is not None:
        share = f"max_relative_regression {exact(gate.max_relative_regression)}"
        limits.append((_decimal(gate.max_relative_regression) * abs(_decimal(base)), share))
    for limit, told in limits:
        if worse > limit:
            shown = number(value, unlike=float(_decimal(base) + (limit if lower else -limit)))
            by = number(float(worse), unlike=float(limit))
            side = "above" if lower else "below"
            return (
                f"{name} {shown} is {by} {side} the base's {number(base, unlike=value)}, more than its {told}"
            )
    return ""


def _first_bound(gate: Gate) -> str:
    if gate.min is not None:
        return f"min {exact(gate.min)}"
    if gate.max is not None:
        return f"max {exact(gate.max)}"
    return first_regression(gate)


def _decimal(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def _result(gate: Gate) -> GateResult:
    return GateResult(
        min=gate.min,
        max=gate.max,
        better=gate.better,
        max_regression=gate.max_regression,
        max_relative_regression=gate.max_relative_regression,
    )


def _other(gate: Gate, base_gate: Gate | None) -> GateResult | None:
    other = GateResult() if base_gate is None else _result(base_gate)
    return None if other == _result(gate) else other


def _from_json(value: object) -> object:
    """Airflow keeps some values as JSON text inside JSON; a task may return json.dumps(…)."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[", "null")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _unwrapped(value: object) -> object:
    """What is inside the mappings that Airflow puts around values to keep their type."""
    for _ in range(_MAX_DEPTH):
        if not (isinstance(value, Mapping) and "__classname__" in value and "__data__" in value):
            break
        value = value["__data__"]
    return value


def _flat(mapping: Mapping[Any, Any], path: tuple[str, ...], depth: int) -> Iterator[tuple[str, object]]:
    if depth > _MAX_DEPTH:
        raise _invalid(f"the metrics are nested more than {_MAX_DEPTH} deep")
    for key, wrapped in mapping.items():
        if not isinstance(key, str):
            raise _invalid(f"a metric's name is {_a(key)}, not text")
        entry = _unwrapped(wrapped)
        if isinstance(entry, Mapping):
            yield from _flat(entry, (*path, key), depth + 1)
        else:
            yield ".".join((*path, key)), entry


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME_LENGTH:
        raise _invalid(
            f"the metric's name {name[:40]!r}… is {len(name)} characters long, at most {MAX_NAME_LENGTH}"
        )
    if not name or not name.isprintable():
        raise _invalid(f"{name!r} is no name of a metric: empty or not printable")


def _finite_number(entry: object) -> float | None:
    """The number, infinite when it is too large for a float; None for what is no number."""
    if isinstance(entry, int | float):
        try:
            return float(entry)
        except OverflowError:
            return math.inf if entry > 0 else -math.inf
    if isinstance(entry, str) and entry.strip().lower() in _NOT_FINITE_WORDS:
        return float(entry)
    return None


def _a(value: object) -> str:
    names = {"str": "text", "list": "a list", "int": "a number", "float": "a number", "bool": "a truth value"}
    return names.get(type(value).__name__, f"a {type(value).__name__}")


def _told(entry: object) -> str:
    if isinstance(entry, str):
        return f"text {entry[:40]!r}" + ("…" if len(entry) > 40 else "")
    return "None" if entry is None else _a(entry)


def _invalid(message: str) -> HarnessError:
    return HarnessError(CauseCode.METRICS_INVALID, message, hint=_HINT)
