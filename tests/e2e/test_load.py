"""What a changed line sends to the node, with 200 MB of other files beside it: told by the node itself."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import explained, loaded, only_version
from conftest import Cluster
from scratch import Scratch, tiny_model

from harness.cluster.kind.kind import node_name
from harness.host import process
from harness.image.node import prune

OTHER_BYTES = 200_000_000
LIMIT_BYTES = 100_000
COLLECTED_S = 60.0  # containerd collects by itself, soon after a name of an image is gone
CONTENT = "/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256"


@dataclass(frozen=True)
class Change:
    """A test before and one after a line was changed, and what the node's content store had in between and after."""

    older: dict[str, Any]
    version: dict[str, Any]
    before: dict[str, int]
    after: dict[str, int]

    @property
    def new_bytes(self) -> int:
        return sum(size for digest, size in self.after.items() if digest not in self.before)


def contents(cluster: Cluster) -> dict[str, int]:
    """Digest -> bytes of what containerd lists in its content store, measured at the files themselves.

    What is collected between the two looks is not there.
    """
    node = ["docker", "exec", node_name(cluster.harness.cluster)]
    listed = process.run([*node, "ctr", "--namespace", "k8s.io", "content", "ls", "--quiet"]).stdout.split()
    files = process.run([*node, "find", CONTENT, "-type", "f", "-printf", r"%f %s\n"]).stdout.splitlines()
    sizes = {f"sha256:{name}": int(size) for name, size in (line.split() for line in files)}
    return {digest: sizes[digest] for digest in listed if digest in sizes}


@pytest.fixture(scope="module")
def change(cluster: Cluster, tiny: Scratch, tmp_path_factory: pytest.TempPathFactory) -> Change:
    (tiny.root / "dags/data").mkdir()
    for number in range(OTHER_BYTES // 1_000_000):
        (tiny.root / f"dags/data/{number:03}.bin").write_bytes(os.urandom(1_000_000))
    tiny.write("dags/tiny_model.py", tiny_model(0.75))
    tiny.commit("much else")
    folder = tmp_path_factory.mktemp("load")
    first = run_of(cluster, tiny, folder / "first.json")
    assert first["load_bytes"] > OTHER_BYTES
    before = contents(cluster)
    tiny.write("dags/tiny_model.py", tiny_model(0.76))
    second = run_of(cluster, tiny, folder / "second.json")
    assert second["tests"][0]["metrics"]["accuracy"]["value"] == 0.76
    return Change(first, second, before, contents(cluster))


def run_of(cluster: Cluster, tiny: Scratch, file: Path) -> dict[str, Any]:
    done = cluster.harness(tiny.root, "test", "--keep", "never", "--json", file)
    assert done.returncode == 0, explained(done)
    return only_version(loaded(file))


def test_less_than_100_kb_is_sent(change: Change) -> None:
    assert 0 < change.version["load_bytes"] < LIMIT_BYTES


def test_the_nodes_content_store_grew_by_no_more(change: Change) -> None:
    image = change.version["image"]
    assert image["digest"] in change.after, "the image that ran is not in the content store"
    assert image["digest"] not in change.before
    assert 0 < change.new_bytes <= change.version["load_bytes"]


def test_one_layer_is_new(change: Change) -> None:
    new = change.after.keys() - change.before.keys()
    layers = {layer["digest"] for layer in change.version["image"]["layers"]}
    assert len(new & layers) == 1
    assert layers <= change.after.keys()


def test_an_image_that_is_not_kept_leaves_the_content_store(change: Change, cluster: Cluster) -> None:
    older, newer = change.older["image"], change.version["image"]
    name, _, _ = older["name"].rpartition(":")
    gone = prune(node_name(cluster.harness.cluster), name, frozenset(), kept=1)
    assert older["name"] in gone
    kept = {newer["digest"], *(layer["digest"] for layer in newer["layers"])}
    doomed = {older["digest"], *(layer["digest"] for layer in older["layers"])} - kept
    until = time.monotonic() + COLLECTED_S
    while left := doomed & contents(cluster).keys():
        assert time.monotonic() < until, f"{left} are still there"
        time.sleep(1.0)
    assert kept <= contents(cluster).keys()
