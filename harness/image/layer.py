"""Image layers: uncompressed tar files whose digest depends on names, contents and executable bits alone."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import posixpath
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from harness.errors import CauseCode, HarnessError
from harness.host import cache, disk, scratch
from harness.image import tar

CHUNK_BYTES = 1 << 20
NAME_PART_LIMIT_BYTES = 255
WHITEOUT = ".wh."  # a layer's file of that name deletes one of the layers below


@dataclass(frozen=True)
class Layer:
    """A layer on disk. `digest` is that of the uncompressed tar, so it is the diff id too."""

    path: Path
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Member:
    """One path of a layer, `name` counted from the image's root: a file, a link (`target`) or a directory."""

    name: str
    size_bytes: int = 0
    executable: bool = False
    target: str | None = None
    is_directory: bool = False
    chunks: Callable[[], Iterable[bytes]] = tuple


def write_layer(
    members: Iterable[Member], *, store: Path, roots: Sequence[str] = ("",), writer_id: int | None = None
) -> Layer:
    """Write a layer into `store`, named by its digest; parent directories are added.

    All is root's and nobody else writes it, but from `roots` down it is `writer_id`'s, where that is given, and its
    group's to write. A link must stay inside one of `roots`. Raises HarnessError: CODE_INCOMPLETE for names and links
    that no layer may hold, DISK_FULL, BUILD_FAILED when a file can't be read or changes meanwhile.
    """
    ordered = _complete(members, roots)
    digest = hashlib.sha256()
    size_bytes = 0
    try:
        with scratch.folder(store) as folder:
            temporary = folder / "layer.tar"
            with temporary.open("wb", buffering=CHUNK_BYTES) as file:
                for chunk in _stream(ordered, roots, writer_id):
                    file.write(chunk)
                    digest.update(chunk)
                    size_bytes += len(chunk)
            layer = _layer(store, f"sha256:{digest.hexdigest()}", size_bytes)
            temporary.replace(layer.path)
            return layer
    except OSError as error:
        _raise(error, store)


def layer_from_directory(
    source: Path,
    prefix: str,
    *,
    store: Path,
    exclude: Callable[[str], bool] = lambda _: False,
) -> Layer:
    """A layer that holds what is below `source` at `prefix` of the image, written in one pass.

    `exclude` gets each path relative to `source` (`package/module.py`) and drops it, a directory with all
    below it. Raises what `write_layer` raises; links must stay inside `prefix`.
    """
    prefix = prefix.strip("/")
    try:
        members = list(_walk(source, "", prefix, exclude))
    except OSError as error:
        _raise(error, store)
    if prefix:
        members.append(Member(prefix, is_directory=True))
    return write_layer(members, store=store, roots=(prefix,))


def recall(store: Path, key: str) -> tuple[Layer, ...] | None:
    """The layers that `remember` was given for `key`; None when one of them is gone or incomplete."""
    path = _record_path(store, key)
    try:
        records = json.loads(path.read_text())
        layers = tuple(_layer(store, record["digest"], record["size_bytes"]) for record in records)
        complete = all(cache.used(layer.path) for layer in layers) and all(
            layer.path.stat().st_size == layer.size_bytes for layer in layers
        )
        cache.used(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return layers if complete else None


def remember(store: Path, key: str, layers: Sequence[Layer]) -> None:
    """Keep which layers in `store` were made from the inputs that `key`, a hexadecimal digest, stands for."""
    path = _record_path(store, key)
    records = [{"digest": layer.digest, "size_bytes": layer.size_bytes} for layer in layers]
    try:
        with scratch.folder(path.parent) as folder:
            record = folder / "record.json"
            record.write_text(json.dumps(records))
            record.replace(path)
    except OSError as error:
        _raise(error, store)


def check_name(name: str) -> None:
    """Raises HarnessError(CODE_INCOMPLETE) for a name that no layer may hold."""
    parts = name.split("/")
    if not name or "\0" in name:
        problem = "it is empty or holds a NUL"
    elif not _is_unicode(name):
        problem = "it is not UTF-8"
    elif any(part in ("", ".", "..") for part in parts):
        problem = "it is absolute or leads elsewhere"
    elif any(part.startswith(WHITEOUT) for part in parts):
        problem = f"names that begin with {WHITEOUT} delete files in an image"
    elif any(len(part.encode()) > NAME_PART_LIMIT_BYTES for part in parts):
        problem = f"a part of it is longer than {NAME_PART_LIMIT_BYTES} bytes"
    else:
        return
    raise HarnessError(
        CauseCode.CODE_INCOMPLETE, f"the file name {name!r} can't be in an image: {problem}", hint="rename it"
    )


def check_link(name: str, target: str, roots: Sequence[str]) -> None:
    """Raises HarnessError(CODE_INCOMPLETE) for a symbolic link that is absolute or leaves `roots`."""
    end = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    inside = any(not root or end == root or end.startswith(f"{root}/") for root in roots)
    broken = not target or "\0" in target or not _is_unicode(target)
    if broken or target.startswith("/") or end.split("/")[0] == ".." or not inside:
        raise HarnessError(
            CauseCode.CODE_INCOMPLETE,
            f"the symbolic link {name} -> {target!r} leads out of what the image holds",
            hint="use a relative link to a file that is shipped too, or a copy of it",
        )


def _is_unicode(text: str) -> bool:
    """Whether `text` is free of the stand-ins for bytes that were not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _complete(members: Iterable[Member], roots: Sequence[str]) -> list[Member]:
    named: dict[str, Member] = {}
    for member in members:
        check_name(member.name)
        if member.target is not None:
            check_link(member.name, member.target, roots)
        if member.name in named:
            raise HarnessError(CauseCode.INTERNAL, f"{member.name} is twice in one layer")
        named[member.name] = member
    for name in list(named):
        parent = posixpath.dirname(name)
        while parent and parent not in named:
            named[parent] = Member(parent, is_directory=True)
            parent = posixpath.dirname(parent)
        if parent and not named[parent].is_directory:
            raise HarnessError(CauseCode.INTERNAL, f"{parent} is a file and a directory in one layer")
    return [named[name] for name in sorted(named)]


def _stream(members: Iterable[Member], roots: Sequence[str], writer_id: int | None) -> Iterator[bytes]:
    for member in members:
        written = writer_id is not None and any(
            not root or member.name == root or member.name.startswith(f"{root}/") for root in roots
        )
        user_id, group = (writer_id or 0, 0o020) if written else (0, 0)
        if member.is_directory:
            yield tar.header(f"{member.name}/", tar.DIRECTORY, mode=0o755 | group, user_id=user_id)
        elif member.target is not None:
            yield tar.header(member.name, tar.SYMLINK, mode=0o777, target=member.target, user_id=user_id)
        else:
            mode = (0o755 if member.executable else 0o644) | group
            size_bytes = member.size_bytes
            yield tar.header(member.name, tar.FILE, mode=mode, size_bytes=size_bytes, user_id=user_id)
            left = member.size_bytes
            for chunk in member.chunks():
                left -= len(chunk)
                yield chunk
            if left != 0:
                raise HarnessError(
                    CauseCode.BUILD_FAILED,
                    f"{member.name} changed its size while it was read",
                    hint="try again once nothing writes to it",
                )
            yield tar.padding(member.size_bytes)
    yield tar.END


def _walk(directory: Path | str, below: str, prefix: str, exclude: Callable[[str], bool]) -> Iterator[Member]:
    with os.scandir(directory) as entries:
        for entry in entries:
            relative = f"{below}{entry.name}"
            if exclude(relative):
                continue
            name = f"{prefix}/{relative}" if prefix else relative
            if entry.is_symlink():
                yield Member(name, target=str(Path(entry.path).readlink()))
            elif entry.is_dir():
                yield Member(name, is_directory=True)
                yield from _walk(entry.path, f"{relative}/", prefix, exclude)
            elif entry.is_file():
                status = entry.stat()
                read = partial(_read, entry.path)
                yield Member(name, status.st_size, executable=bool(status.st_mode & 0o100), chunks=read)
            else:
                raise HarnessError(
                    CauseCode.BUILD_FAILED, f"{entry.path} is no file, link or directory", hint="remove it"
                )


def _read(path: str) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  half the time of Path.open, 40,000 times
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _layer(store: Path, digest: str, size_bytes: int) -> Layer:
    return Layer(store / f"{digest.removeprefix('sha256:')}.tar", digest, size_bytes)


def _record_path(store: Path, key: str) -> Path:
    return store / "made-from" / f"{key}.json"


def _raise(error: OSError, store: Path) -> NoReturn:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise HarnessError(
            CauseCode.DISK_FULL,
            f"no space left for image layers in {store}",
            hint=f"df -h {shlex.quote(str(store))}; harness status --disk; harness gc",
        ) from error
    if (refused := disk.refused(error)) is not None:
        raise refused from error
    where = f" {error.filename}" if error.filename else ""
    raise HarnessError(
        CauseCode.BUILD_FAILED,
        f"an image layer cannot be written: {error.strerror}{where}",
        hint=f"ls -ld {shlex.quote(str(error.filename or store))}",
    ) from error
