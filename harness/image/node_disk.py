"""What images take on a kind node, by the layers that each alone holds, and which go so that a limit is kept."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.image.node import ASKING_S, CTR, images, remove_images

MEASURING_S = 300.0
VOLUMES = "/var/local-path-provisioner"
_CONTAINERD = "/var/lib/containerd/io.containerd"
_UNPACKED = f"{_CONTAINERD}.snapshotter.v1.overlayfs"
_MEASURE = f"""
du -s -x -B1 --exclude={_UNPACKED} /var | cut -f1
du -s -x -B1 {_UNPACKED} | cut -f1
du -s -x -B1 {_CONTAINERD}.content.v1.content | cut -f1
echo ===
[ -d {VOLUMES} ] && du -s -x -B1 {VOLUMES}/* 2>/dev/null
echo ===
{" ".join(CTR)} content ls
echo ===
{" ".join(CTR)} snapshots usage -b
"""


@dataclass(frozen=True)
class OnNode:
    """An image that harness put on the node. `layers`: what it needs, and what each of them takes, in bytes.

    `used_at`: when it was asked for last, in seconds; `digest` is its manifest's.
    """

    name: str
    digest: str
    used_at: float
    layers: Mapping[str, int]

    @property
    def size_bytes(self) -> int:
        return sum(self.layers.values())

    @property
    def repository(self) -> str:
        return self.name.rpartition(":")[0]


@dataclass(frozen=True)
class NodeDisk:
    """What the node's volume holds, as `du` measures it: `packed` and `unpacked` layers, volumes by their folder."""

    node: str
    total_bytes: int
    packed_bytes: int
    unpacked_bytes: int
    volumes: Mapping[str, int]
    images: tuple[OnNode, ...]

    @property
    def volumes_bytes(self) -> int:
        return sum(self.volumes.values())

    def without_others(self) -> NodeDisk:
        """Only what images of ours take, of a node that holds others' too."""
        ours = {layer: size for image in self.images for layer, size in image.layers.items()}
        return replace(self, total_bytes=sum(ours.values()))

    @property
    def rest_bytes(self) -> int:
        """Kubernetes' own files, logs and the like."""
        return max(0, self.total_bytes - self.packed_bytes - self.unpacked_bytes - self.volumes_bytes)


def measured(node: str) -> NodeDisk:
    """Ask a node what it holds. Raises HarnessError(CLUSTER_FAILED)."""
    ours = [image for image in images(node) if image.loaded_at and not image.is_id]
    digests = list(dict.fromkeys(image.digest for image in ours))
    manifests = " ".join(CTR) + " content get"
    script = f'{_MEASURE}\nfor each in "$@"; do echo ===; {manifests} "$each"; done'
    done = process.run(
        ["docker", "exec", node, "sh", "-c", script, "sh", *digests],
        cause=CauseCode.CLUSTER_FAILED,
        check=False,
        timeout_s=MEASURING_S,
    )
    try:
        totals, volumes, content, unpacked, *documents = done.stdout.split("===\n")
        rest, snapshots, packed = map(int, totals.split())
        sizes = _content_sizes(content)
        usage = _usage(unpacked)
        layers = {
            digest: _layers(json.loads(document), sizes, usage)
            for digest, document in zip(digests, documents, strict=True)
        }
    except (ValueError, KeyError, IndexError) as error:
        raise HarnessError(
            CauseCode.CLUSTER_FAILED,
            f"the node {node} did not tell what its disk holds: {error}",
            evidence=done.stderr.splitlines()[-3:],
            hint=f"docker exec {node} du -x -d1 /var",
        ) from error
    return NodeDisk(
        node,
        rest + snapshots,
        packed,
        snapshots,
        {
            path.removeprefix(f"{VOLUMES}/"): int(size)
            for size, _, path in (line.partition("\t") for line in volumes.splitlines())
        },
        tuple(OnNode(each.name, each.digest, each.loaded_at / 1e9, layers[each.digest]) for each in ours),
    )


def images_bytes(node: str) -> int:
    """What the images on a node take, packed and unpacked, by what containerd has noted: nothing is walked through.

    Raises HarnessError(CLUSTER_FAILED).
    """
    script = f"{' '.join(CTR)} content ls; echo ===; {' '.join(CTR)} snapshots usage -b"
    done = process.run(
        ["docker", "exec", node, "sh", "-c", script], cause=CauseCode.CLUSTER_FAILED, timeout_s=MEASURING_S
    )
    content, _, unpacked = done.stdout.partition("===\n")
    return sum(_content_sizes(content).values()) + sum(_usage(unpacked).values())


def chosen(
    disk: NodeDisk, limit_bytes: int, *, in_use: Collection[str], since: float, before: float | None = None
) -> tuple[OnNode, ...]:
    """The images that go so that the node keeps the limit, those first that nobody asked for longest.

    Those `in_use`, by their names, stay, and those asked for since `since`; what nobody asked for since `before` goes.
    An image frees the layers that no other one needs any more.
    """
    needed = Counter(layer for image in disk.images for layer in image.layers)
    total_bytes, doomed = disk.total_bytes, []
    for image in sorted(disk.images, key=lambda each: (each.used_at, each.size_bytes)):
        is_old = before is not None and image.used_at < before
        if image.name in in_use or image.used_at >= since or not (total_bytes > limit_bytes or is_old):
            continue
        doomed.append(image)
        needed.subtract(list(image.layers))
        total_bytes -= sum(size for layer, size in image.layers.items() if needed[layer] == 0)
    return tuple(doomed)


def freed_bytes(disk: NodeDisk, doomed: Collection[OnNode]) -> int:
    """What the node has more room for without these images: what the others need stays."""
    kept = {layer for image in disk.images if image not in doomed for layer in image.layers}
    freed = {layer: size for image in doomed for layer, size in image.layers.items() if layer not in kept}
    return sum(freed.values())


def remove(node: str, doomed: Sequence[OnNode]) -> None:
    """Take images from the node; returns when their layers are gone too."""
    names = {image.name for image in doomed}
    listed = images(node)
    remove_images(node, listed, [each for each in listed if each.name in names])


def gone_volumes(disk: NodeDisk, known: Collection[str]) -> tuple[str, ...]:
    """Folders of volumes that the cluster, which knows those of `known`, has no more."""
    return tuple(name for name in disk.volumes if name.startswith("pvc-") and name[:40] not in known)


def remove_volumes(node: str, folders: Sequence[str]) -> None:
    """Delete the folders of volumes that nobody has any more."""
    if folders:
        paths = [f"{VOLUMES}/{name}" for name in folders]
        process.run(["docker", "exec", node, "rm", "-rf", "--", *paths], check=False, timeout_s=ASKING_S)


def _content_sizes(listing: str) -> dict[str, int]:
    units = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    sizes = {}
    for line in listing.splitlines()[1:]:
        words = line.split()
        if len(words) > 1:
            number = words[1].rstrip("kMGTB")
            sizes[words[0]] = int(float(number) * units[words[1][len(number) :]])
    return sizes


def _usage(listing: str) -> dict[str, int]:
    return {line.split()[0]: int(line.split()[1]) for line in listing.splitlines()[1:] if line.strip()}


def _layers(
    manifest: Mapping[str, object], sizes: Mapping[str, int], usage: Mapping[str, int]
) -> dict[str, int]:
    """What each layer takes, packed and unpacked. Ours are not compressed: a chain's name follows from digests."""
    found, chain = {}, ""
    described = manifest["layers"]
    assert isinstance(described, list)  # noqa: S101  what containerd keeps
    for layer in described:
        digest = str(layer["digest"])
        chain = f"sha256:{hashlib.sha256(f'{chain} {digest}'.encode()).hexdigest()}" if chain else digest
        found[chain] = sizes.get(digest, 0) + usage.get(chain, 0)
    return found
