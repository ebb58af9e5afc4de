"""The cache is bounded: what was used least recently goes, and nothing that a living client has used."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.host import cache, process, scratch, sizes

DOWNLOADS = "uv"  # uv's own cache, which only uv may change
LAYERS = "layers"
_RECORDS = "made-from"
_NOT_KEPT = frozenset({cache.CLIENTS, DOWNLOADS, "locks", "locking"})
# What would take minutes to make again: the one that was used last of each is never over a limit.
_NEWEST_STAYS = frozenset({"go", "node-image", "programs", "release", "rootfs"})
DOWNLOADS_SHARE = 3  # downloads only spare a new lock the network: they go first beyond a third of the limit
UV_DEADLINE_S = 300.0


@dataclass(frozen=True)
class Item:
    """Something of the cache that goes as a whole: its kind, size on disk, and when it was used last."""

    kind: str
    path: Path
    size_bytes: int
    used_at: float

    @property
    def group(self) -> tuple[str, str]:
        """What it is one of: of each the newest is worth most."""
        name = re.sub(r"-[0-9a-f]{12,}$", "", self.path.name) if "-" in self.path.name else ""
        return self.kind, name


def items() -> tuple[Item, ...]:
    """All that the cache holds, measured as `du` does; what is being made beside it is left out."""
    found: list[tuple[str, Path]] = []
    for folder in _folders(cache.root()):
        if folder.name == DOWNLOADS:
            found.append((DOWNLOADS, folder))
        elif folder.name not in _NOT_KEPT:
            entries = [folder / _RECORDS, folder] if folder.name == LAYERS else [folder]
            found += [(folder.name, path) for parent in entries for path in _entries(parent)]
    measured = sizes.measure([path for _, path in found])
    return tuple(Item(kind, path, measured[path], _used_at(path) or 0.0) for kind, path in found)


def held_bytes() -> int:
    """What the cache takes on the disk."""
    return sum(item.size_bytes for item in items())


def chosen(
    found: Sequence[Item], limit_bytes: int, *, since: float, before: float | None = None
) -> tuple[Item, ...]:
    """What has to go so that the rest keeps the limit, and what was not used since `before`.

    What was used at or after `since` stays, as does the newest of what takes minutes to make.
    """
    newest: dict[tuple[str, str], Item] = {}
    for item in found:
        if item.kind in _NEWEST_STAYS and item.used_at >= newest.get(item.group, item).used_at:
            newest[item.group] = item
    total_bytes = sum(item.size_bytes for item in found)
    doomed = []
    for item in sorted(found, key=lambda each: (not _is_excess(each, limit_bytes), each.used_at)):
        is_old = before is not None and item.used_at < before
        is_free = item.kind == DOWNLOADS or (item.used_at < since and newest.get(item.group) != item)
        if is_free and (total_bytes > limit_bytes or is_old):
            doomed.append(item)
            total_bytes -= item.size_bytes
    return tuple(doomed)


def prune(
    limit_bytes: int, found: Sequence[Item] | None = None, *, before: float | None = None
) -> tuple[Item, ...]:
    """Remove what `chosen` says, of what was `found` if that was looked at already; returns what is gone."""
    gone = []
    doomed = chosen(items() if found is None else found, limit_bytes, since=in_use_since(), before=before)
    for item in doomed:
        if item.kind == DOWNLOADS:
            if _clean_downloads(item.path):
                gone.append(item)
            continue
        with cache.pruning(item.path.parent):
            # Whoever used it since has said so under this lock, and whoever began since has used nothing yet.
            used_at = _used_at(item.path)
            if used_at is not None and used_at <= item.used_at and used_at < in_use_since():
                _discard(item.path)
                gone.append(item)
    return tuple(gone)


def in_use_since() -> float:
    """When the longest of the clients that live began; now, where none does."""
    clients = cache.clients()
    scratch.sweep(clients)
    began = [time.time()]
    for folder in clients.glob(f"{scratch.PREFIX}*"):
        with suppress(FileNotFoundError):
            began.append(folder.stat().st_mtime)
    return min(began)


def _used_at(path: Path) -> float | None:
    with suppress(OSError):
        return path.stat().st_mtime
    return None


def _is_excess(item: Item, limit_bytes: int) -> bool:
    return item.kind == DOWNLOADS and item.size_bytes * DOWNLOADS_SHARE > limit_bytes


def _folders(root: Path) -> Iterable[Path]:
    return sorted(path for path in root.glob("[!.]*") if path.is_dir()) if root.is_dir() else ()


def _entries(folder: Path) -> Iterator[Path]:
    """Its entries, and what killed builds left; locks and what is being made by the living are none."""
    if folder.is_dir():
        for path in folder.iterdir():
            is_left = path.name.endswith(".building")
            if path.name != _RECORDS and (is_left or not path.name.startswith(".")):
                yield path


def _discard(path: Path) -> None:
    """Whole at once for whoever looks."""
    doomed = path.with_name(f".{path.name}.gone.building")
    with suppress(OSError):
        path.rename(doomed)
        if doomed.is_dir():
            cache.remove(doomed)
        else:
            doomed.unlink()


def _clean_downloads(folder: Path) -> bool:
    """uv waits for those of its processes that use them."""
    import uv

    argv = [uv.find_uv_bin(), "cache", "clean", "--quiet", "--cache-dir", str(folder)]
    return process.run(argv, check=False, timeout_s=UV_DEADLINE_S).returncode == 0
