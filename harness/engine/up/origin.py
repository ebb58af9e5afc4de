"""Which sources a cluster is made from: those it was made from, else those asked for, else what can be had."""

from __future__ import annotations

import platform
from pathlib import Path

from harness.cluster.kind import kind, sourcing
from harness.cluster.kind.node_image.image import REPOSITORY
from harness.cluster.kind.sourcing import Materials
from harness.errors import CauseCode, HarnessError
from harness.hints import for_cluster
from harness.host.sources import choice as sources
from harness.host.sources.choice import Sources
from harness.progress import Progress

# What makes a release not to be had; any other failure would meet packages too.
_UNAVAILABLE = frozenset(
    {
        CauseCode.SOURCE_UNREACHABLE,
        CauseCode.CHECKSUM_MISMATCH,
        CauseCode.TOOL_MISSING,
        CauseCode.IMAGE_NOT_STARTABLE,
    }
)


def chosen(
    name: str,
    made: Sources | None,
    option: Sources | None,
    progress: Progress,
    log: Path,
    *,
    needs_node: bool = True,
) -> Materials | None:
    """What the cluster is made from when that is a release, fetched; None for packages. Says which, and why.

    `made`: what the cluster that is there already was made from; `needs_node`: whether one may have to be made.
    Raises what `from_release` raises where packages are not allowed or not possible.
    """
    wanted = sources.asked(option)
    if made is not None and wanted not in {Sources.AUTO, made}:
        again = for_cluster(f"harness down && harness up --sources {wanted}", name)
        progress.note(f"sources: {made}, as cluster {name} was made from; to change that: {again}")
    if made is Sources.PACKAGES:
        return None
    with progress.step("sources") as step:
        if made is Sources.RELEASE:
            found = sourcing.from_release(use_path=True, on_line=step.update)
            step.done("release, as the cluster was made from")
            return found
        if wanted is Sources.PACKAGES:
            if platform.system() != "Linux":
                raise HarnessError(
                    CauseCode.TOOL_MISSING,
                    "a cluster can be built from packages on Linux alone",
                    hint="harness up --sources release",
                )
            step.done("packages, as asked for")
            return None
        try:
            found = sourcing.from_release(use_path=wanted is Sources.AUTO, on_line=step.update)
            if needs_node:
                sourcing.ensure_node_image(found, on_line=step.update, log=log)
        except HarnessError as error:
            if wanted is Sources.RELEASE or error.cause not in _UNAVAILABLE or platform.system() != "Linux":
                raise
            step.done(f"packages, because the release can't be had: {error.message}")
            return None
        step.done(f"release: {found.summary}")
        return found


def made_from(container: kind.NodeContainer | None) -> Sources | None:
    """What the cluster of a node was made from."""
    if container is None:
        return None
    return Sources.PACKAGES if container.image.startswith(f"{REPOSITORY}:") else Sources.RELEASE
