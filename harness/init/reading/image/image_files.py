"""The files that make a team's image, read in turn."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from harness.init.reading.image.compose import compose_files, read_compose
from harness.init.reading.image.dockerfile import read_dockerfile
from harness.init.reading.image.team_image import Said, TeamImage
from harness.init.reading.image.variables_files import NAMES, read_variables
from harness.init.reading.repository_files import Place, RepositoryFiles

ASTRO_SETTINGS = ".astro/config.yaml"
MOST_FOLDERS = 4


def team_image(files: RepositoryFiles, near: str | None = None) -> TeamImage:
    """What compose files, Dockerfiles, `packages.txt`, files of Variables and the settings of an Astro project say.

    Of several projects in one repository those count that are nearest to the folder `near`.
    """
    image = TeamImage()
    built: set[str] = set()
    for path in _nearest(compose_files(files), near):
        read_compose(path, image, files, built)
    dockerfiles = (
        path
        for path in files.names
        if path.count("/") <= MOST_FOLDERS and _is_dockerfile(path) and path not in built
    )
    for path in _nearest(dockerfiles, near):
        read_dockerfile(path, image, files)
    for path in _nearest(files.named("config.yaml"), near):
        if image.astro is None and path.endswith(ASTRO_SETTINGS):
            image.astro = Place(path.removesuffix("config.yaml").rstrip("/"), 0)
    read_variables(_nearest(files.named(*NAMES), near), image, files)
    for path in _nearest(files.named("packages.txt"), near):
        for number, line in enumerate((files.read_text(path) or "").splitlines(), 1):
            if name := line.partition("#")[0].strip():
                image.system_packages.append(Said(name, Place(path, number)))
    return image


def _is_dockerfile(path: str) -> bool:
    name = posixpath.basename(path).lower()
    return (
        name in {"dockerfile", "containerfile"}
        or name.startswith("dockerfile.")
        or name.endswith(".dockerfile")
    )


def _nearest(paths: Iterable[str], near: str | None) -> list[str]:
    """Those in folders above `near`; others only where none of all lies nearer to it."""
    found = list(paths)
    if near is None:
        return found
    folders = near.split("/") if near else []
    depths = [_common(path, folders) for path in found]
    return [
        path
        for path, (shared, above) in zip(found, depths, strict=True)
        if above or shared == max(each for each, _ in depths)
    ]


def _common(path: str, folders: list[str]) -> tuple[int, bool]:
    """How many folders a file has in common with another folder, and whether it lies in one of these."""
    own = path.replace(f"/{ASTRO_SETTINGS}", "/x").split("/")[:-1]
    shared = 0
    for mine, other in zip(own, folders, strict=False):
        if mine != other:
            break
        shared += 1
    return shared, shared == len(own)
