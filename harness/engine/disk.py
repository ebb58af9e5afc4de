"""What harness keeps on the disk: how much is what, and what of it goes, so that it stays within its limits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harness.airflow.release.versions import versions
from harness.cluster import place
from harness.cluster.leases import Leases
from harness.cluster.place import Cluster
from harness.cluster.running_cluster import RunningCluster
from harness.engine import registry_disk
from harness.engine.lifetime import images_of_deployments
from harness.engine.registry_disk import RegistryDisk, RegistryRubbish
from harness.errors import HarnessError
from harness.host import cache, cache_limit, limits
from harness.host.cache_limit import Item
from harness.host.docker import images as docker_images
from harness.host.docker.images import DockerImage
from harness.image import node_disk
from harness.image.build import DOMAIN
from harness.image.node_disk import NodeDisk, OnNode
from harness.progress import Progress
from harness.report import format

UNUSED_S = 7 * 24 * 3600.0  # what nobody used for a week goes with `harness gc`, also within the limits
DOCKER_DATA = Path("/var/lib/docker")
NEAR = 0.6  # of a node's limit; volumes and Kubernetes' own files are some GB at most
SPARED_S = 120.0  # an image that was asked for a moment ago may be about to be deployed


@dataclass(frozen=True)
class DiskUse:
    """All that harness holds: the cache by kind, each node, and Docker's images of ours; sizes in bytes."""

    cache: Path
    cache_bytes: Mapping[str, int]
    cache_limit_bytes: int
    nodes: tuple[NodeDisk, ...]
    node_limit_bytes: int | None
    docker: tuple[DockerImage, ...]
    registry: RegistryDisk | None = None


@dataclass(frozen=True)
class Rubbish:
    """What goes: items of the cache; images of a node, and volumes on it, by the node's name; Docker's images.

    `node_bytes`: what the images free on each node. `registry`: what goes of the one beside the cluster.
    """

    cache: tuple[Item, ...] = ()
    images: Mapping[str, tuple[OnNode, ...]] = field(default_factory=dict)
    node_bytes: Mapping[str, int] = field(default_factory=dict)
    volumes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    docker: tuple[DockerImage, ...] = ()
    registry: RegistryRubbish | None = None


def use(cluster: Cluster | None) -> DiskUse:
    """Measure all of it. Raises HarnessError: USAGE for a limit that is no size, CLUSTER_FAILED, DOCKER_MISSING."""
    items = cache_limit.items()
    by_kind = Counter[str]()
    for item in items:
        by_kind[item.kind] += item.size_bytes
    nodes = tuple(node_disk.measured(node) for node in cluster.nodes) if cluster else ()
    return DiskUse(
        cache.root(),
        dict(by_kind.most_common()),
        _cache_limit(items),
        nodes,
        _node_limit(nodes[0]) if nodes else None,
        docker_images.listed() if cluster is None or cluster.registry is None else (),
        registry_disk.measured(cluster.local_registry) if cluster and cluster.local_registry else None,
    )


def keep_limits(running: RunningCluster, progress: Progress) -> None:
    """Remove from cache and nodes what was used least recently, as far as they exceed their limits.

    What fails now is tried by the next command.
    """
    with progress.waiting("keeping cache and node within their limits") as step:
        with suppress(HarnessError, OSError):
            items = cache_limit.items()
            gone = cache_limit.prune(_cache_limit(items), items)
            step.update(f"{format.plural(len(gone), 'item')} of the cache removed" if gone else "")
        with suppress(HarnessError):
            if any(_may_be_full(node) for node in running.cluster.nodes):
                remove(rubbish(running, unused_s=None, with_cache=False))


def _may_be_full(node: str) -> bool:
    """Whether a node has to be measured: by what containerd has noted, its images are not far from the limit."""
    images_bytes = node_disk.images_bytes(node)
    return images_bytes > NEAR * limits.limit(limits.NODE_VARIABLE, DOCKER_DATA, images_bytes)


def rubbish(
    running: RunningCluster | None, *, unused_s: float | None = UNUSED_S, with_cache: bool = True
) -> Rubbish:
    """What goes so that the limits are kept, and what nobody used for `unused_s`, where that is given."""
    before = None if unused_s is None else time.time() - unused_s
    found: tuple[Item, ...] = ()
    if with_cache:
        items = cache_limit.items()
        found = cache_limit.chosen(
            items, _cache_limit(items), since=cache_limit.in_use_since(), before=before
        )
    images: dict[str, tuple[OnNode, ...]] = {}
    node_bytes: dict[str, int] = {}
    volumes: dict[str, tuple[str, ...]] = {}
    kept: set[str] = set()
    for node in running.cluster.nodes if running else ():
        assert running is not None  # noqa: S101  for the type checker
        # Asked before what is in use: what is deployed afterwards was asked for a moment ago, and stays.
        measured = node_disk.measured(node)
        is_ours = place.context_of(running.cluster.name) is None
        images[node] = node_disk.chosen(
            measured if is_ours else measured.without_others(),
            _node_limit(measured),
            in_use=_in_use(running),
            since=time.time() - SPARED_S,
            before=before,
        )
        kept |= {image.digest for image in measured.images if image not in images[node]}
        node_bytes[node] = node_disk.freed_bytes(measured, images[node])
        if is_ours:
            known = {item["metadata"]["name"] for item in running.api.list("/api/v1/persistentvolumes")}
            volumes[node] = node_disk.gone_volumes(measured, known)
    asks_docker = unused_s is not None and (running is None or running.cluster.registry is None)
    unused = (image for image in docker_images.listed() if not image.is_used) if asks_docker else ()
    beside = None
    if running and running.cluster.local_registry and running.cluster.local_registry.is_running:
        beside = registry_disk.rubbish(running.cluster.local_registry, kept, partial(_in_use, running))
        if unused_s is None and not beside.is_worth_it:
            beside = None
    return Rubbish(found, images, node_bytes, volumes, tuple(unused), beside)


def remove(found: Rubbish, *, unused_s: float | None = None) -> None:
    """Remove it; what somebody began to use since it was looked at stays."""
    if found.cache:
        before = None if unused_s is None else time.time() - unused_s
        items = cache_limit.items()
        cache_limit.prune(_cache_limit(items), items, before=before)
    for node, images in found.images.items():
        node_disk.remove(node, images)
    for node, folders in found.volumes.items():
        node_disk.remove_volumes(node, folders)
    if found.registry is not None:
        registry_disk.remove(found.registry)
    docker_images.remove(found.docker)


def _in_use(running: RunningCluster) -> frozenset[str]:
    """The images of versions, of those that are on their way, and of what is deployed."""
    found = {f"{DOMAIN}/{version.project}:{version.tag}" for version in versions(running)}
    found |= {claim.image for claim in Leases(running.api).claims()}
    return frozenset(found | set(images_of_deployments(running)))


def _cache_limit(items: Sequence[Item]) -> int:
    held_bytes = sum(item.size_bytes for item in items)
    return limits.limit(limits.CACHE_VARIABLE, cache.root(), held_bytes)


def _node_limit(node: NodeDisk) -> int:
    """A node's volume lies on the disk of Docker's own files; where that is unknown, on the cache's."""
    return limits.limit(limits.NODE_VARIABLE, DOCKER_DATA, node.total_bytes)
