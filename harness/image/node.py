"""An image into a kind node: only the blobs that its content store lacks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.errors import CauseCode, HarnessError
from harness.host import cache, process
from harness.image.layer import Layer
from harness.image.oci import Image, archive, archive_bytes

_CTR = ("ctr", "--namespace", "k8s.io")
_LOADED_AT = "harness.local/loaded-at"  # nanoseconds; containerd itself does not tell an image's age
# What no import should take, those before it included: an image has a gigabyte or two.
DEADLINE_S = 1800.0
ASKING_S = 120.0
# containerd takes in the index of every archive under one name, so two imports at once disturb each other.
_IMPORT = (
    f"flock /run/harness-import.lock {' '.join(_CTR)} images import --local - >/dev/null && "
    f'exec {" ".join(_CTR)} images label "$1" "{_LOADED_AT}=$2" >/dev/null'
)
KEPT_IMAGES = 8

# Where a node has this machine's cache, to read large layers from: a stream through Docker takes twice as long.
CACHE_ON_NODE = "/harness-cache"
LARGE_BYTES = 1 << 20
_PROTECTED = "containerd.io/gc.root"  # label of content that no image names yet
# Arguments: digest, size and path of each layer. Prints the digests of those that it found and took in.
_INGEST = f"""\
exec 9>/run/harness-import.lock; flock 9
while [ $# -gt 0 ]; do
  [ -f "$3" ] && {" ".join(_CTR)} content ingest --expected-size "$2" --expected-digest "$1" "$1" <"$3" >&2 &&
    {" ".join(_CTR)} content label "$1" "{_PROTECTED}=harness" >&2 && echo "$1"
  shift 3
done"""


@dataclass(frozen=True)
class Loaded:
    """What it took: bytes sent to the node, 0 when the image was there under its name."""

    load_bytes: int


def load(image: Image, node: str, *, on_change: Callable[[str], None] = lambda _: None) -> Loaded:
    """Make the node have the image under its name. Raises HarnessError(IMAGE_LOAD_FAILED)."""
    present = _present(node)
    if image.blobs | {image.reference} <= present:
        return Loaded(0)
    try:
        return _send(image, node, present, on_change)
    except HarnessError:
        if not present & image.blobs:
            raise
    # A blob that was there a moment ago may have been collected since; then the whole image must go.
    return _send(image, node, frozenset(), on_change)


def prune(node: str, repository: str, in_use: frozenset[str], *, kept: int = KEPT_IMAGES) -> tuple[str, ...]:
    """Remove a repository's images from the node but for the newest and those in use; returns their names.

    kind never removes an image, and its kubelet is told not to. Layers that others share stay.
    """
    listed = process.run(
        ["docker", "exec", node, *_CTR, "images", "ls", f"name~=^{repository}:"],
        cause=CauseCode.IMAGE_LOAD_FAILED,
        timeout_s=ASKING_S,
    )
    ages: dict[str, int] = {}
    for line in listed.stdout.splitlines()[1:]:
        name = line.split()[0]
        found = re.search(rf"{re.escape(_LOADED_AT)}=(\d+)", line)
        ages[name] = int(found[1]) if found else 0
    old = sorted(ages, key=lambda name: -ages[name])[kept:]
    doomed = tuple(name for name in old if name not in in_use)
    if doomed:
        process.run(
            ["docker", "exec", node, *_CTR, "images", "rm", *doomed],
            cause=CauseCode.IMAGE_LOAD_FAILED,
            check=False,
            timeout_s=ASKING_S,
        )
    return doomed


def _send(image: Image, node: str, present: frozenset[str], on_change: Callable[[str], None]) -> Loaded:
    omitted = present & frozenset(layer.digest for layer in image.layers)
    lacking_bytes = archive_bytes(image, omit=omitted)
    read = _read(node, [layer for layer in image.layers if layer.digest not in omitted], on_change)
    argv = ["docker", "exec", "--interactive", node, "sh", "-c", _IMPORT, "sh"]
    stream = archive(image, omit=omitted | read)
    done = process.run_bytes(
        [*argv, image.reference, str(time.time_ns())],
        stdin=_told(stream, archive_bytes(image, omit=omitted | read), on_change),
        timeout_s=DEADLINE_S,
    )
    for digest in read:  # the image names it now, or it is of no use
        process.run(
            ["docker", "exec", node, *_CTR, "content", "label", digest, f"{_PROTECTED}="],
            check=False,
            timeout_s=ASKING_S,
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
    return Loaded(lacking_bytes)


def _read(node: str, layers: Iterable[Layer], on_change: Callable[[str], None]) -> frozenset[str]:
    """Let the node take large layers from this machine's cache; returns the digests of those that it has now."""
    arguments: list[str] = []
    root = cache.root()
    for layer in layers:
        if layer.size_bytes >= LARGE_BYTES and layer.path.is_relative_to(root):
            path = PurePosixPath(CACHE_ON_NODE, layer.path.relative_to(root).as_posix())
            arguments += [layer.digest, str(layer.size_bytes), str(path)]
    if not arguments:
        return frozenset()
    on_change("the node reads it from the cache, one image at a time")
    done = process.run(
        ["docker", "exec", node, "sh", "-c", _INGEST, "sh", *arguments], check=False, timeout_s=DEADLINE_S
    )
    return frozenset(done.stdout.split())


def _told(chunks: Iterable[bytes], size_bytes: int, on_change: Callable[[str], None]) -> Iterator[bytes]:
    """The archive as it is sent. A node that imports another image takes no more than what its pipe holds."""
    sent = 0
    for chunk in chunks:
        on_change(
            f"{sent / 1e6:.0f} of {size_bytes / 1e6:.0f} MB sent; the node takes in one image at a time"
        )
        yield chunk
        sent += len(chunk)
    on_change("sent; the node takes it in, one image at a time")


def _present(node: str) -> frozenset[str]:
    """The digests of all blobs that the node has, and the names of its images.

    Asked each time, whatever containerd is configured to: kind's own nodes discard the layers of what they pull.
    """
    listing = f"{' '.join(_CTR)} content ls --quiet && {' '.join(_CTR)} images ls --quiet"
    done = process.run(
        ["docker", "exec", node, "sh", "-c", listing],
        cause=CauseCode.IMAGE_LOAD_FAILED,
        hint="harness up",
        timeout_s=ASKING_S,
    )
    return frozenset(done.stdout.split())
