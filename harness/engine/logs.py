"""`harness logs`: what is on the cluster, and of pods and versions that are gone what was kept here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from harness.airflow.logs.log_keeper import kept_logs
from harness.airflow.logs.task_log import readable
from harness.airflow.release import versions as look
from harness.airflow.release.versions import Log
from harness.cluster.running_cluster import attach
from harness.engine import records
from harness.errors import CauseCode, HarnessError


def logs(cluster: str, wanted: str, *, task: str = "") -> Iterator[Log]:
    """The logs of the version that `wanted` names (its namespace, ref or commit; the newest when empty).

    Those of its task pods, or of `task` alone, then those of its Airflow while it is on the cluster. Raises
    HarnessError: USAGE when there is no such version or task, CLUSTER_MISSING.
    """
    running = attach(cluster)
    kept = records.find(cluster, wanted)
    version = None
    try:
        version = look.find_version(running, wanted)
    except HarnessError:
        if kept is None:
            raise
    if version is None or (
        kept is not None and _is_newer(kept, version) and kept.namespace != version.namespace
    ):
        assert kept is not None  # noqa: S101  else find_version raised
        yield from _kept(kept, task, beside=set())
        return
    there: set[str] = set()
    kept = records.find(cluster, version.namespace)
    gone = kept is not None and any(each.is_of(task) for each in kept_logs(kept.logs))
    try:
        for log in look.logs(running, version, task=task):
            there.add(log.name)
            yield Log(log.name, readable(log.text))
    except HarnessError:
        if not gone:
            raise
    if kept is not None:
        yield from _kept(kept, task, beside=there)


def _is_newer(kept: records.Record, version: look.Version) -> bool:
    return datetime.fromisoformat(kept.created_at) > version.created_at


def _kept(kept: records.Record, task: str, *, beside: set[str]) -> Iterator[Log]:
    """Kept logs but those of pods that are there; `beside` are the names under which these were shown."""
    found = [
        each
        for each in kept_logs(kept.logs)
        if (not task or each.is_of(task)) and not any(each.pod in name for name in beside)
    ]
    if task and not found and not beside:
        raise HarnessError(
            CauseCode.USAGE,
            f"no log of a task {task!r} is kept of version {kept.namespace}",
            hint="harness logs",
        )
    for each in found:
        yield Log(f"{each.label} ({each.pod}, gone)", readable(each.text) or "(nothing was logged)\n")
