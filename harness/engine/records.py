"""What stays on this machine of each version that was tested: its task logs, and after a failure its bundle.

It lies in the cluster's state folder and goes with the cluster; of versions only the newest are kept.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.cluster import place
from harness.host import disk

MOST = 30
_ABOUT = "about.json"


@dataclass(frozen=True)
class Record:
    """A version as it is remembered. `namespace` is its name; `created_at` is ISO 8601."""

    cluster: str
    namespace: str
    ref: str
    commit: str
    tag: str
    created_at: str

    @property
    def folder(self) -> Path:
        return _versions(self.cluster) / self.namespace

    @property
    def logs(self) -> Path:
        """The folder of its task logs, a file for each pod."""
        return self.folder / "logs"

    @property
    def bundle_name(self) -> str:
        """Its bundle's file, in its folder when nobody asked for another place."""
        return f"harness-{self.namespace}.tar.gz"


def begin(cluster: str, namespace: str, *, ref: str, commit: str, tag: str) -> Record:
    """Remember a version, and forget the oldest. Raises HarnessError(FOLDER_UNUSABLE, DISK_FULL)."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = Record(cluster, namespace, ref, commit, tag, now)
    disk.folder(record.logs, variable=place.STATE_VARIABLE)
    record.folder.chmod(0o700)
    (record.folder / _ABOUT).write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    for old in records(cluster)[:-MOST]:
        shutil.rmtree(old.folder, ignore_errors=True)
    return record


def records(cluster: str) -> tuple[Record, ...]:
    """What is remembered, the oldest first."""
    found = []
    for path in _versions(cluster).glob(f"*/{_ABOUT}"):
        with suppress(OSError, ValueError, TypeError):  # half written by a killed command: not remembered
            record = Record(**json.loads(path.read_text(encoding="utf-8")))
            if record.namespace == path.parent.name and record.cluster == cluster:
                found.append(record)
    return tuple(sorted(found, key=lambda record: (record.created_at, record.namespace)))


def find(cluster: str, wanted: str) -> Record | None:
    """The newest one whose namespace, ref, tag or commit `wanted` names; the newest of all when empty."""
    for record in reversed(records(cluster)):
        names = {record.namespace, record.ref, record.tag, record.commit}
        if not wanted or wanted in names or (len(wanted) >= 7 and record.commit.startswith(wanted)):
            return record
    return None


def _versions(cluster: str) -> Path:
    return place.state_folder(cluster) / "versions"
