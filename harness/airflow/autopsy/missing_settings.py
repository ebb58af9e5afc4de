"""What to do about a connection, a Variable or an environment variable that is not there."""

from __future__ import annotations

import re

_NO_CONNECTION = re.compile(
    r"conn(?:ection)?(?:_id)?[^`'\"]{0,20}[`'\"](?P<name>[^`'\"]+)[`'\"] (?:isn't|(?:is )?not) (?:found|defined)"
)
_NO_VARIABLE = re.compile(r"\bVariable (?P<name>[\w.-]+) (?:not found|does not exist)")
_UPPER_CASE = re.compile(r"'(?P<name>[A-Z][A-Z0-9_]+)'")


def missing_setting(kind: str, message: str) -> str:
    """What helps against such an exception, of its kind and message; empty for others."""
    if match := _NO_CONNECTION.search(message):
        name = re.sub(r"\W", "_", match["name"]).upper()
        return f"a version has no connections but those of its environment: {_set(f'AIRFLOW_CONN_{name}')}"
    if match := _NO_VARIABLE.search(message):
        name = f"AIRFLOW_VAR_{match['name'].upper()}"
        return f"a version has no Variables but those of its environment: {_set(name)}"
    if kind == "KeyError" and (match := _UPPER_CASE.fullmatch(message)):
        return f"if it is an environment variable, {_set(match['name'])}"
    return ""


def _set(name: str) -> str:
    return f'set {name} = "…" below [image.env] in harness.toml'
