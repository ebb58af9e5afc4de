"""`harness lock`: the working tree's requirements, locked; `up` and `test` do the same where it was not done."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from harness.cluster.running_cluster import log_file
from harness.errors import CauseCode, HarnessError
from harness.hints import DEFAULT_CLUSTER
from harness.image.lock import lock_text
from harness.image.lock.inputs import EDITED, LOCKED_PROJECTS, PROJECT, Inputs, is_lock, read_inputs
from harness.image.lock.make import Made, make
from harness.image.lock.of_commit import unlocked
from harness.image.own.own import own_image
from harness.progress import Progress
from harness.project import project as projects
from harness.project.commit import Repository
from harness.project.configuration import LOCK_FILE
from harness.project.image_settings import ImageSettings

# What is locked where no harness.toml says it, the first that is there.
CANDIDATES = (
    *LOCKED_PROJECTS,
    "pylock.toml",
    "requirements.in",
    "requirements.txt",
    "dags/requirements.txt",
    PROJECT,
)


@dataclass(frozen=True)
class Locked:
    """What became of a lock. `made` is None when it was up to date already, or is another tool's and stays as it is."""

    path: Path
    name: str
    source: str
    made: Made | None
    is_ours: bool = True

    def to_json(self) -> dict[str, object]:
        made = self.made
        return {
            "lock": self.name,
            "source": self.source,
            "changed": made is not None,
            "airflow": made.airflow if made else None,
            "packages": made.count if made else None,
            "chosen": made.chosen if made else None,
            "added": list(made.added) if made else [],
            "built": list(made.built) if made else [],
            "notes": list(made.notes) if made else [],
        }


def lock(
    start: Path,
    progress: Progress,
    *,
    source: Path | None = None,
    upgrade: bool = False,
    check: bool = False,
) -> Locked:
    """Lock what [image] names, or `source`, a file of the repository; nothing happens when it is locked.

    `upgrade` makes it anew all the same, `check` never. Raises HarnessError: NOT_A_REPOSITORY, CONFIG_INVALID,
    CODE_NOT_FOUND, SOURCE_UNREACHABLE; DEPENDENCIES_UNRESOLVED also where `check` finds it missing or out of date.
    """
    root = Repository.find(start).root
    given = None if source is None else _inside(root, start / source)
    settings = _asked(start, root, given)
    there: Mapping[str, str] = {}
    if settings.is_own:
        settings, there = _for_own_image(start, settings, progress, upgrade=upgrade)
    inputs, target = _inputs(root, settings, given)
    path = root / target
    found = path.read_bytes() if path.is_file() else None
    if lock_text.is_of(found, inputs.digest) and not upgrade:
        return Locked(path, target, inputs.source, None)
    if check:
        if found is not None and target != LOCK_FILE and lock_text.header_of(found) is None:
            return Locked(path, target, inputs.source, None, is_ours=False)
        raise unlocked(inputs, is_there=found is not None, name=target)
    return Locked(path, target, inputs.source, _made(inputs, there, path, progress))


def ensure(
    project: projects.Project, settings: ImageSettings, there: Mapping[str, str], progress: Progress
) -> bool:
    """Lock the working tree's requirements, as [image] names them, when that was not done, or they have changed since.

    `there`: the packages of the image that they are put on. True when they were locked now.
    Raises HarnessError(DEPENDENCIES_UNRESOLVED) instead in a CI job, which nobody commits from, and what `lock` raises.
    """
    root = project.repository.root
    content = _read(root, settings.requirements)
    if content is None or is_lock(
        settings.requirements, content
    ):  # what is wrong with it is told by who reads it
        return False
    inputs = _inputs_of(root, settings, settings.requirements)
    found = _read(root, LOCK_FILE)
    if lock_text.is_of(found, inputs.digest):
        return False
    if os.environ.get("CI"):
        raise unlocked(inputs, is_there=found is not None)
    _made(inputs, there, root / LOCK_FILE, progress)
    progress.note(
        f"{LOCK_FILE} is {'new' if found is None else 'changed'}: commit it, and CI takes the same packages"
    )
    return True


def _made(inputs: Inputs, there: Mapping[str, str], path: Path, progress: Progress) -> Made:
    with progress.step(f"lock of {inputs.source}") as step:
        made = make(inputs, asked=datetime.now(UTC), there=there, on_line=step.update)
        place = path.resolve()  # of a link, what it leads to
        partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
        partial.write_bytes(made.content)
        partial.replace(place)
        step.done(f"{made.count} packages, {made.chosen}")
    for note in made.notes:
        progress.note(note)
    if made.added:
        progress.note(f"added, for task pods and the database: {', '.join(made.added)}")
    if made.built:
        progress.note(f"built from source, once: {', '.join(made.built)}")
    return made


def _asked(start: Path, root: Path, source: str | None) -> ImageSettings:
    """[image]; where nothing is configured, one with the first of CANDIDATES that is there."""
    project = projects.find(start)
    if project is not None:
        return project.configuration.image
    found = source or next((each for each in CANDIDATES if (root / each).is_file()), None)
    if found is None:
        raise HarnessError(
            CauseCode.CODE_NOT_FOUND,
            f"{root} has none of {', '.join(CANDIDATES)}",
            hint="harness lock FILE",
        )
    return ImageSettings(requirements=found)


def _for_own_image(
    start: Path, settings: ImageSettings, progress: Progress, *, upgrade: bool
) -> tuple[ImageSettings, Mapping[str, str]]:
    """[image] with what the image says that the packages are put on, and the packages that it has.

    With `upgrade` it is the one that its name leads to today.
    """
    if settings.as_is:
        raise HarnessError(
            CauseCode.CONFIG_INVALID,
            "there is nothing to lock: with [image] as_is = true the image has its packages already",
            hint="put `requirements` under [image] in place of as_is",
        )
    project = projects.load(start)
    with project.commit(None) as commit, progress.step(settings.own_name) as step:
        own = own_image(
            commit, settings, on_line=step.update, log=log_file(DEFAULT_CLUSTER), locked=not upgrade
        )
        step.done(f"Airflow {own.contents.airflow}, Python {own.contents.python}")
    return own.settled(settings), own.contents.packages


def _inside(root: Path, file: Path) -> str:
    """A file's path from the repository's root. Raises HarnessError(CODE_NOT_FOUND)."""
    problem = "there is no such file" if not file.is_file() else "it is not in this repository"
    if not file.is_file() or not file.resolve().is_relative_to(root.resolve()):
        raise HarnessError(
            CauseCode.CODE_NOT_FOUND,
            f"{file} can't be locked: {problem}",
            hint=f"ls {shlex.quote(str(file.parent))}",
        )
    return file.resolve().relative_to(root.resolve()).as_posix()


def _inputs(root: Path, settings: ImageSettings, source: str | None) -> tuple[Inputs, str]:
    """What to lock, and where to."""
    named = settings.requirements
    content = _read(root, named)
    target = named if content is not None and is_lock(named, content) else LOCK_FILE
    if source is not None:
        return _inputs_of(root, settings, source), target
    if target == LOCK_FILE and named != LOCK_FILE:
        return _inputs_of(root, settings, named), target
    header = lock_text.header_of(content or b"")
    beside = [str(PurePosixPath(named).with_suffix(suffix)) for suffix in EDITED]
    made_from = [header.source] if header else beside
    found = next((each for each in made_from if (root / each).is_file()), None)
    if found is None:
        raise HarnessError(
            CauseCode.DEPENDENCIES_UNRESOLVED,
            f"{named} is a lock, and there is no {' or '.join(made_from)} that it could be made from",
            hint="harness lock requirements.in: whichever file your requirements stand in",
        )
    return _inputs_of(root, settings, found), target


def _inputs_of(root: Path, settings: ImageSettings, source: str) -> Inputs:
    return read_inputs(
        source,
        lambda path: _read(root, path),
        python=settings.python,
        airflow=settings.airflow or "",
        base=settings.base or "",
    )


def _read(root: Path, path: str) -> bytes | None:
    """A file of the working tree; None where there is none, or it lies elsewhere."""
    file = root / path
    if not file.is_file() or not file.resolve().is_relative_to(root.resolve()):
        return None
    return file.read_bytes()
