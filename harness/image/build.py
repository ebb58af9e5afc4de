"""Commit -> Image: base, dependencies and code put together."""

from __future__ import annotations

import difflib
import hashlib
import os
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from harness.errors import CauseCode, HarnessError
from harness.host import cache, disk
from harness.host.docker.client import server_architecture
from harness.host.sources.pins import Reference
from harness.image.base.debian import USER_ID, built_base, check_python, package_base
from harness.image.base.published import built_base as built_published_base
from harness.image.base.published import published_base
from harness.image.code import code_layers
from harness.image.code_files import large_content
from harness.image.dependencies.installed import Dependencies, built_dependencies, dependencies
from harness.image.dependencies.lock_file import check_lock
from harness.image.layer import Layer
from harness.image.oci import BaseImage, Image, assemble
from harness.project.commit import DIRECTORY, GITLINK, SYMLINK, Commit
from harness.project.configuration import ImageSettings

DOMAIN = "harness.local"
HOME = "/opt/airflow"
_AIRFLOW = re.compile(r"^apache-airflow-core==([^\s;\\]+)", re.MULTILINE)
# What every process of a version needs, whatever started it.
ENVIRONMENT = {
    "AIRFLOW_HOME": HOME,
    "HOME": "/home/airflow",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "USER": "airflow",
}


@dataclass(frozen=True)
class Lock:
    """A commit's lock file."""

    path: str
    content: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    @property
    def airflow(self) -> str | None:
        """The version of Airflow that it holds."""
        found = _AIRFLOW.search(self.content.decode("utf-8-sig", errors="replace"))
        return found[1] if found else None


@dataclass(frozen=True)
class Foundation:
    """What images of commits with the same lock share: base, packages, and the image of both without code."""

    base: BaseImage
    dependencies: Dependencies
    image: Image
    lock: Lock


def build_foundation(
    commit: Commit,
    settings: ImageSettings,
    *,
    project: str,
    published: str = "",
    on_line: Callable[[str], None],
    log: Path,
) -> Foundation:
    """The commit's base and dependencies, built when they are not there yet.

    `published` is the base image by digest; empty for one made of packages.
    """
    lock = lock_of(commit, settings)
    if published:
        where = server_architecture()
        base = published_base(Reference.parse(published), settings.python, where, on_line=on_line)
    else:
        base = package_base(settings.python, on_line=on_line, log=log)
    packages = dependencies(
        lock.content,
        origin=settings.requirements,
        base=base,
        python=settings.python,
        architecture=base.architecture,
        on_line=on_line,
        log=log,
    )
    return _foundation(lock, base, packages, project)


def built_foundation(
    commit: Commit, settings: ImageSettings, *, project: str, published: str = ""
) -> Foundation | None:
    """What `build_foundation` gives if all of it was built before, else None."""
    lock = lock_of(commit, settings)
    if published:
        where = server_architecture()
        base = built_published_base(Reference.parse(published), settings.python, where)
    else:
        base = built_base(settings.python)
    if base is None:
        return None
    packages = built_dependencies(
        lock.content, base=base, python=settings.python, architecture=base.architecture
    )
    return _foundation(lock, base, packages, project) if packages else None


def _foundation(lock: Lock, base: BaseImage, packages: Dependencies, project: str) -> Foundation:
    tag = packages.layer.digest.removeprefix("sha256:")[:12]
    image = _assemble(base, [packages.layer], f"{DOMAIN}/{project}/dependencies", tag)
    return Foundation(base, packages, image, lock)


def check(commit: Commit, settings: ImageSettings) -> None:
    """Find out from the commit's files alone, without Docker, a cluster or the network, whether they make an image.

    The code is packed, which `image_of` then need not do again. Raises HarnessError: CODE_NOT_FOUND,
    CODE_INCOMPLETE, CONFIG_INVALID, DEPENDENCIES_UNRESOLVED, FOLDER_UNUSABLE, DISK_FULL.
    """
    check_python(settings.python)
    check_lock(lock_of(commit, settings).content, settings.requirements)
    code_layers(commit, settings, store=_store())


def image_of(commit: Commit, settings: ImageSettings, foundation: Foundation, *, project: str) -> Image:
    """The image of a commit, tagged with it. The tag and the project's name are no part of its digest."""
    code = code_layers(commit, settings, store=_store())
    layers = [foundation.dependencies.layer, *code]
    return _assemble(foundation.base, layers, f"{DOMAIN}/{project}", commit.tag, settings.env)


def _store() -> Path:
    return disk.folder(cache.root() / "layers", variable=cache.ROOT_VARIABLE)


def lock_of(commit: Commit, settings: ImageSettings) -> Lock:
    """The lock file that [image] names.

    Raises HarnessError: CODE_NOT_FOUND with near names, CODE_INCOMPLETE when Git LFS keeps it elsewhere.
    """
    path = settings.requirements
    content = commit.read(path)
    if content is not None:
        return Lock(path, large_content(commit, path, content))
    place = "the working tree" if commit.is_working_tree else f"commit {commit.sha[:12]} ({commit.ref})"
    near = difflib.get_close_matches(path, [each for each in commit.paths() if each != path], n=3)
    named = f"did you mean {' or '.join(f'`{name}`' for name in near)}? " if near else ""
    raise HarnessError(
        CauseCode.CODE_NOT_FOUND,
        f"[image] requirements: {_why_no_file(commit, path)} in {place}",
        hint=f"{named}Set `requirements` under [image] to a lock file that the repository has",
    )


def _why_no_file(commit: Commit, path: str) -> str:
    """What `path`, which can't be read as a file, is instead."""
    found = commit.entry(path)
    if found is None:
        return f"there is no file `{path}`"
    if found.mode != SYMLINK:
        kind = {DIRECTORY: "directory", GITLINK: "submodule"}[found.mode]
        return f"`{path}` is a {kind}, not a file,"
    target = os.fsdecode(commit.objects.read(found.object_id))
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if inside.startswith(("/", "../")) or inside == "..":
        return f"`{path}` is a link to `{target}`, which leads out of the repository,"
    return f"`{path}` is a link to `{target}`, which is no file"


def _assemble(
    base: BaseImage, layers: list[Layer], name: str, tag: str, env: Mapping[str, str] = MappingProxyType({})
) -> Image:
    return assemble(
        base,
        layers,
        name=name,
        tag=tag,
        platform=f"linux/{base.architecture}",
        env={**env, **ENVIRONMENT},
        user=f"{USER_ID}:0",
        workdir=HOME,
        labels={},
    )
