"""Folders for what is being made, which outlive nobody: a killed process's are removed by the next one."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = ".scratch-"


class Scratch:
    """An empty folder in `parent`, for this user alone, until `cleanup()` or the end of the process.

    It is locked as long as it is in use, which tells it from one that a killed process left.
    """

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        sweep(parent)
        held = None
        while held is None:  # another process's sweep may have met it before it was locked
            self.path = Path(tempfile.mkdtemp(dir=parent, prefix=PREFIX))
            held = _hold(self.path)
        self._descriptor: int | None = held

    def cleanup(self) -> None:
        """Remove it with all that is in it; may be called twice."""
        if self._descriptor is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """The same for a block."""
    scratch = Scratch(parent)
    try:
        yield scratch.path
    finally:
        scratch.cleanup()


def sweep(parent: Path) -> None:
    """Remove what killed processes left in `parent`; what is in use, or another user's, stays."""
    for path in parent.glob(f"{PREFIX}*"):
        if (descriptor := _hold(path)) is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)


def _hold(path: Path) -> int | None:
    """A descriptor that holds the folder; None where another one does, or it is gone."""
    descriptor = None
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.lstat()):
            return descriptor
    if descriptor is not None:
        os.close(descriptor)
    return None
