"""What is told of the disk: for people and for programs, and what goes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from harness.engine.disk import DiskUse, Rubbish
from harness.engine.registry_disk import RegistryDisk, RegistryRubbish
from harness.host.cache_limit import Item
from harness.host.docker.images import DockerImage
from harness.image.node_disk import NodeDisk, OnNode
from harness.image.registry.address import LocalRegistry
from harness.image.registry.collection import Stored
from harness.report.text import disk

IMAGE = OnNode("harness.local/churn:1a", "sha256:1", 5.0, {"sha256:a": 1000})
NODE = NodeDisk("harness-control-plane", 9_000_000, 4_000_000, 3_000_000, {"pvc-1": 500_000}, (IMAGE,))
DOCKER = DockerImage("harness.local/node:1", 1_010_000_000, 1.0, is_used=False)
USE = DiskUse(
    Path("/cache"), {"layers": 2_000_000, "uv": 1_000_000}, 6_000_000, (NODE,), 10_000_000, (DOCKER,)
)


def test_for_people() -> None:
    assert disk.render(USE).splitlines() == [
        "cache  /cache  3 MB of 6 MB at most",
        "      2 MB  layers of images: bases, dependencies, code",
        "      1 MB  downloaded packages",
        "",
        "node  harness-control-plane  9 MB of 10 MB at most",
        "      4 MB  layers of images, packed",
        "      3 MB  layers of images, unpacked",
        "    500 kB  volumes of versions and of PostgreSQL",
        "    1.5 MB  Kubernetes' own",
        "",
        "images in Docker  1.01 GB",
        "   1.01 GB  harness.local/node:1",
        "",
        "make room: harness gc; see first what would go: harness gc --dry-run",
    ]


def test_what_is_over_its_limit_is_told_with_what_helps() -> None:
    over = replace(USE, node_limit_bytes=8_000_000)
    (line,) = [line for line in disk.render(over).splitlines() if "more than the limit" in line]
    assert line.startswith(
        "  1 MB more than the limit: what versions have that run, are kept or stand by stays"
    )
    assert line.endswith("or allow more: export HARNESS_NODE_LIMIT=1GB")
    assert "more than the limit" not in disk.render(USE)


def test_for_programs() -> None:
    told = json.loads(disk.to_json(USE))
    assert told["cache"]["total_bytes"] == 3_000_000
    (node,) = told["nodes"]
    parts = ("packed_bytes", "unpacked_bytes", "volumes_bytes", "rest_bytes")
    assert sum(node[part] for part in parts) == node["total_bytes"]
    assert node["images"] == [{"name": "harness.local/churn:1a", "size_bytes": 1000, "used_at": 5}]


def test_a_registry_beside_the_cluster() -> None:
    found = LocalRegistry("harness-registry", "running", 5001)
    lines = disk.render(replace(USE, registry=RegistryDisk(found, 3_000_000))).splitlines()
    at = lines.index("registry  localhost:5001")
    assert lines[at + 1] == "      3 MB  images, of all who push there"
    stopped = replace(found, status="exited")
    assert "it is exited: harness up" in disk.render(replace(USE, registry=RegistryDisk(stopped, 0)))
    told = json.loads(disk.to_json(replace(USE, registry=RegistryDisk(found, 3_000_000))))
    assert told["registry"] == {"host": "localhost:5001", "total_bytes": 3_000_000}
    image = Stored("harness/churn", "sha256:1", ("1a", "1b"), {"sha256:a": 1000})
    assert disk.render_rubbish(Rubbish(registry=RegistryRubbish(found, (image,), 1000)), ()).splitlines() == [
        "registry localhost:5001: 1 image, 1 kB in all",
        "  harness/churn:1a",
        "  harness/churn:1b",
    ]


def test_what_goes() -> None:
    layer = Item("layers", Path("/cache/layers/a.tar"), 2_000_000, 1.0)
    found = Rubbish((layer,), {"n": (IMAGE,)}, {"n": 1000}, {"n": ("pvc-1",)}, (DOCKER,))
    assert disk.render_rubbish(found, ()).splitlines() == [
        "cache: 1 item, layers of images: bases, dependencies, code, 2 MB",
        "node n: 1 image, 1 kB in all",
        "  harness.local/churn:1a",
        "node n: volume pvc-1, whose version is gone",
        "Docker: image harness.local/node:1, 1.01 GB",
    ]
    assert disk.render_rubbish(Rubbish(), ()) == ""
