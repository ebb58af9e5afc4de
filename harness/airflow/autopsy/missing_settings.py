"""What to do about a connection, a Variable or an environment variable that is not there."""

from __future__ import annotations

import re

from harness.project.values import is_set_by_harness

_NO_CONNECTION = re.compile(
    r"conn(?:ection)?(?:_id)?[^`'\"]{0,20}[`'\"](?P<name>[^`'\"]+)[`'\"] (?:isn't|(?:is )?not) (?:found|defined)"
)
_NO_VARIABLE = re.compile(r"\bVariable (?P<name>[\w.-]+) (?:not found|does not exist)")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UPPER_CASE = re.compile(r"'(?P<name>[A-Z][A-Z0-9_]+)'")


def missing_setting(kind: str, message: str) -> str:
    """What helps against such an exception, of its kind and message; empty for others."""
    if match := _NO_CONNECTION.search(message):
        name = f"AIRFLOW_CONN_{match['name'].upper()}"
        return f"a version has no connections but those that it is given: {_give(name)}"
    if match := _NO_VARIABLE.search(message):
        name = f"AIRFLOW_VAR_{match['name'].upper()}"
        return f"a version has no Variables but those that it is given: {_give(name)}"
    if kind == "KeyError" and (match := _UPPER_CASE.fullmatch(message)):
        name = match["name"]
        return "" if is_set_by_harness(name) else f"if it is an environment variable, {_give(name)}"
    return ""


def _give(name: str) -> str:
    """The line to add, and where it belongs."""
    if not _PLAIN.fullmatch(name):
        return (
            'write it into airflow_settings.yaml, and add `airflow_settings = "airflow_settings.yaml"` below [secrets] '
            "in harness.toml"
        )
    return (
        f"add `from_env = [\"{name}\"]` below [secrets] in harness.toml, then export {name}='…'; "
        f'if it is no secret, {name} = "…" below [image.env]'
    )
