"""`harness gc`: versions that nobody uses, and what cache, node and Docker keep of what is gone."""

from __future__ import annotations

from dataclasses import dataclass

from harness.airflow.release.versions import Version
from harness.cluster.running_cluster import RunningCluster, attach
from harness.engine import disk, lifetime
from harness.engine.disk import Rubbish
from harness.errors import CauseCode, HarnessError
from harness.host import limits
from harness.progress import Progress


@dataclass(frozen=True)
class Collected:
    """What was removed, or would be."""

    versions: tuple[Version, ...]
    rubbish: Rubbish


def collect(
    cluster: str,
    progress: Progress,
    *,
    older_than_s: float | None = None,
    unused_s: float | None = None,
    dry_run: bool = False,
) -> Collected:
    """Remove it; without a cluster only what this machine itself keeps. `dry_run`: only look.

    `older_than_s`: kept versions go too that are older. `unused_s`: what nobody used for as long goes within the limits
    too, by default a week.
    Raises HarnessError: USAGE for a limit that is no size, DOCKER_MISSING, CLUSTER_FAILED.
    """
    limits.check()
    running = _attached(cluster, progress)
    gone: tuple[Version, ...] = ()
    if running is not None:
        gone = lifetime.gc(running, progress, older_than_s=older_than_s, dry_run=dry_run)
    unused_s = disk.UNUSED_S if unused_s is None else unused_s
    with progress.step(
        "looking what cache and node hold" if dry_run else "making room in cache and node"
    ) as step:
        found = disk.rubbish(running, unused_s=unused_s)
        if not dry_run:
            step.update("removing what nobody uses")
            disk.remove(found, unused_s=unused_s)
        step.done("")
    return Collected(gone, found)


def _attached(cluster: str, progress: Progress) -> RunningCluster | None:
    try:
        with progress.waiting(f"asking cluster {cluster}"):
            return attach(cluster)
    except HarnessError as error:
        if error.cause is not CauseCode.CLUSTER_MISSING:
            raise
        progress.note(f"{error.message}: only the cache and Docker's images are looked at")
        return None
