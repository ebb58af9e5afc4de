"""`harness down`: the cluster whole, or one version."""

from __future__ import annotations

from harness.airflow import release
from harness.cluster import kind, labels
from harness.engine.attached import attach, locked
from harness.engine.look import Version, find_version, versions
from harness.errors import CauseCode, HarnessError
from harness.host import cache, scratch
from harness.progress import Progress


def down(name: str, progress: Progress, *, force: bool = False) -> bool:
    """Remove the cluster with everything on it; False when there was none.

    Raises HarnessError(USAGE) while versions of other people are on it, unless `force`.
    """
    kind.check_name(name)
    with progress.waiting("asking Docker"):
        kind.node_container(name)  # without Docker, or when it is no cluster: nothing is begun
    with locked(name, progress):
        if not force:
            with progress.waiting("looking whose versions are on it"):
                _refuse_others(name)
        with progress.step(f"removing cluster {name}") as step:
            removed = kind.delete(name)
            scratch.sweep(cache.root())
            step.done("removed" if removed else "there was none")
    return removed


def down_version(name: str, wanted: str, progress: Progress) -> Version:
    """Remove the version that `wanted` (its namespace, ref or commit) names; returns what it was."""
    with progress.waiting(f"asking cluster {name}"):
        attached = attach(name)
        version = find_version(attached, wanted)
    with progress.step(f"removing version {version.namespace}") as step:
        release.remove(attached.api, attached.server, version.namespace, on_change=step.update)
        step.done("")
    return version


def _refuse_others(name: str) -> None:
    try:
        found = versions(attach(name))
    except HarnessError:
        return  # nothing that could be asked is there
    me = labels.author()
    others = [version for version in found if version.author not in {"", me}]
    if others:
        listed = [f"{each.namespace}: {each.ref}, {each.author}" for each in others]
        raise HarnessError(
            CauseCode.USAGE,
            f"cluster {name} holds versions of other people",
            evidence=listed,
            hint="harness down --force",
        )
