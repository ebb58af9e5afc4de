"""What the file system refused, as an error that a user can act on."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import CauseCode, HarnessError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNUSABLE = (
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)


def refused(error: OSError, place: str = "") -> HarnessError | None:
    """What it means that the file system raised `error`: DISK_FULL, FOLDER_UNUSABLE, or None for anything else.

    `place`: what was written, where the error names nothing itself.
    """
    place = _text(error.filename2 or error.filename) or place
    if error.errno in _FULL:
        return HarnessError(
            CauseCode.DISK_FULL,
            f"no space left on the disk{f' for {place}' if place else ''}",
            hint=f"df -h {_quoted(Path(place).parent)}; harness gc" if place else "df -h; harness gc",
        )
    if error.errno in _UNUSABLE and place:
        return HarnessError(
            CauseCode.FOLDER_UNUSABLE,
            f"{place} can't be written: {error.strerror}",
            hint=f"ls -ld {_quoted(place)}",
        )
    return None


@contextmanager
def explained() -> Iterator[None]:
    """Make a HarnessError of what the file system refuses inside the block, where `refused` knows it."""
    try:
        yield
    except OSError as error:
        if (known := refused(error)) is None:
            raise
        raise known from error


def folder(path: Path, *, variable: str) -> Path:
    """`path` as a folder that can be written, made when it is missing; `variable` is what would move it.

    Raises HarnessError: FOLDER_UNUSABLE, DISK_FULL.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror
        if error.errno in _FULL:
            raise HarnessError(
                CauseCode.DISK_FULL, f"no space left for {path}", hint=f"df -h {_quoted(path.parent)}"
            ) from error
    else:
        if os.access(path, os.W_OK | os.X_OK):
            return path
        reason = "it is not writable"
    there = next((each for each in (path, *path.parents) if each.exists()), path)
    raise HarnessError(
        CauseCode.FOLDER_UNUSABLE,
        f"the folder {path} can't be used: {reason}",
        hint=f"ls -ld {_quoted(there)}, or name another folder: export {variable}=FOLDER",
    )


def _quoted(path: Path | str) -> str:
    return shlex.quote(str(path))


def _text(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, str | bytes) else ""
