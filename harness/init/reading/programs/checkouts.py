"""Where another machine has the repository: in the absolute paths of its code, such as `/home/me/project/scripts`."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from harness.init.reading.constants import REPOSITORY
from harness.init.reading.paths import mentioned
from harness.init.reading.programs.commands import Run
from harness.init.reading.programs.path_edits import path_edits
from harness.init.reading.repository_files import RepositoryFiles
from harness.init.reading.source import Module

_SYSTEM = (
    *("/bin", "/dev", "/etc", "/lib", "/proc", "/run", "/sys", "/tmp", "/var"),  # noqa: S108
    *("/usr/bin", "/usr/include", "/usr/lib", "/usr/local", "/usr/sbin", "/usr/share"),
)


def checkouts(
    modules: Iterable[Module],
    runs: Iterable[Run],
    files: RepositoryFiles,
    locate: Callable[[str], str | None],
) -> set[str]:
    """The folders that modules and commands take for the repository's root, besides those that `locate` knows.

    A path tells one where its end is the repository's too: two names of it at least, or one that can't be by chance.
    """
    found: set[str] = set()
    told = (each for run in runs for each in _plain(run.written, is_code=True))
    for path, is_code in chain(told, *map(_absolute, modules)):
        known = locate(path) is not None or any(path.startswith(f"{each}/") for each in found)
        if not known and (root := _root(path, is_code, files)):
            found.add(root)
    return found


def _absolute(module: Module) -> Iterator[tuple[str, bool]]:
    """The absolute paths of a module, and whether each leads to code, as what it is imported from does."""
    for each in path_edits(module, lambda _: None):
        yield from _plain(each.written, is_code=True)
    for text, _ in mentioned(module):
        yield from _plain(text, is_code=False)


def _plain(text: str, *, is_code: bool) -> Iterator[tuple[str, bool]]:
    path = posixpath.normpath(text)
    elsewhere = not path.startswith((*(f"{each}/" for each in _SYSTEM), f"{REPOSITORY}"))
    if path.startswith("/") and elsewhere and not any(char.isspace() for char in path):
        yield path, is_code


def _root(path: str, is_code: bool, files: RepositoryFiles) -> str:
    """What stands before the longest end of a path that the repository has; empty where nothing tells."""
    parts = path.split("/")[1:]
    for cut in range(1, len(parts)):
        end = "/".join(parts[cut:])
        if files.has(end):
            sure = len(parts) - cut > 1 or (cut > 1 and (is_code or files.is_file(end)))
            return "/" + "/".join(parts[:cut]) if sure else ""
    return ""
