"""`harness status`: the versions on the cluster as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.report import format

if TYPE_CHECKING:
    from harness.airflow.release.versions import Version
    from harness.engine.status import Usage
    from harness.image.registry.address import LocalRegistry

_HEADS = ("VERSION", "REF", "COMMIT", "STATE", "AGE", "LEFT", "CPU", "MEMORY", "WHO")


def render(
    versions: Sequence[Version], used: Mapping[str, Usage], registry: LocalRegistry | None = None
) -> str:
    """A table for people. LEFT is the time until a version may be removed. `registry`: what is beside the cluster."""
    beside = _told(registry) if registry is not None else ""
    if not versions:
        return f"no versions on the cluster\n{beside}"
    rows = [_HEADS, *(_row(version, used.get(version.namespace)) for version in versions)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([*lines, "", "look: harness ui VERSION   remove: harness down VERSION"]) + f"\n{beside}"


def _told(registry: LocalRegistry) -> str:
    if registry.is_running:
        return f"registry: docker push {registry.host}/IMAGE\n"
    return (
        f"registry: {registry.host} does not run, its container is {registry.status}; harness up starts it\n"
    )


def to_json(
    versions: Sequence[Version], used: Mapping[str, Usage], registry: LocalRegistry | None = None
) -> str:
    """The same for programs."""
    listed = []
    for version in versions:
        usage = used.get(version.namespace)
        listed.append(
            asdict(version)
            | {
                "created_at": version.created_at.isoformat(),
                "expires_at": version.expires_at.isoformat(),
                "age_s": round(version.age_s, 1),
                "cpu": round(usage.cpu, 4) if usage else None,
                "memory_bytes": usage.memory_bytes if usage else None,
            }
        )
    beside = {"host": registry.host, "state": registry.status} if registry else None
    return json.dumps({"versions": listed, "registry": beside}, indent=2)


def _row(version: Version, used: Usage | None) -> tuple[str, ...]:
    return (
        format.one_line(version.namespace),
        format.one_line(version.ref),
        format.one_line(version.tag),
        format.one_line(version.state),
        format.seconds(version.age_s),
        format.seconds(version.left_s) if version.left_s > 0 else "over",
        f"{used.cpu:.2f}" if used else "-",
        format.size(used.memory_bytes) if used else "-",
        format.one_line(version.author),
    )
