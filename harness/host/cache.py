"""What was built is kept by the hash of its inputs: made once, by one process, and never half."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.host import background, disk, scratch

ROOT_VARIABLE = "HARNESS_CACHE_DIR"
CLIENTS = "clients"
LOOK_EVERY_S = 1.0
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,200}")


def root() -> Path:
    """The cache's folder: $HARNESS_CACHE_DIR, else the user's own for this program. It need not exist.

    Raises HarnessError(FOLDER_UNUSABLE) when that begins with the home of nobody (`~nobody/x`).
    """
    if configured := os.environ.get(ROOT_VARIABLE):
        try:
            return Path(configured).expanduser().absolute()
        except RuntimeError as error:
            raise HarnessError(
                CauseCode.FOLDER_UNUSABLE,
                f"the folder {configured} can't be used: {Path(configured).parts[0]} is nobody's home",
                hint=f"name another folder: export {ROOT_VARIABLE}=FOLDER",
            ) from error
    import platformdirs

    return platformdirs.user_cache_path("airflow-harness")


def entry(kind: str, key: str) -> Path:
    """Where a built thing lies, whether it has been built or not; it exists only when it is whole.

    Raises ValueError for a kind or key that is no plain file name.
    """
    for name in (kind, key):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a cache entry")
    return root() / kind / key


def clients() -> Path:
    """Where the commands that use the cache are known by a folder each, which goes with them."""
    return root() / CLIENTS


def client() -> AbstractContextManager[object]:
    """While the block runs, nothing is removed from the cache that anyone has used since it began."""
    return scratch.folder(disk.folder(clients(), variable=ROOT_VARIABLE))


def used(path: Path) -> bool:
    """Whether the entry, or a file among entries, is there; it is from now on the one that was used last.

    Whoever prunes the cache holds the same lock: what this has answered for is there until its client ends
    (harness/host/cache_limit.py).
    """
    if not path.exists():
        return False
    with pruning(path.parent):
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        except PermissionError:  # another user's: who may not touch it may not prune it either
            return path.exists()
    return True


def pruning(folder: Path) -> AbstractContextManager[None]:
    """Hold what lies in `folder` while it is looked at what of it goes, or said that something must not."""
    return locked(folder / "pruning")


@contextmanager
def build(kind: str, key: str, *, on_wait: Callable[[str], None] = lambda _: None) -> Iterator[Path | None]:
    """Give an empty folder to build in, which becomes the entry when the block succeeds.

    Gives None when the entry is there already, also when another process built it while we waited (`on_wait`
    is told so, once, before). What a killed build left behind is removed by the next one.
    """
    target = entry(kind, key)
    if used(target):
        yield None
        return
    with (
        client(),
        locked(target, lambda: on_wait(f"the same ({kind}) is being made already: waiting for it")),
    ):
        # Who holds the lock is the only builder: whatever else lies here belongs to a dead one.
        for leftover in target.parent.glob(f".{key}.*.building"):
            remove(leftover)
        if used(target):
            yield None
            return
        folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{key}.", suffix=".building"))
        try:
            yield folder
            folder.chmod(0o755)
            folder.rename(target)
        except BaseException:
            remove(folder)
            raise


def obtain(
    kind: str,
    key: str,
    make: Callable[[Path], None],
    *,
    on_wait: Callable[[str], None] = lambda _: None,
) -> Path:
    """The entry, built by `make(folder)` when it is not there yet; whatever `make` raises passes through."""
    with build(kind, key, on_wait=on_wait) as folder:
        if folder is not None:
            make(folder)
    return entry(kind, key)


def discard(kind: str, key: str) -> None:
    """Remove an entry, whole at once for whoever looks; nothing happens when it is not there."""
    target = entry(kind, key)
    if not target.exists():
        return
    with locked(target):
        doomed = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{key}.", suffix=".building"))
        try:
            target.rename(doomed / "entry")
        finally:
            remove(doomed)


@contextmanager
def locked(target: Path, on_wait: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold `target`, by a file beside it; `on_wait` is called once when another process holds it.

    There is no deadline: the other one may compile for many minutes, and the system takes its lock when it ends.
    """
    import filelock

    target.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(target.parent / f".{target.name}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        on_wait()
        while not lock.is_locked:
            background.check()
            with suppress(filelock.Timeout):
                lock.acquire(timeout=LOOK_EVERY_S)
    try:
        yield
    finally:
        lock.release()


def remove(path: Path) -> None:
    """Remove a tree, also one with folders that were made unwritable (Go's module cache is)."""
    for folder, names, _ in os.walk(path):
        for child in (Path(folder), *(Path(folder, name) for name in names)):
            if not child.is_symlink():
                with suppress(OSError):
                    child.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)  # what stays is out of the way: no entry has such a name
