"""The files of a repository that its readers look at: what git has or would take, as text."""

from __future__ import annotations

import codecs
import os
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from harness.host.git import Git

_TOPS = ("/(repository)", "/opt/airflow", "/usr/local/airflow")
TEXT_LIMIT_BYTES = 1 << 20  # no configuration is longer, and Python that is was written by a program
_NEVER_READ = frozenset(
    {".git", ".venv", "venv", "env", "node_modules", "__pycache__", "site-packages", "tests", "test"}
)


@dataclass(frozen=True)
class RepositoryFiles:
    """The names of a repository's files, from its root, sorted; and what reads one.

    `ignored` says whether a path is on this machine and git leaves it out, `tracked` whether a file is in git.
    """

    names: tuple[str, ...]
    read_text: Callable[[str], str | None] = field(repr=False)
    ignored: Callable[[str], bool] = field(default=lambda _: False, repr=False)
    tracked: Callable[[str], bool] = field(default=lambda _: False, repr=False)

    @classmethod
    def of(cls, root: Path) -> RepositoryFiles:
        """Those of the repository at `root`, with the untracked ones that git does not ignore."""
        git = Git(root)
        tracked = {os.fsdecode(name) for name in git.output("ls-files", "-z").split(b"\0") if name}
        others = git.output("ls-files", "-z", "--others", "--exclude-standard")
        names = sorted(tracked | {os.fsdecode(name) for name in others.split(b"\0") if name})
        present = tuple(name for name in names if os.path.lexists(root / name))
        known = set(present) | set(_folders(present))
        return cls(
            present,
            lambda name: _text(root / name),
            lambda path: path not in known and (root / path).exists(),
            tracked.__contains__,
        )

    @classmethod
    def given(cls, texts: Mapping[str, str]) -> RepositoryFiles:
        """Those that are at hand as texts."""
        return cls(tuple(sorted(texts)), texts.get)

    def has(self, path: str) -> bool:
        """Whether there is a file or a folder of this name."""
        return path in {"", "."} or any(name == path or name.startswith(f"{path}/") for name in self.names)

    def is_file(self, path: str) -> bool:
        return path in self.names

    def found(self, written: str) -> str | None:
        """The text of the file that code means by a path: from the root, or where it is the only one of its end."""
        path = posixpath.normpath(written)
        for top in _TOPS:
            path = path.removeprefix(f"{top}/")
        ends = [name for name in self.names if name == path or name.endswith(f"/{path}")]
        return self.read_text(path if path in ends else ends[0]) if path in ends or len(ends) == 1 else None

    def below(self, folder: str) -> Iterator[str]:
        """The files in a folder and its folders; the repository's own folder is the empty name."""
        return (name for name in self.names if not folder or name.startswith(f"{folder}/"))

    def python(self) -> Iterator[str]:
        """Python files that are the repository's own and no tests."""
        return (
            name
            for name in self.names
            if name.endswith(".py") and not _NEVER_READ & set(name.split("/")[:-1])
        )

    def named(self, *names: str) -> Iterator[str]:
        """Files of these names in any folder, those nearest to the root first."""
        found = (name for name in self.names if PurePosixPath(name).name in names)
        return iter(sorted(found, key=lambda name: (name.count("/"), name)))


@dataclass(frozen=True, order=True)
class Place:
    """A line of a file."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


def _folders(names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        yield from (str(parent) for parent in PurePosixPath(name).parents)


def _text(path: Path) -> str | None:
    """A file's text; None for what is no text, too long, or can't be read. One in UTF-16 begins with its mark."""
    try:
        if not path.is_file() or path.stat().st_size > TEXT_LIMIT_BYTES:
            return None
        data = path.read_bytes()
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "\ufeff" + data.decode("utf-16")
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
