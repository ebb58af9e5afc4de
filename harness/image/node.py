"""An image into a kind node: only the blobs that its content store lacks."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.image.oci import Image, archive, archive_bytes

_CTR = ("ctr", "--namespace", "k8s.io")
# containerd takes in the index of every archive under one name, so two imports at once disturb each other.
_ONE_AT_A_TIME = ("flock", "/run/harness-import.lock")


@dataclass(frozen=True)
class Loaded:
    """What it took: bytes sent to the node, 0 when the image was there under its name."""

    load_bytes: int


def load(image: Image, node: str) -> Loaded:
    """Make the node have the image under its name. Raises HarnessError(IMAGE_LOAD_FAILED)."""
    present = _present(node)
    if image.blobs | {image.reference} <= present:
        return Loaded(0)
    try:
        return _send(image, node, present)
    except HarnessError:
        if not present & image.blobs:
            raise
    # A blob that was there a moment ago may have been collected since; then the whole image must go.
    return _send(image, node, frozenset())


def _send(image: Image, node: str, present: frozenset[str]) -> Loaded:
    omitted = present & frozenset(layer.digest for layer in image.layers)
    done = process.run_bytes(
        ["docker", "exec", "--interactive", node, *_ONE_AT_A_TIME, *_CTR, "images", "import", "--local", "-"],
        stdin=archive(image, omit=omitted),
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        full = any("no space left" in line.lower() for line in lines)
        raise HarnessError(
            CauseCode.DISK_FULL if full else CauseCode.IMAGE_LOAD_FAILED,
            f"the node {node} did not take the image {image.reference}: {lines[-1] if lines else 'no reason given'}",
            evidence=lines[-5:],
            hint="docker system df; harness status; harness down VERSION"
            if full
            else f"docker logs --tail 20 {node}",
        )
    return Loaded(archive_bytes(image, omit=omitted))


def _present(node: str) -> frozenset[str]:
    """The digests of all blobs that the node has, and the names of its images."""
    listing = f"{' '.join(_CTR)} content ls --quiet && {' '.join(_CTR)} images ls --quiet"
    done = process.run(
        ["docker", "exec", node, "sh", "-c", listing], cause=CauseCode.IMAGE_LOAD_FAILED, hint="harness up"
    )
    return frozenset(done.stdout.split())
