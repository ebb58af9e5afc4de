"""The contract of `--json`, schema 1, written down a second time: what users' programs may rely on.

Each check returns what is wrong. Keys may be added to a schema; those named here must stay what they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

Check = Callable[[Any], list[str]]


def violations(document: object) -> list[str]:
    """Everything in a result that is not as the contract has it."""
    return _RESULT(document)


def _matching(what: str, test: Callable[[Any], bool]) -> Check:
    return lambda value: [] if test(value) else [f"is {value!r}, not {what}"]


def _optional(check: Check) -> Check:
    return lambda value: [] if value is None else check(value)


def _mapping(keys: Mapping[str, Check]) -> Check:
    def check(value: Any) -> list[str]:
        if not isinstance(value, dict):
            return [f"is {value!r}, no object"]
        missing = [f"has no {key!r}" for key in keys if key not in value]
        return missing + [
            f".{key}{'' if found.startswith(('.', '[')) else ' '}{found}"
            for key, each in keys.items()
            if key in value
            for found in each(value[key])
        ]

    return check


def _list_of(check: Check) -> Check:
    def each(value: Any) -> list[str]:
        if not isinstance(value, list):
            return [f"is {value!r}, no list"]
        return [f"[{index}]{found}" for index, item in enumerate(value) for found in check(item)]

    return each


def _each_value(check: Check) -> Check:
    def each(value: Any) -> list[str]:
        if not isinstance(value, dict):
            return [f"is {value!r}, no object"]
        return [f".{key} {found}" for key, item in value.items() for found in check(item)]

    return each


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_moment(value: object) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None


_TEXT = _matching("a text", lambda value: isinstance(value, str) and value != "")
_ANY_TEXT = _matching("a text", lambda value: isinstance(value, str))
_NUMBER = _matching("a finite number", _is_number)
_SECONDS = _matching("seconds", lambda value: _is_number(value) and value >= 0)
_FLAG = _matching("true or false", lambda value: isinstance(value, bool))
_COUNT = _matching("a count", lambda value: isinstance(value, int) and value >= 0)
_DIGEST = _matching("a sha256 digest", lambda value: bool(re.fullmatch(r"sha256:[0-9a-f]{64}", value or "")))
_VERDICT = _matching("a verdict", lambda value: value in ("passed", "failed", "error"))
_MOMENT = _matching("a time with its zone", _is_moment)

_CAUSE = _mapping(
    {
        "code": _matching("a cause's code", lambda value: bool(re.fullmatch(r"[a-z]+(_[a-z]+)*", value))),
        "message": _TEXT,
        "task_id": _optional(_TEXT),
        "hint": _ANY_TEXT,
    }
)
_METRIC = _mapping(
    {
        "value": _optional(_NUMBER),
        "base": _optional(_NUMBER),
        "gate": _optional(_mapping({"min": _optional(_NUMBER), "max": _optional(_NUMBER)})),
        "verdict": _optional(_VERDICT),
    }
)
_TASK = _mapping(
    {
        "task_id": _TEXT,
        "map_index": _matching("a map index", lambda value: isinstance(value, int) and value >= -1),
        "state": _optional(_TEXT),
        "try_number": _COUNT,
        "pod": _optional(_TEXT),
        "image_digest": _optional(_DIGEST),
        "queued_s": _optional(_SECONDS),
        "duration_s": _optional(_SECONDS),
        "peak_memory_bytes": _optional(_COUNT),
        "skipped_by_test": _FLAG,
    }
)
_TEST = _mapping(
    {
        "name": _TEXT,
        "dag_id": _TEXT,
        "run_id": _optional(_TEXT),
        "logical_date": _optional(_MOMENT),
        "data_digest": _optional(_DIGEST),
        "state": _optional(_TEXT),
        "verdict": _VERDICT,
        "metrics": _each_value(_METRIC),
        "parameters": _each_value(_ANY_TEXT),
        "tasks": _list_of(_TASK),
        "cause": _optional(_CAUSE),
    }
)
_IMAGE = _mapping(
    {
        "name": _TEXT,
        "digest": _DIGEST,
        "config_digest": _DIGEST,
        "base_digest": _DIGEST,
        "python": _optional(_TEXT),
        "lock": _optional(_mapping({"path": _TEXT, "digest": _DIGEST, "airflow": _optional(_TEXT)})),
        "layers": _list_of(
            _mapping(
                {
                    "kind": _matching("a kind", lambda value: value in ("base", "dependencies", "code")),
                    "digest": _DIGEST,
                }
            )
        ),
        "base_packages": _each_value(_TEXT),
        "built_from_source": _list_of(_TEXT),
    }
)
_ENVIRONMENT = _mapping(
    {
        "platform": _TEXT,
        "source": _optional(_TEXT),
        "node_image": _optional(_TEXT),
        "versions": _each_value(_TEXT),
        "digests": _each_value(_DIGEST),
    }
)
_VERSION = _mapping(
    {
        "ref": _TEXT,
        "commit": _optional(_matching("a commit", lambda value: bool(re.fullmatch(r"[0-9a-f]{40}", value)))),
        "dirty": _optional(_TEXT),
        "image": _optional(_IMAGE),
        "namespace": _optional(
            _matching(
                "<project>-<8 random>", lambda value: bool(re.fullmatch(r"[a-z0-9-]+-[0-9a-f]{8}", value))
            )
        ),
        "phases": _each_value(_SECONDS),
        "load_bytes": _optional(_COUNT),
        "tests": _list_of(_TEST),
        "cause": _optional(_CAUSE),
    }
)
_RESULT = _mapping(
    {
        "schema": _matching("1", lambda value: value == 1),
        "verdict": _VERDICT,
        "versions": _list_of(_VERSION),
        "environment": _optional(_ENVIRONMENT),
        "cause": _optional(_CAUSE),
    }
)
