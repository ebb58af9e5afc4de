"""Images besides the version's: what this Docker has is brought to the nodes, the rest is theirs to pull, and told."""

from __future__ import annotations

from collections.abc import Mapping

from harness.cluster.running_cluster import RunningCluster
from harness.errors import HarnessError
from harness.image import named_image
from harness.progress import Progress


def bring(running: RunningCluster, wanted: Mapping[str, tuple[str, ...]], progress: Progress) -> None:
    """Make the nodes have these images, each with who asks for it, as far as this machine can.

    Raises HarnessError(IMAGE_LOAD_FAILED, DISK_FULL).
    """
    beside = running.cluster.local_registry
    for image, askers in wanted.items():
        if beside is not None and image.startswith(f"{beside.host}/"):
            continue  # the node pulls it from there, as of what was pushed last
        lacking = [node for node in running.cluster.nodes if not named_image.is_there(image, node)]
        if not lacking:
            continue
        who = f"{image}, for {', '.join(askers[:3])}{' …' if len(askers) > 3 else ''}"
        if not _is_here(image):
            progress.note(
                f"{who}: this Docker has no such image, so the node pulls it; docker pull {image} brings it"
            )
            continue
        with progress.step(f"{who}, from this Docker") as step:
            for node in lacking:
                named_image.load(image, node, on_change=step.update)
            step.done("brought to the node")
        if named_image.is_always_pulled(image):
            progress.note(
                f"{image} is pulled all the same, as Kubernetes does with the tag `latest`: name another tag"
            )


def _is_here(image: str) -> bool:
    try:
        return named_image.is_in_docker(image)
    except HarnessError:  # a cluster elsewhere needs no Docker here
        return False
