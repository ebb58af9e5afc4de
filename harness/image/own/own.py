"""The team's own image as a base: by its name, or as the commit's Dockerfile makes it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.errors import CauseCode, HarnessError
from harness.image.base.debian import USER_ID
from harness.image.lock.lock_text import header_of
from harness.image.oci import BaseImage
from harness.image.own import docker_image, dockerfile
from harness.image.own.contents import Contents, contents_of
from harness.image.own.docker_image import Known
from harness.image.own.fitness import check_fit
from harness.project.commit import Commit
from harness.project.configuration import LOCK_FILE
from harness.project.image_settings import ImageSettings


@dataclass(frozen=True)
class OwnImage:
    """An image of the team's own. `origin` is what it was made from, with its digest where a registry has it by one."""

    origin: str
    known: Known
    contents: Contents
    base: BaseImage

    def settled(self, settings: ImageSettings) -> ImageSettings:
        """[image] with what the image itself says: its Python, and where not set, its Airflow and Airflow's home."""
        said: dict[str, str | None] = {"python": self.contents.python}
        if settings.base is not None:
            said["base"] = self.origin
        if settings.airflow is None:
            said["airflow"] = self.contents.airflow
        if "root" not in settings.model_fields_set and self.contents.home:
            said["root"] = self.contents.home
        settings = settings.model_copy(update=said)
        return settings.model_copy(update={"python_path": tuple(self._python_path(settings))})

    def _python_path(self, settings: ImageSettings) -> dict[str, None]:
        """The folders of [image], then those that the image's own PYTHONPATH names: as [image] has them, or absolute
        where they lie elsewhere than below the root, which comes before all of them anyway.
        """
        found = dict.fromkeys(settings.python_path)
        for folder in filter(None, self.known.env.get("PYTHONPATH", "").split(":")):
            path = PurePosixPath(posixpath.normpath(posixpath.join(settings.root, folder)))
            if path != PurePosixPath(settings.root):
                is_below = path.is_relative_to(settings.root)
                found[str(path.relative_to(settings.root) if is_below else path)] = None
        return found

    def holds_code(self, settings: ImageSettings) -> bool:
        """Whether Airflow's home in the image has files that the commit's code does not bring itself."""
        brought = {PurePosixPath(path).parts[0] for path in settings.places if path != "."}
        return bool(set(self.contents.at_home) - brought)


def own_image(
    commit: Commit,
    settings: ImageSettings,
    *,
    on_line: Callable[[str], None],
    log: Path,
    locked: bool = True,
) -> OwnImage:
    """The image that [image] names; what is here already is not built, pulled or asked again.

    A name without a digest leads to the image that the commit's lock was made for, if it says so and `locked` counts.
    Raises HarnessError: IMAGE_UNFIT for one that can't run a version, what `dockerfile.built` and `pull` raise.
    """
    if settings.dockerfile is not None:
        image = dockerfile.built(commit, settings, on_line=on_line, log=log)
        origin = told = settings.dockerfile
    else:
        told = _locked(commit, settings) if locked else settings.base or ""
        image = _named(told, on_line, log)
        repository = told.partition("@")[0].rpartition(":")[0] or told
        digest = next((each for each in image.digests if each.startswith(f"{repository}@")), "")
        origin = told if "@" in told or not digest else f"{told}@{digest.partition('@')[2]}"
    contents = contents_of(image, origin=told, on_line=on_line)
    check_fit(settings, contents, origin=told)
    return OwnImage(origin, image, contents, _base(image, contents, settings, on_line))


def _locked(commit: Commit, settings: ImageSettings) -> str:
    """The base by the digest that the commit's lock names it by; else as [image] names it."""
    named = settings.base or ""
    header = None if settings.as_is or "@" in named else header_of(commit.read(LOCK_FILE) or b"")
    return header.base if header is not None and header.base.partition("@")[0] == named else named


def _named(name: str, on_line: Callable[[str], None], log: Path) -> Known:
    found = docker_image.brought(name, on_line=on_line, log=log)
    if found is None:
        raise HarnessError(
            CauseCode.SOURCE_UNREACHABLE, f"Docker has no image {name}", hint=f"docker pull {name}"
        )
    return found


def _base(
    image: Known, contents: Contents, settings: ImageSettings, on_line: Callable[[str], None]
) -> BaseImage:
    try:
        layers = docker_image.layers(image, on_line=on_line)
    except HarnessError:
        if settings.dockerfile is not None:
            dockerfile.forget(image)
        raise
    # A pod's home is another one than the image's user has.
    user_base = {"PYTHONUSERBASE": contents.user_base} if contents.user_base else {}
    return BaseImage(
        layers=layers,
        digest=image.content_digest,
        site_directory=contents.site_directory.strip("/"),
        env={**image.env, **user_base},
        entrypoint=image.entrypoint,
        command=image.command,
        architecture=image.architecture,
        user_id=contents.user_id or USER_ID,
    )
