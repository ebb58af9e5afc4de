"""Commit -> Image: base, dependencies and code put together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from harness import versions
from harness.errors import CauseCode, HarnessError
from harness.host import cache, disk
from harness.host.docker.client import server_architecture
from harness.host.sources.pins import Reference
from harness.image.base.debian import built_base, check_python, package_base, toolchain
from harness.image.base.published import built_base as built_published_base
from harness.image.base.published import published_base
from harness.image.code import code_layers
from harness.image.dependencies.installed import Dependencies, built_dependencies, dependencies
from harness.image.dependencies.lock_file import check_lock
from harness.image.layer import Layer
from harness.image.lock.of_commit import Lock, lock_of
from harness.image.oci import BaseImage, Image, assemble
from harness.image.own import additions
from harness.image.own.own import OwnImage, own_image
from harness.project.commit import Commit
from harness.project.image_settings import ImageSettings
from harness.project.named_file import named_text
from harness.project.places import AIRFLOW_ROOT
from harness.project.values import debian_packages

DOMAIN = "harness.local"
# What every process of a version needs, whatever started it.
ENVIRONMENT = {
    "HOME": "/home/airflow",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "USER": "airflow",
}


@dataclass(frozen=True)
class Foundation:
    """What images of commits with the same lock share: base, packages, and the image of both without code.

    `own` is the image of the team's own that it stands on, if it does; `lock` is None where that is taken as it is.
    """

    base: BaseImage
    dependencies: Dependencies
    image: Image
    lock: Lock | None
    own: OwnImage | None = None


def build_foundation(
    commit: Commit,
    settings: ImageSettings,
    *,
    project: str,
    published: str = "",
    own: OwnImage | None = None,
    on_line: Callable[[str], None],
    log: Path,
) -> Foundation:
    """The commit's base and dependencies, built when they are not there yet.

    `published` is the base image by digest; empty for one made of packages. An image of the team's own is neither: it
    is `own`, if that was asked already.
    """
    if settings.is_own:
        own = own or own_image(commit, settings, on_line=on_line, log=log)
        settings = own.settled(settings)
        lock = None if settings.as_is else lock_of(commit, settings)
        if lock is None:
            return _foundation(None, own.base, Dependencies((), own.contents.migrations), project, own)
        check_lock(lock.content, lock.path)
        packages = additions.added(lock.content, own, origin=lock.path, on_line=on_line, log=log)
        return _foundation(lock, own.base, packages, project, own)
    lock = lock_of(commit, settings)
    check_lock(lock.content, lock.path)
    extra = system_packages(commit, settings)
    if published := _published(published, settings, extra):
        where = server_architecture()
        base = published_base(Reference.parse(published), settings.python, where, on_line=on_line)
    else:
        base = package_base(settings.python, extra=extra, on_line=on_line, log=log)
    packages = dependencies(
        lock.content,
        origin=lock.path,
        base=base,
        python=settings.python,
        architecture=base.architecture,
        on_line=on_line,
        log=log,
        tools=lambda: toolchain(settings.python, extra=extra, on_line=on_line, log=log),
    )
    return _foundation(lock, base, packages, project)


def built_foundation(
    commit: Commit, settings: ImageSettings, *, project: str, published: str = ""
) -> Foundation | None:
    """What `build_foundation` gives if all of it was built before, else None. The team's own is not looked for."""
    if settings.is_own:
        return None
    lock = lock_of(commit, settings)
    extra = system_packages(commit, settings)
    if published := _published(published, settings, extra):
        where = server_architecture()
        base = built_published_base(Reference.parse(published), settings.python, where)
    else:
        base = built_base(settings.python, extra=extra)
    if base is None:
        return None
    packages = built_dependencies(
        lock.content, base=base, python=settings.python, architecture=base.architecture
    )
    return _foundation(lock, base, packages, project) if packages else None


def _published(published: str, settings: ImageSettings, extra: Sequence[str]) -> str:
    """The published base, where it has the Python that is asked for and nothing has to be added to it."""
    return "" if extra or settings.python != versions.DEBIAN_PYTHON else published


def system_packages(commit: Commit, settings: ImageSettings) -> tuple[str, ...]:
    """The Debian packages that [image] names, or those of the file that it names, one a line.

    Raises HarnessError: CODE_NOT_FOUND, CONFIG_INVALID for what is no package's name.
    """
    named = settings.system_packages
    if not isinstance(named, str):
        return named
    text = named_text(commit, named, "[image] system_packages")
    words = [line.partition("#")[0].strip() for line in text.splitlines()]
    try:
        return debian_packages(tuple(word for word in words if word))
    except ValueError as error:
        raise HarnessError(CauseCode.CONFIG_INVALID, f"{named}: {error}", hint=f"edit {named}") from error


def _foundation(
    lock: Lock | None, base: BaseImage, packages: Dependencies, project: str, own: OwnImage | None = None
) -> Foundation:
    digests = [layer.digest for layer in packages.layers]
    if own is not None:  # which may have the same packages put on it as another, or none
        digests = [f"sha256:{hashlib.sha256(json.dumps([base.digest, *digests]).encode()).hexdigest()}"]
    tag = digests[-1].removeprefix("sha256:")[:12]
    image = _assemble(base, packages.layers, f"{DOMAIN}/{project}/dependencies", tag)
    return Foundation(base, packages, image, lock, own)


def check(commit: Commit, settings: ImageSettings) -> None:
    """Find out from the commit's files alone, without Docker, a cluster or the network, whether they make an image.

    The code is packed, which `image_of` then need not do again. Raises HarnessError: CODE_NOT_FOUND,
    CODE_INCOMPLETE, CONFIG_INVALID, DEPENDENCIES_UNRESOLVED, FOLDER_UNUSABLE, DISK_FULL.
    """
    if not settings.is_own:
        check_python(settings.python)
        system_packages(commit, settings)
    if not settings.as_is:
        lock = lock_of(commit, settings)
        check_lock(lock.content, lock.path)
    code_layers(commit, settings, store=_store())


def image_of(commit: Commit, settings: ImageSettings, foundation: Foundation, *, project: str) -> Image:
    """The image of a commit, tagged with it. The tag and the project's name are no part of its digest."""
    code = code_layers(commit, settings, store=_store())
    layers = [*foundation.dependencies.layers, *code]
    env = {**settings.env, "AIRFLOW_HOME": settings.root}
    return _assemble(foundation.base, layers, f"{DOMAIN}/{project}", commit.tag, env)


def _store() -> Path:
    return disk.folder(cache.root() / "layers", variable=cache.ROOT_VARIABLE)


def _assemble(
    base: BaseImage,
    layers: Sequence[Layer],
    name: str,
    tag: str,
    env: Mapping[str, str] = MappingProxyType({}),
) -> Image:
    home = env.get("AIRFLOW_HOME", AIRFLOW_ROOT)
    return assemble(
        base,
        layers,
        name=name,
        tag=tag,
        platform=f"linux/{base.architecture}",
        env={**env, **ENVIRONMENT, "AIRFLOW_HOME": home},
        user=f"{base.user_id}:0",
        workdir=home,
        labels={},
    )
