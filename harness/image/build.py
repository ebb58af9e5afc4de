"""Commit -> Image: base, dependencies and code put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.cluster.node_image.program import architecture
from harness.commit import Commit
from harness.config import ImageSettings
from harness.errors import CauseCode, HarnessError
from harness.host import cache
from harness.image.base import USER_ID, package_base
from harness.image.code import code_layers
from harness.image.dependencies import Dependencies, dependencies
from harness.image.layer import Layer
from harness.image.oci import BaseImage, Image, assemble

DOMAIN = "harness.local"
HOME = "/opt/airflow"
# What every process of a version needs, whatever started it.
ENVIRONMENT = {
    "AIRFLOW_HOME": HOME,
    "HOME": "/home/airflow",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "USER": "airflow",
}


@dataclass(frozen=True)
class Foundation:
    """What images of commits with the same lock share: base, packages, and the image of both without code."""

    base: BaseImage
    dependencies: Dependencies
    image: Image


def foundation(
    commit: Commit, settings: ImageSettings, *, project: str, on_line: Callable[[str], None], log: Path
) -> Foundation:
    """The commit's base and dependencies, built when they are not there yet."""
    lock = commit.read(settings.requirements)
    if lock is None:
        raise HarnessError(
            CauseCode.CODE_NOT_FOUND,
            f"[image] requirements: {commit.ref} has no file {settings.requirements}",
            hint=f"git ls-tree -r --name-only {commit.sha[:12]} | grep -i -e lock -e requirements",
        )
    base = package_base(settings.python, on_line=on_line, log=log)
    packages = dependencies(
        lock,
        origin=settings.requirements,
        base=base,
        python=settings.python,
        architecture=architecture(),
        on_line=on_line,
        log=log,
    )
    tag = packages.layer.digest.removeprefix("sha256:")[:12]
    image = _assemble(base, [packages.layer], f"{DOMAIN}/{project}/dependencies", tag)
    return Foundation(base, packages, image)


def image_of(commit: Commit, settings: ImageSettings, ground: Foundation, *, project: str) -> Image:
    """The image of a commit, tagged with it. The tag and the project's name are no part of its digest."""
    code = code_layers(commit, settings, store=cache.root() / "layers")
    layers = [ground.dependencies.layer, *code]
    return _assemble(ground.base, layers, f"{DOMAIN}/{project}", commit.tag)


def _assemble(base: BaseImage, layers: list[Layer], name: str, tag: str) -> Image:
    return assemble(
        base,
        layers,
        name=name,
        tag=tag,
        platform=f"linux/{architecture()}",
        env=ENVIRONMENT,
        user=f"{USER_ID}:0",
        workdir=HOME,
        labels={},
    )
