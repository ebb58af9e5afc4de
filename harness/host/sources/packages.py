"""Which Debian packages a root file system holds, and in which version."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

STATUS = "var/lib/dpkg/status"


def packages(tar: Path) -> Mapping[str, str]:
    """Name -> version of the packages in a root file system's tar; empty where dpkg has left no record.

    Read once: the list is kept beside the tar, which is large.
    """
    record = tar.with_suffix(".packages.json")
    if record.exists():
        kept: dict[str, str] = json.loads(record.read_text(encoding="utf-8"))
        return kept
    found = parse_status(_status(tar))
    partial = record.with_suffix(".partial")
    partial.write_text(json.dumps(found, indent=0), encoding="utf-8")
    partial.replace(record)
    return found


def parse_status(text: str) -> dict[str, str]:
    """The installed packages of dpkg's status file, sorted by name."""
    found = {}
    for stanza in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith(" ")
        )
        if fields.get("Status", "").endswith(" installed"):
            found[fields["Package"]] = fields["Version"]
    return dict(sorted(found.items()))


def _status(tar: Path) -> str:
    with tarfile.open(tar) as archive:
        for member in archive:
            if member.name.removeprefix("./") == STATUS:
                file = archive.extractfile(member)
                return file.read().decode(errors="replace") if file else ""
    return ""
