"""What folders of the cache take on the disk, measured again only where something was added to or taken from them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter

from harness.host import cache

FILE = "sizes.json"
_Known = TypeAdapter(dict[str, tuple[str, int]])  # a fingerprint and bytes, by the path below the cache's


def measure(paths: list[Path]) -> dict[Path, int]:
    """The bytes that each takes, as `du` tells them, by what is known from the last time of those that are the same.

    What the cache holds is made once and stays as it is; of what grows, uv's downloads, a folder just below changes.
    """
    file = cache.root() / FILE
    known: dict[str, tuple[str, int]] = {}
    with suppress(OSError, ValueError):
        known = _Known.validate_json(file.read_bytes())
    found: dict[str, tuple[str, int]] = {}
    for path in paths:
        key, now = str(path.relative_to(cache.root())), _fingerprint(path)
        before = known.get(key)
        found[key] = before if before is not None and before[0] == now else (now, size_bytes(path))
    if found != known:
        with suppress(OSError):  # the next one measures again
            partial = file.with_name(f".{FILE}.partial")
            partial.write_bytes(_Known.dump_json(found))
            partial.replace(file)
    return {path: found[str(path.relative_to(cache.root()))][1] for path in paths}


def size_bytes(path: Path) -> int:
    """What a file or a folder takes on the disk, each hard link counted once, as `du` does."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for status in _walk(path):
        if status.st_nlink > 1:
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
        total += status.st_blocks * 512
    return total


def _fingerprint(path: Path) -> str:
    """Changes when the path is another file or folder, or something just below it is, or was added to or removed."""
    told = []
    with suppress(OSError):
        status = path.lstat()
        told = [f"{status.st_ino}", "" if path.is_dir() else f"{status.st_blocks}"]
        if path.is_dir() and not path.is_symlink():
            with os.scandir(path) as entries:
                for entry in sorted(entries, key=lambda each: each.name):
                    told.append(f"{entry.name} {entry.stat(follow_symlinks=False).st_mtime_ns}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _walk(path: Path) -> Iterator[os.stat_result]:
    with suppress(OSError):  # it went meanwhile
        status = path.lstat()
        yield status
        if path.is_dir() and not path.is_symlink():
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        yield from _walk(Path(entry.path))
                    else:
                        with suppress(OSError):
                            yield entry.stat(follow_symlinks=False)
