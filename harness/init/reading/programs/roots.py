"""Where modules of a repository are looked for."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from harness.init.places import Places
from harness.init.reading.image.team_image import TeamImage
from harness.init.reading.programs.path_edits import PathEdit
from harness.init.reading.repository_files import RepositoryFiles

_PROJECTS = ("pyproject.toml", "setup.py", "setup.cfg")
_TOP = ("src", "lib", "python")  # folders that are a root of imports by custom


def roots_of(places: Places, dags_folder: str, image: TeamImage, edits: Iterable[PathEdit]) -> Iterator[str]:
    """Where modules are looked for, in Airflow's order and then in the one that is likely."""
    home = places.home
    yield from (dags_folder, home, posixpath.join(home, "plugins"), posixpath.join(home, "config"))
    said = image.environment.get("PYTHONPATH")
    for each in (said.value if said else "").split(":"):
        located = places.locate(each) if each else None
        if located is not None:
            yield located
    yield from (edit.folder for edit in edits if edit.folder is not None)
    files = places.files
    yield from (_source(folder, files) for folder in image.projects)
    yield ""
    for folder in _TOP:
        yield from (posixpath.join(home, folder), folder)
    yield from (_source(posixpath.dirname(path), files) for path in files.named(*_PROJECTS))


def _source(project: str, files: RepositoryFiles) -> str:
    """The folder that holds the modules of a project that pip or uv installs, such as a workspace's member."""
    source = posixpath.join(project, "src")
    return source if files.has(source) else project
