"""The asking side: the user's repository, its configuration, and which tests are asked for."""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.project.commit import Commit, Repository
from harness.project.configuration import (
    FILE_NAMES,
    LOCK_FILE,
    AirflowSettings,
    Configuration,
    TestSettings,
    parse,
    parse_airflow,
    parse_image,
)
from harness.project.image_settings import ImageSettings
from harness.project.values import name_of

# Untracked files below these make the working tree a version of its own, whatever its harness.toml says.
_ALWAYS = (*FILE_NAMES, LOCK_FILE)


@dataclass(frozen=True)
class Project:
    """A repository and what its working tree configures, in which of FILE_NAMES."""

    repository: Repository
    configuration: Configuration
    file: str = FILE_NAMES[0]

    @property
    def name(self) -> str:
        return self.configuration.project or name_of(self.repository.root.name)

    def commit(self, ref: str | None) -> Commit:
        """What `ref` means; None is the working tree, untracked files below the image's paths included."""
        image = self.configuration.image
        built_from = (image.dockerfile, image.context) if image.dockerfile else ()
        values = [path] if (path := self.configuration.airflow.values) else []
        return self.repository.commit(
            ref, paths=[*_ALWAYS, *image.code, image.requirements, *built_from, *values]
        )

    def image_settings(self, commit: Commit) -> ImageSettings:
        """[image] of the commit itself; where it has no configuration, that of the asking side."""
        own = (parse_image(file.text, origin=file.origin) for file in _own_files(commit))
        return next((image for image in own if image is not None), self.configuration.image)

    def airflow_settings(self, commit: Commit) -> AirflowSettings:
        """[airflow] of the commit itself; where it has no configuration, that of the asking side."""
        own = (parse_airflow(file.text, origin=file.origin) for file in _own_files(commit))
        return next((found for found in own if found is not None), self.configuration.airflow)

    def as_of(self, commit: Commit) -> Project:
        """The project as the commit itself configures it; where that names no tests, as the working tree does.

        Raises HarnessError(CONFIG_INVALID) for what the commit has.
        """
        for file in _own_files(commit):
            own = parse(file.text, origin=file.origin)
            if own is not None:
                # What the client has is never named by a commit.
                mine = {"project": self.name, "secrets": self.configuration.secrets}
                named = own.model_copy(update=mine)
                return replace(self, configuration=named, file=file.name) if own.tests else self
        return self

    def tests(self, names: Sequence[str]) -> dict[str, TestSettings]:
        """The named tests, or all. Raises HarnessError(TEST_NOT_FOUND) with near names."""
        known = self.configuration.tests
        if not known:
            table = "tests.NAME" if self.file == FILE_NAMES[0] else "tool.harness.tests.NAME"
            raise HarnessError(
                CauseCode.TEST_NOT_FOUND,
                f"{self.file} names no tests",
                hint="harness init --force looks which DAGs can run, and says why others can't; or add "
                f'[{table}] with dag = "…" to {self.file}: docs/configuration.md',
            )
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=3)
                hint = f"harness test {near[0]}" if near else f"harness test {next(iter(known))}"
                raise HarnessError(
                    CauseCode.TEST_NOT_FOUND,
                    f"there is no test {name!r} in {self.file}: it has {', '.join(known)}",
                    hint=hint,
                )
        return {name: known[name] for name in (names or known)}


def load(start: Path) -> Project:
    """The project around `start`. Raises HarnessError: NOT_A_REPOSITORY, CONFIG_INVALID."""
    repository = Repository.find(start)
    project = _configured(repository)
    if project is None:
        raise HarnessError(
            CauseCode.CONFIG_INVALID,
            f"{repository.root} has no harness.toml, nor [tool.harness] in pyproject.toml",
            hint="harness init writes one; docs/configuration.md begins with one of ten lines",
        )
    return project


def find(start: Path) -> Project | None:
    """The project around `start`, or None outside of one: then `up` makes the cluster alone.

    Raises HarnessError(CONFIG_INVALID) for one that can't be used.
    """
    try:
        repository = Repository.find(start)
    except HarnessError as error:
        if error.cause is CauseCode.NOT_A_REPOSITORY:
            return None
        raise
    return _configured(repository)


def _configured(repository: Repository) -> Project | None:
    """What the working tree configures, or None where there is nothing."""
    for name in FILE_NAMES:
        path = repository.root / name
        if os.path.lexists(path):
            configuration = parse(_text(path), origin=str(path))
            if configuration is not None:
                return Project(repository, configuration, name)
    return None


def _text(path: Path) -> str:
    """What is written there, line ends as they are: a commit's file is read like that, too."""
    if not path.is_file():
        kind = "a directory" if path.is_dir() else "no file"
        if path.is_symlink() and not path.exists():
            kind = f"a broken link, to {path.readlink()}"
        raise HarnessError(
            CauseCode.CONFIG_INVALID, f"{path} is {kind}", hint=f"ls -ld {shlex.quote(str(path))}"
        )
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(
            CauseCode.CONFIG_INVALID, f"{path} can't be read: {error}", hint=f"ls -l {shlex.quote(str(path))}"
        ) from error


@dataclass(frozen=True)
class _OwnFile:
    """A commit's own file that may configure it; `origin` is how messages call it."""

    name: str
    text: str
    origin: str


def _own_files(commit: Commit) -> Iterator[_OwnFile]:
    for name in FILE_NAMES:
        content = commit.read(name)
        if content is not None:
            path = commit.repository.root / name
            origin = str(path) if commit.is_working_tree else f"{commit.ref}:{name}"
            yield _OwnFile(name, content.decode(errors="replace"), origin)
