"""`harness status`: the versions on the cluster as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.report import format

if TYPE_CHECKING:
    from harness.engine.look import Version

_HEADS = ("VERSION", "REF", "IMAGE", "STATE", "AGE", "WHO")


def render(versions: Sequence[Version]) -> str:
    """A table for people."""
    if not versions:
        return "no versions on the cluster\n"
    rows = [_HEADS, *(_row(version) for version in versions)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([*lines, "", "look: harness ui VERSION   remove: harness down VERSION"]) + "\n"


def to_json(versions: Sequence[Version]) -> str:
    """The same for programs."""
    listed = [
        asdict(version) | {"created_at": version.created_at.isoformat(), "age_s": round(version.age_s, 1)}
        for version in versions
    ]
    return json.dumps({"versions": listed}, indent=2)


def _row(version: Version) -> tuple[str, ...]:
    age = format.seconds(version.age_s)
    return (version.namespace, version.ref, version.tag, version.state, age, version.author)
