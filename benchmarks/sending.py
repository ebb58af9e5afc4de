"""What `harness test` does between its start and the deployment: the image of a working tree into the node."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from harness.cluster.running_cluster import RunningCluster
from harness.host import process
from harness.image.build import DOMAIN, Foundation, build_foundation, image_of
from harness.image.node import prune
from harness.image.oci import Image
from harness.project.project import Project, load

_CONTENT = "/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256"


@dataclass(frozen=True)
class Sent:
    """An image that was made and sent, the seconds that both took, and the bytes that went to the node."""

    image: Image
    seconds: float
    load_bytes: int


@dataclass(frozen=True)
class Sender:
    """One repository and one cluster."""

    project: Project
    running: RunningCluster
    foundation: Foundation

    @classmethod
    def of(cls, root: Path, running: RunningCluster) -> Sender:
        project = load(root)
        with project.commit(None) as commit:
            settings = project.image_settings(commit)
            foundation = build_foundation(
                commit, settings, project=project.name, on_line=lambda _: None, log=running.log
            )
        return cls(project, running, foundation)

    @property
    def node(self) -> str:
        return self.running.cluster.nodes[0]

    @property
    def repository(self) -> str:
        """The name of the project's images, without a tag."""
        return f"{DOMAIN}/{self.project.name}"

    def send(self) -> Sent:
        """The working tree as it is now into the node."""
        started_s = time.monotonic()
        with self.project.commit(None) as commit:
            image = image_of(
                commit, self.project.image_settings(commit), self.foundation, project=self.project.name
            )
        load_bytes = self.running.load(image)
        return Sent(image, time.monotonic() - started_s, load_bytes)

    def prune(self) -> None:
        """As after each test: the newest images stay."""
        prune(self.node, self.repository, frozenset())

    def clear(self) -> None:
        """Take all images of the project from the node."""
        prune(self.node, self.repository, frozenset(), kept=0)


def content_bytes(node: str) -> dict[str, int]:
    """What lies in a node's content store: digest -> bytes. `ctr content ls` names the same, with rounded sizes."""
    argv = ["docker", "exec", node, "find", _CONTENT, "-type", "f", "-printf", r"%f %s\n"]
    rows = (line.split() for line in process.run(argv).stdout.splitlines())
    return {f"sha256:{digest}": int(size) for digest, size in rows}


def containerd_bytes(node: str) -> int:
    """All that containerd keeps on a node: contents and unpacked layers."""
    argv = ["docker", "exec", node, "du", "--summarize", "--block-size=1", "/var/lib/containerd"]
    # What containerd removes meanwhile makes du end with 1, with its sum all the same.
    return int(process.run(argv, check=False).stdout.split()[0])
