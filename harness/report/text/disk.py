"""`harness status --disk` and `harness gc`: what is kept on the disk, and what goes."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.host.limits import CACHE_VARIABLE, NODE_VARIABLE
from harness.report import format

if TYPE_CHECKING:
    from harness.airflow.release.versions import Version
    from harness.engine.disk import DiskUse, Rubbish
    from harness.image.node_disk import NodeDisk

_STAYS_IN_CACHE = "what a command that runs has used stays, and the newest of what takes minutes to make"
_STAYS_ON_NODE = (
    "what versions have that run, are kept or stand by stays, what was asked for within two minutes, Kubernetes' own "
    "and volumes; the rest goes at the end of the next harness test"
)
_MEANINGS = {
    "layers": "layers of images: bases, dependencies, code",
    "uv": "downloaded packages",
    "rootfs": "root file systems from Debian packages",
    "node-image": "images of nodes",
    "programs": "compiled programs",
    "databases": "migrated database templates",
    "go": "the Go compiler",
    "release": "published programs",
}


def render(use: DiskUse) -> str:
    """Tables for people: the cache, each node, Docker's images."""
    total = sum(use.cache_bytes.values())
    blocks = [
        _block(
            f"cache  {use.cache}  {_of(total, use.cache_limit_bytes)}",
            [(_MEANINGS.get(kind, kind), size) for kind, size in use.cache_bytes.items()],
            _over(total, use.cache_limit_bytes, _STAYS_IN_CACHE, CACHE_VARIABLE),
        )
    ]
    for node in use.nodes:
        title = f"node  {node.node}  {_of(node.total_bytes, use.node_limit_bytes)}"
        over = _over(node.total_bytes, use.node_limit_bytes, _STAYS_ON_NODE, NODE_VARIABLE)
        blocks.append(_block(title, [(name, size) for name, size, _ in _parts(node)], over))
    if use.registry is not None:
        beside = use.registry.registry
        title = f"registry  {beside.host}"
        state = "images, of all who push there" if beside.is_running else f"it is {beside.status}: harness up"
        blocks.append(_block(title, [(state, use.registry.size_bytes)]))
    if use.docker:
        title = f"images in Docker  {format.size(sum(image.size_bytes for image in use.docker))}"
        blocks.append(_block(title, [(image.name, image.size_bytes) for image in use.docker]))
    return "\n".join([*blocks, "make room: harness gc; see first what would go: harness gc --dry-run\n"])


def to_json(use: DiskUse) -> str:
    """The same for programs, in bytes."""
    document = {
        "cache": {
            "path": str(use.cache),
            "total_bytes": sum(use.cache_bytes.values()),
            "limit_bytes": use.cache_limit_bytes,
            "kinds": dict(use.cache_bytes),
        },
        "nodes": [
            {
                "name": node.node,
                "total_bytes": node.total_bytes,
                "limit_bytes": use.node_limit_bytes,
                **{key: size for _, size, key in _parts(node)},
                "images": [
                    {"name": image.name, "size_bytes": image.size_bytes, "used_at": round(image.used_at)}
                    for image in node.images
                ],
            }
            for node in use.nodes
        ],
        "registry": (
            {"host": use.registry.registry.host, "total_bytes": use.registry.size_bytes}
            if use.registry
            else None
        ),
        "docker": [{"name": image.name, "size_bytes": image.size_bytes} for image in use.docker],
    }
    return json.dumps(document, indent=2)


def render_rubbish(found: Rubbish, versions: Sequence[Version]) -> str:
    """What goes, a line each; empty where there is nothing."""
    lines = [f"version {each.namespace} ({each.ref}, {each.state})" for each in versions]
    kinds: Counter[str] = Counter()
    for item in found.cache:
        kinds[item.kind] += item.size_bytes
    for kind, size in kinds.most_common():
        many = format.plural(sum(item.kind == kind for item in found.cache), "item")
        lines.append(f"cache: {many}, {_MEANINGS.get(kind, kind)}, {format.size(size)}")
    for node, images in found.images.items():
        if images:
            many = format.plural(len(images), "image")
            lines.append(f"node {node}: {many}, {format.size(found.node_bytes.get(node))} in all")
            lines += [f"  {image.name}" for image in images]
    for node, folders in found.volumes.items():
        lines += [f"node {node}: volume {name}, whose version is gone" for name in folders]
    if found.registry is not None and found.registry.images:
        many = format.plural(len(found.registry.images), "image")
        freed = format.size(found.registry.freed_bytes)
        lines.append(f"registry {found.registry.registry.host}: {many}, {freed} in all")
        lines += [f"  {name}" for image in found.registry.images for name in image.names]
    lines += [f"Docker: image {image.name}, {format.size(image.size_bytes)}" for image in found.docker]
    return "".join(f"{format.clean(line)}\n" for line in lines)


def _of(held: int, limit: int | None) -> str:
    return f"{format.size(held)} of {format.size(limit)} at most"


def _over(held: int, limit: int | None, stays: str, variable: str) -> str:
    """What it means that more is held than the limit allows, and what to do; empty where it does not."""
    if limit is None or held <= limit:
        return ""
    enough = f"{math.ceil(held / 10**9)}GB"
    return (
        f"{format.size(held - limit)} more than the limit: {stays}. "
        f"Remove versions that nobody needs (harness status), or allow more: export {variable}={enough}"
    )


def _parts(node: NodeDisk) -> list[tuple[str, int, str]]:
    return [
        ("layers of images, packed", node.packed_bytes, "packed_bytes"),
        ("layers of images, unpacked", node.unpacked_bytes, "unpacked_bytes"),
        ("volumes of versions and of PostgreSQL", node.volumes_bytes, "volumes_bytes"),
        ("Kubernetes' own", node.rest_bytes, "rest_bytes"),
    ]


def _block(title: str, rows: Sequence[tuple[str, int]], over: str = "") -> str:
    told = [f"  {over}"] if over else []
    return "\n".join(
        [title, *(f"  {format.size(size):>8}  {format.one_line(name)}" for name, size in rows), *told, ""]
    )
