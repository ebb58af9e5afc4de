"""The images that harness gave to Docker: those that nodes start from, and the bases that packages are compiled in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from harness.errors import CauseCode
from harness.host import process

PATTERN = "harness.local/*"
ASKING_S = 60.0


@dataclass(frozen=True)
class DockerImage:
    """An image of ours in Docker. `is_used`: a container was made from it, or it is the newest of its repository."""

    name: str
    size_bytes: int
    created_at: float
    is_used: bool

    @property
    def repository(self) -> str:
        return self.name.rpartition(":")[0]


def listed() -> tuple[DockerImage, ...]:
    """All of them, the newest first. Raises HarnessError(DOCKER_MISSING) where Docker does not answer."""
    names = _lines(
        "docker", "image", "ls", "--filter", f"reference={PATTERN}", "--format", "{{.Repository}}:{{.Tag}}"
    )
    if not names:
        return ()
    containers = _lines("docker", "ps", "--all", "--quiet")
    # What went meanwhile, others work with Docker too, is left out.
    used = (
        set(_lines("docker", "inspect", "--format", "{{.Image}}", *containers, check=False))
        if containers
        else set()
    )
    told = "[{{json .Id}},{{.Size}},{{json .Created}},{{json .RepoTags}}]"
    found = [
        DockerImage(name, int(size), datetime.fromisoformat(created).timestamp(), identity in used)
        for identity, size, created, tags in map(
            json.loads,
            dict.fromkeys(_lines("docker", "image", "inspect", "--format", told, *names, check=False)),
        )
        for name in tags
        if name in names
    ]
    newest: set[str] = set()
    result = []
    for image in sorted(found, key=lambda each: -each.created_at):
        is_newest = image.repository not in newest
        newest.add(image.repository)
        result.append(DockerImage(image.name, image.size_bytes, image.created_at, image.is_used or is_newest))
    return tuple(result)


def remove(images: tuple[DockerImage, ...]) -> None:
    """Remove them; Docker itself keeps one that a container was made from meanwhile."""
    if images:
        process.run(
            ["docker", "image", "rm", *(image.name for image in images)], check=False, timeout_s=ASKING_S
        )


def _lines(*argv: str, check: bool = True) -> list[str]:
    done = process.run(
        argv, cause=CauseCode.DOCKER_MISSING, hint="harness doctor --fix", timeout_s=ASKING_S, check=check
    )
    return [line for line in done.stdout.splitlines() if line.strip()]
