"""An image into a kind node: only the blobs that its content store lacks."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.errors import CauseCode, HarnessError, refusal
from harness.host import cache, process
from harness.image.layer import Layer
from harness.image.oci import Image, archive_bytes, archive_parts, streamed

CTR = ("ctr", "--namespace", "k8s.io")
_LOADED_AT = "harness.local/loaded-at"  # nanoseconds; containerd itself does not tell an image's age
# What no import should take, those before it included: an image has a gigabyte or two.
DEADLINE_S = 1800.0
ASKING_S = 120.0
# containerd takes in the index of every archive under one name, so two imports at once disturb each other.
_IMPORT = (
    f"flock /run/harness-import.lock {' '.join(CTR)} images import --local "
    '${snapshotter:+--snapshotter "$snapshotter"} - >/dev/null && '
    f'exec {" ".join(CTR)} images label "$1" "{_LOADED_AT}=$2" >/dev/null'
)
# kind's node chooses another one where the kernel has no overlayfs for it, as under a rootless daemon or on ZFS.
_SNAPSHOTTER = (
    r"""snapshotter=$(sed -n "s/^ *snapshotter = ['\"]\(.*\)['\"].*/\1/p" /etc/containerd/config.toml"""
    " | head -n 1)"
)
# The other name goes: what an image takes is counted, and freed, by one.
_PULL = f"""
ctr() {{ command {" ".join(CTR)} "$@"; }}
if ! ctr images ls "name==$2" | grep -qF " $3 "; then
  ctr images pull --local --hosts-dir /etc/containerd/certs.d ${{snapshotter:+--snapshotter "$snapshotter"}} "$1"
  ctr images tag --force "$1" "$2"
  ctr images rm "$1"
fi >/dev/null
ctr images label "$2" "{_LOADED_AT}=$4" >/dev/null
"""
KEPT_IMAGES = 8

# Where a node has this machine's cache, to read large layers from: to stream them through Docker takes twice the CPU.
CACHE_ON_NODE = "/harness-cache"
LARGE_BYTES = 1 << 20


@dataclass(frozen=True)
class Loaded:
    """What it took: bytes sent to the node, 0 when the image was there under its name."""

    load_bytes: int


def load(image: Image, node: str, *, on_change: Callable[[str], None] = lambda _: None) -> Loaded:
    """Make the node have the image under its name. Raises HarnessError(IMAGE_LOAD_FAILED)."""
    present = _present(node, image.reference)
    if image.blobs | {image.reference} <= present:
        return Loaded(0)
    try:
        return _send(image, node, present, on_change)
    except HarnessError:
        if not present & image.blobs:
            raise
    # A blob that was there a moment ago may have been collected since; then the whole image must go.
    return _send(image, node, frozenset(), on_change)


def load_on(image: Image, nodes: Iterable[str], *, on_change: Callable[[str], None] = lambda _: None) -> int:
    """Make every node have the image; returns the bytes that were sent. Raises HarnessError(IMAGE_LOAD_FAILED)."""
    return sum(load(image, node, on_change=on_change).load_bytes for node in nodes)


def prune(
    node: str, repository: str, in_use: frozenset[str], *, kept: int = KEPT_IMAGES, spared_s: float = 0.0
) -> tuple[str, ...]:
    """Remove a repository's images from the node but for the newest and those in use; returns their names.

    Those that were asked for in the last `spared_s` seconds stay too. kind never removes an image, and its kubelet
    is told not to. Layers that others share stay.
    """
    listed = images(node)
    before = time.time_ns() - int(spared_s * 1e9)
    ours = sorted(
        (each for each in listed if each.name.startswith(f"{repository}:")), key=lambda each: -each.loaded_at
    )
    doomed = [each for each in ours[kept:] if each.name not in in_use and each.loaded_at <= before]
    remove_images(node, listed, doomed)
    return tuple(each.name for each in doomed)


def clear(node: str) -> tuple[str, ...]:
    """Remove every image that `load` put on the node; returns their names."""
    listed = images(node)
    doomed = [each for each in listed if each.loaded_at and not each.is_id]
    remove_images(node, listed, doomed)
    return tuple(each.name for each in doomed)


def remove_images(node: str, listed: Sequence[Listed], doomed: Sequence[Listed]) -> None:
    """Remove those `doomed` of the images `listed`, and wait until what they alone needed is gone."""
    if not doomed:
        return
    # Kubernetes' part of containerd names each image by its id too. That name is left behind, and holds all of it.
    named = {each.digest for each in listed if each not in doomed and not each.is_id}
    digests = {each.digest for each in doomed} - named
    ids = [each.name for each in listed if each.is_id and each.digest in digests]
    process.run(
        ["docker", "exec", node, *CTR, "images", "rm", "--sync", *(each.name for each in doomed), *ids],
        cause=CauseCode.IMAGE_LOAD_FAILED,
        check=False,
        timeout_s=ASKING_S,
    )


def _send(image: Image, node: str, present: frozenset[str], on_change: Callable[[str], None]) -> Loaded:
    omitted = present & frozenset(layer.digest for layer in image.layers)
    lacking_bytes = archive_bytes(image, omit=omitted)
    there = _on_node(node, [layer for layer in image.layers if layer.digest not in omitted])
    read_there, sent = _spliced(archive_parts(image, omit=omitted), there)
    told = _told(sent, lacking_bytes - sum(layer.size_bytes for layer in there), on_change)
    hint = f"docker logs --tail 20 {node}"
    take_in(node, image.reference, told, read_there=read_there, hint=hint)
    return Loaded(lacking_bytes)


def pull_on(image: Image, pulled: str, nodes: Iterable[str]) -> None:
    """Let nodes pull the image by the name `pulled`, and have it under its own, as if it had been sent.

    Raises HarnessError(IMAGE_LOAD_FAILED, DISK_FULL).
    """
    for node in nodes:
        script = f"{_SNAPSHOTTER}\n{_PULL}"
        told = (pulled, image.reference, image.digest, str(time.time_ns()))
        argv = ["docker", "exec", node, "sh", "-ec", script, "sh", *told]
        done = process.run(argv, check=False, timeout_s=DEADLINE_S)
        _check(done.returncode, done.stderr, f"the node {node} could not pull {pulled}", hint="harness up")


def take_in(node: str, name: str, archive: Iterable[bytes], *, read_there: str = "", hint: str) -> None:
    """Let a node import an archive of the image of that name.

    `read_there`: a shell's pipe in which the node puts what it reads itself between the pieces of `archive`. Raises
    HarnessError(IMAGE_LOAD_FAILED, DISK_FULL).
    """
    script = f"{_SNAPSHOTTER}; {read_there}{_IMPORT}"
    argv = ["docker", "exec", "--interactive", node, "sh", "-c", script, "sh", name, str(time.time_ns())]
    done = process.run_bytes(argv, stdin=archive, timeout_s=DEADLINE_S)
    _check(done.returncode, done.stderr, f"the node {node} did not take the image {name}", hint=hint)


def _check(status: int, said: str, message: str, *, hint: str) -> None:
    """Raises HarnessError(IMAGE_LOAD_FAILED, DISK_FULL) unless the program on the node ended well."""
    if status != 0:
        full = "harness status --disk; harness gc"
        raise refusal(CauseCode.IMAGE_LOAD_FAILED, message, said, hint=hint, hint_when_full=full)


def _on_node(node: str, layers: Iterable[Layer]) -> dict[Layer, str]:
    """Where the node itself can read large layers, of those that it can."""
    root = cache.root()
    paths = {
        layer: str(PurePosixPath(CACHE_ON_NODE, layer.path.relative_to(root).as_posix()))
        for layer in layers
        if layer.size_bytes >= LARGE_BYTES and layer.path.is_relative_to(root)
    }
    if not paths:
        return {}
    argv = ["docker", "exec", node, "stat", "--format", "%n %s", *paths.values()]
    found = process.run(argv, check=False, timeout_s=ASKING_S).stdout.splitlines()
    return {layer: path for layer, path in paths.items() if f"{path} {layer.size_bytes}" in found}


def _spliced(parts: Iterable[bytes | Layer], there: Mapping[Layer, str]) -> tuple[str, Iterator[bytes]]:
    """The pipe in which the node puts the layers that it reads itself into the archive, and what it must be sent."""
    commands: list[str] = []
    pieces: list[bytes | Layer] = []
    waiting_bytes = 0
    for part in parts:
        if isinstance(part, Layer) and part in there:
            commands += [f"head -c {waiting_bytes}", f"cat {shlex.quote(there[part])}"]
            waiting_bytes = 0
        else:
            waiting_bytes += part.size_bytes if isinstance(part, Layer) else len(part)
            pieces.append(part)
    return f"{{ {'; '.join([*commands, 'cat'])}; }} | " if commands else "", streamed(pieces)


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


@dataclass(frozen=True)
class Listed:
    """An image of the node by one of its names; `loaded_at` in nanoseconds, 0 when it was not we who loaded it."""

    name: str
    digest: str
    loaded_at: int

    @property
    def is_id(self) -> bool:
        return self.name.startswith("sha256:")


def images(node: str) -> list[Listed]:
    """The node's images. Raises HarnessError(IMAGE_LOAD_FAILED) where it does not answer."""
    answer = process.run(
        ["docker", "exec", node, *CTR, "images", "ls"],
        cause=CauseCode.IMAGE_LOAD_FAILED,
        timeout_s=ASKING_S,
    )
    found = []
    for line in answer.stdout.splitlines()[1:]:
        name, _, digest = line.split()[:3]
        label = re.search(rf"{re.escape(_LOADED_AT)}=(\d+)", line)
        found.append(Listed(name, digest, int(label[1]) if label else 0))
    return found


def _present(node: str, reference: str) -> frozenset[str]:
    """The digests of all blobs that the node has, and the names of its images; `reference` is the newest from now on.

    Asked each time, whatever containerd is configured to: kind's own nodes discard the layers of what they pull.
    """
    ctr = " ".join(CTR)
    asked_for = f'{ctr} images label "$1" "{_LOADED_AT}=$2" >/dev/null 2>&1'
    listing = f"{ctr} content ls --quiet && {ctr} images ls --quiet && {{ {asked_for} || true; }}"
    done = process.run(
        ["docker", "exec", node, "sh", "-c", listing, "sh", reference, str(time.time_ns())],
        cause=CauseCode.IMAGE_LOAD_FAILED,
        hint="harness up",
        timeout_s=ASKING_S,
    )
    return frozenset(done.stdout.split())
