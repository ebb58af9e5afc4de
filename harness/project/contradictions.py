"""What is wrong in harness.toml between values that are right by themselves.

Found in the file as it was read: what is invalid elsewhere in it hides none of these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from pydantic_core import ErrorDetails

from harness.project.values import moment

NO_METRICS = 'gates need metrics = { task = "…" }, { file = "…" } or { mlflow = true }: where the numbers are'
_REGRESSIONS = ("max_regression", "max_relative_regression")
_BOUNDS = ("min", "max", *_REGRESSIONS)
_OWN = ("base", "dockerfile")
_OF_DOCKERFILE = ("context", "target", "build_args")
# What of it a schema can say.
IMAGE_SCHEMA: dict[str, Any] = {
    "not": {"required": list(_OWN)},
    "dependentRequired": {key: ["dockerfile"] for key in _OF_DOCKERFILE},
}
GATE_SCHEMA: dict[str, Any] = {
    "anyOf": [{"required": [bound]} for bound in _BOUNDS],
    "dependentRequired": {name: ["better"] for name in _REGRESSIONS},
}


def contradictions(data: object) -> list[ErrorDetails]:
    """Those of a whole configuration, each with its place, in the form of pydantic's own."""
    tests = _tables(data.get("tests") if isinstance(data, Mapping) else None)
    image = image_contradictions(data.get("image") if isinstance(data, Mapping) else None)
    return [*image, *_gates(tests), *_skipped_metrics(tests), *_seeds(tests), *_same_runs(tests)]


def image_contradictions(data: object) -> list[ErrorDetails]:
    """Those of [image]: what can't be had together."""
    image = data if isinstance(data, Mapping) else {}
    named = [key for key in _OWN if image.get(key) is not None]
    as_is = image.get("as_is") is True
    found = []
    if len(named) == 2:
        found.append(("base", "`base` and `dockerfile` both name what the image stands on: take one"))
    if named and not as_is and "requirements" not in image:
        found.append(
            (
                named[0],
                "name the packages to put on it with `requirements`, or say as_is = true: it has all that is needed",
            )
        )
    if as_is and not named:
        found.append(("as_is", "it is about an image of your own: name it by `base` or `dockerfile`"))
    if as_is and "requirements" in image:
        found.append(("requirements", "with as_is = true no packages are added: leave one of the two out"))
    if named and image.get("system_packages"):
        found.append(
            (
                "system_packages",
                f"an image of your own is taken with the packages that it has: see `{named[0]}`",
            )
        )
    if "dockerfile" not in named:
        found += [
            (key, "it is about a Dockerfile: name that by `dockerfile`")
            for key in _OF_DOCKERFILE
            if key in image
        ]
    return [_detail(("image", key), message) for key, message in found]


def gate_contradictions(gate: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a gate as a whole, whatever its single values are."""
    if not any(bound in gate for bound in _BOUNDS):
        yield f"a gate needs at least one of {', '.join(_BOUNDS)}"
    least, most = _number(gate.get("min")), _number(gate.get("max"))
    if least is not None and most is not None and least > most:
        yield f"min {least:g} is above max {most:g}: nothing can pass"
    regression = next((name for name in _REGRESSIONS if name in gate), None)
    if regression and "better" not in gate:
        yield f'{regression} needs better = "higher" or "lower"'


def _gates(tests: Mapping[str, Mapping[str, Any]]) -> Iterator[ErrorDetails]:
    for name, test in tests.items():
        gates = test.get("gates")
        if gates and isinstance(gates, Mapping) and "metrics" not in test:
            yield _detail(("tests", name, "gates"), NO_METRICS)
        for metric, gate in _tables(gates).items():
            for problem in gate_contradictions(gate):
                yield _detail(("tests", name, "gates", metric), problem)


def _skipped_metrics(tests: Mapping[str, Mapping[str, Any]]) -> Iterator[ErrorDetails]:
    """Tests that leave out the very task whose numbers they want."""
    for name, test in tests.items():
        metrics, skip = test.get("metrics"), test.get("skip")
        task = metrics.get("task") if isinstance(metrics, Mapping) else None
        patterns = skip if isinstance(skip, list) else []
        if isinstance(task, str) and any(
            isinstance(each, str) and fnmatchcase(task, each) for each in patterns
        ):
            yield _detail(
                ("tests", name, "skip"), f"the metrics come from task {task}, which would be skipped"
            )


def _seeds(tests: Mapping[str, Mapping[str, Any]]) -> Iterator[ErrorDetails]:
    for name, test in tests.items():
        seed, conf = test.get("seed"), test.get("conf", {})
        if not isinstance(seed, str) or not isinstance(conf, Mapping):
            continue
        if seed not in conf:
            yield _detail(
                ("tests", name, "seed"), f"conf has no key {seed!r}: add it, with a whole number", seed
            )
        elif isinstance(conf[seed], bool) or not isinstance(conf[seed], int):
            yield _detail(("tests", name, "conf", seed), "a seed is a whole number", conf[seed])


def _same_runs(tests: Mapping[str, Mapping[str, Any]]) -> Iterator[ErrorDetails]:
    """Tests that ask for a run which another one asks for: Airflow takes one of a DAG per logical date."""
    seen: dict[tuple[str, datetime], str] = {}
    for name, test in tests.items():
        dag = test.get("dag")
        try:
            asked = moment(test.get("logical_date"))
        except ValueError:  # none, or an invalid one, which is told as such
            continue
        if not isinstance(dag, str):
            continue
        first = seen.setdefault((dag, asked), name)
        if first != name:
            yield _detail(
                ("tests", name, "logical_date"),
                f"tests.{first} runs DAG {dag} at this logical date too, and Airflow takes one such run",
                asked.isoformat(),
            )


def _tables(value: object) -> Mapping[str, Mapping[str, Any]]:
    """The tables in what should be a table of tables."""
    entries = value if isinstance(value, Mapping) else {}
    return {name: entry for name, entry in entries.items() if isinstance(entry, Mapping)}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _detail(place: tuple[str, ...], message: str, given: object = None) -> ErrorDetails:
    return ErrorDetails(type="contradiction", loc=place, msg=message, input=given)
