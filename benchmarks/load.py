"""A changed line of code onto the node: harness against `docker build` and `kind load docker-image`.

Both get the same base and dependencies, in Docker and on the node, before anything is timed. They take turns.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from pathlib import Path

from benchmarks.repositories import MEGABYTE, Repository, repository
from benchmarks.sending import Sender
from harness.cluster.running_cluster import attach
from harness.host import process
from harness.image.oci import docker_archive

TAG = "harness.local/benchmark/docker:latest"


def main() -> None:
    """Print seconds for each round, medians, and their ratio."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--name", default="harness", help="which cluster")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--megabytes", type=int, default=200, help="of other files under `code`")
    given = options.parse_args()
    running = attach(given.name)
    with repository(other_bytes=given.megabytes * MEGABYTE) as made:
        sender = Sender.of(made.root, running)
        docker = Docker(made, sender, given.name)
        try:
            first = sender.send()
            print(f"first time: harness {first.seconds:.1f} s, {first.load_bytes / MEGABYTE:.0f} MB sent")
            docker.prepare()
            print(f"docker build {'with BuildKit' if docker.has_buildkit else 'without BuildKit'}")
            print(f"first time: docker build + kind load {docker.send():.1f} s")
            ours, theirs = [], []
            for number in range(1, given.rounds + 1):
                made.change(number)
                sent = sender.send()
                ours.append(sent.seconds)
                theirs.append(docker.send())
                print(f"line changed: harness {ours[-1]:.2f} s ({sent.load_bytes:,} bytes), "
                      f"docker build + kind load {theirs[-1]:.1f} s")  # fmt: skip
            mine, other = statistics.median(ours), statistics.median(theirs)
            print(f"median: {mine:.2f} s against {other:.1f} s: 1/{other / mine:.0f}")
        finally:
            docker.clear()
            sender.clear()


class Docker:
    """The usual way: a Dockerfile on an image with the dependencies, then kind's own command."""

    def __init__(self, made: Repository, sender: Sender, cluster: str) -> None:
        self.made = made
        self.sender = sender
        self.cluster = cluster
        self.base = sender.foundation.image.reference
        beside = sender.running.helm.program.with_name("kind")
        self.kind: str | Path = beside if beside.exists() else shutil.which("kind") or "kind"

        asked = process.run(["docker", "buildx", "version"], check=False)
        self.has_buildkit = asked.returncode == 0  # with it the context is sent incrementally

    def prepare(self) -> None:
        """Give Docker the image without code, of the same layers."""
        loaded = process.run_bytes(
            ["docker", "load", "--quiet"], stdin=docker_archive(self.sender.foundation.image)
        )
        if loaded.returncode != 0:
            raise SystemExit(f"docker load: {loaded.stderr}")
        text = f"FROM {self.base}\nCOPY dags /opt/airflow/dags\n"
        (self.made.root.parent / "Dockerfile").write_text(text, encoding="utf-8")

    def send(self) -> float:
        """Seconds to build the image and to load it."""
        started_s = time.monotonic()
        dockerfile = self.made.root.parent / "Dockerfile"
        process.run(
            ["docker", "build", "--quiet", "--tag", TAG, "--file", dockerfile, self.made.root],
            env={"DOCKER_BUILDKIT": "1" if self.has_buildkit else "0"},
        )
        process.run([self.kind, "load", "docker-image", TAG, "--name", self.cluster])
        return time.monotonic() - started_s

    def clear(self) -> None:
        """Take the images from Docker and from the node again."""
        process.run(["docker", "image", "rm", "--force", TAG, self.base], check=False)
        process.run(["docker", "image", "prune", "--force"], check=False)
        argv = ["docker", "exec", self.sender.node, "ctr", "--namespace", "k8s.io", "images", "rm", TAG]
        process.run(argv, check=False)


if __name__ == "__main__":
    main()
