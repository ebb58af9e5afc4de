"""The asking side: the user's repository, its configuration, and which tests are asked for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cluster.labels import name_of
from harness.commit import Commit, Repository
from harness.config import FILE_NAMES, Configuration, ImageSettings, TestSettings, parse, parse_image
from harness.errors import CauseCode, HarnessError

# Untracked files below these make the working tree a version of its own, whatever its harness.toml says.
_ALWAYS = FILE_NAMES


@dataclass(frozen=True)
class Project:
    """A repository and what its working tree configures."""

    repository: Repository
    configuration: Configuration

    @property
    def name(self) -> str:
        return self.configuration.project or name_of(self.repository.root.name)

    def commit(self, ref: str | None) -> Commit:
        """What `ref` means; None is the working tree, untracked files below the image's paths included."""
        image = self.configuration.image
        return self.repository.commit(ref, paths=[*_ALWAYS, *image.code, image.requirements])

    def image_settings(self, commit: Commit) -> ImageSettings:
        """[image] of the commit itself; where it has no configuration, that of the asking side."""
        return _own_image(commit) or self.configuration.image

    def tests(self, names: Sequence[str]) -> dict[str, TestSettings]:
        """The named tests, or all. Raises HarnessError(TEST_NOT_FOUND) with near names."""
        known = self.configuration.tests
        if not known:
            raise HarnessError(
                CauseCode.TEST_NOT_FOUND,
                "harness.toml names no tests",
                hint='add [tests.NAME] with dag = "…" to harness.toml; docs/configuration.md shows how',
            )
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=3)
                hint = f"harness test {near[0]}" if near else f"harness test {next(iter(known))}"
                raise HarnessError(
                    CauseCode.TEST_NOT_FOUND,
                    f"there is no test {name!r} in harness.toml: it has {', '.join(known)}",
                    hint=hint,
                )
        return {name: known[name] for name in (names or known)}


def load(start: Path) -> Project:
    """The project around `start`. Raises HarnessError: NOT_A_REPOSITORY, CONFIG_INVALID."""
    repository = Repository.find(start)
    for name in FILE_NAMES:
        path = repository.root / name
        if path.is_file():
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise HarnessError(
                    CauseCode.CONFIG_INVALID, f"{path} can't be read: {error}", hint=f"ls -l {path}"
                ) from error
            configuration = parse(text, origin=str(path))
            if configuration is not None:
                return Project(repository, configuration)
    raise HarnessError(
        CauseCode.CONFIG_INVALID,
        f"{repository.root} has no harness.toml, nor [tool.harness] in pyproject.toml",
        hint="write one; docs/configuration.md begins with one of ten lines",
    )


def find(start: Path) -> Project | None:
    """The project around `start`, or None outside of one: then `up` makes the cluster alone."""
    try:
        return load(start)
    except HarnessError as error:
        if error.cause is CauseCode.NOT_A_REPOSITORY or "has no harness.toml" in error.message:
            return None
        raise


def _own_image(commit: Commit) -> ImageSettings | None:
    for name in FILE_NAMES:
        content = commit.read(name)
        if content is not None:
            image = parse_image(content.decode(errors="replace"), origin=f"{commit.ref}:{name}")
            if image is not None:
                return image
    return None
