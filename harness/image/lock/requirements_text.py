"""The lines of a requirements file, as pip defines them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

Kind = Literal["requirement", "include", "constraint", "path", "option"]
_OPTION = re.compile(r"(?P<name>--[A-Za-z][\w-]*|-[A-Za-z])\s*=?\s*(?P<value>.*)")
_INCLUDES = {"-r": "include", "--requirement": "include", "-c": "constraint", "--constraint": "constraint"}
_EDITABLE = {"-e", "--editable"}
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_AIRFLOW_CONSTRAINTS = re.compile(
    r"https?://\S+/apache/airflow/constraints-(?P<airflow>[0-9][\w.]*)/constraints[\w-]*-(?P<python>3\.[0-9]+)\.txt"
)


@dataclass(frozen=True)
class Line:
    """One line that says something. `value` is the requirement, the file's name or URL, or the whole option."""

    number: int
    kind: Kind
    value: str

    @property
    def is_address(self) -> bool:
        return bool(_ADDRESS.match(self.value))


def lines(text: str) -> Iterator[Line]:
    """What a requirements file says, comments left out and continued lines joined."""
    number, joined, first = 0, "", 1
    for number, raw in enumerate(text.splitlines(), start=1):
        if not joined:
            first = number
        if raw.rstrip().endswith("\\") and not raw.lstrip().startswith("#"):
            joined += raw.rstrip()[:-1] + " "
            continue
        statement, joined = re.sub(r"(^|\s)#.*$", "", joined + raw).strip(), ""
        if statement:
            yield _line(first, statement)
    if joined.strip():
        yield _line(first, joined.strip())


def _line(number: int, statement: str) -> Line:
    if statement.startswith("-"):
        match = _OPTION.fullmatch(statement)
        name, value = (match["name"], match["value"].strip().strip("'\"")) if match else (statement, "")
        if name in _EDITABLE:
            return Line(number, "path", value)
        if name in _INCLUDES:
            return Line(number, "include" if _INCLUDES[name] == "include" else "constraint", value)
        return Line(number, "option", statement)
    if statement.startswith((".", "/", "file:")) or re.fullmatch(
        r"[^\s@=<>~!;\[]+/[^\s@=<>~!;]*", statement.split(maxsplit=1)[0]
    ):
        return Line(number, "path", statement)
    return Line(number, "requirement", re.sub(r"\s--hash=\S+", "", statement).strip())


def requirement(text: str) -> Requirement | None:
    """A requirement as its parts; None for what is none."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def exact_version(wanted: Requirement) -> str | None:
    """The one version that a requirement allows, else None."""
    found = [each.version for each in wanted.specifier if each.operator in {"==", "==="}]
    return found[0] if len(found) == 1 and not found[0].endswith(".*") else None


def name_of(wanted: Requirement) -> str:
    """The package's name as indexes compare it."""
    return canonicalize_name(wanted.name)


def airflow_of_constraints(url: str) -> str | None:
    """The version of Airflow whose own constraints a URL names, else None."""
    match = _AIRFLOW_CONSTRAINTS.fullmatch(url.strip())
    return match["airflow"] if match else None
