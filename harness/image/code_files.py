"""The files of a commit as an image needs them: Git LFS pointers and submodules replaced by their content."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.project.commit import EXECUTABLE, GITLINK, REGULAR, SYMLINK, Commit, Repository, TreeEntry

CHUNK_BYTES = 1 << 20
SHOWN = 20

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: shorter than 1024 bytes, `version` first
_POINTER_SIZES = range(100, 1024)
_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n")
_POINTER_OID = re.compile(rb"^oid sha256:([0-9a-f]{64})$", re.MULTILINE)
_POINTER_SIZE = re.compile(rb"^size ([0-9]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CodeFile:
    """One file or link to ship. `identity` names its content on every machine; `path` is the repository's."""

    path: str
    identity: str
    size_bytes: int
    executable: bool
    target: str | None
    chunks: Callable[[], Iterable[bytes]]


def code_files(
    commit: Commit,
    paths: Sequence[str],
    opened: ExitStack,
    *,
    submodule: str = "",
    wanted: Callable[[str], bool] = lambda _: True,
) -> list[CodeFile]:
    """The files at or below `paths`, sorted; submodules that they need stay open as long as `opened`.

    `submodule` is where `commit` is one's, for messages; `wanted` says of each path whether it is needed.
    Raises HarnessError(CODE_INCOMPLETE) when the content of a large file or of a submodule is not here.
    """
    files: list[CodeFile] = []
    missing: list[str] = []
    lfs_store: Path | None = None
    for entry in commit.files(paths):
        if entry.mode == GITLINK:
            inner = _submodule_files(commit, entry, opened, submodule) if wanted(entry.path) else ()
            files += (file for file in inner if wanted(file.path))
            continue
        if not wanted(entry.path):
            continue
        content = _small_content(commit, entry)
        if content is not None and entry.mode != SYMLINK and _POINTER.match(content):
            lfs_store = lfs_store or _lfs_store(commit.repository)
            large = _large_file(entry, content, lfs_store)
            if large is None:
                missing.append(entry.path)
            else:
                files.append(large)
            continue
        files.append(
            CodeFile(
                path=entry.path,
                identity=f"git:{entry.object_id}",
                size_bytes=entry.size_bytes,
                executable=entry.mode == EXECUTABLE,
                target=os.fsdecode(commit.objects.read(entry.object_id)) if entry.mode == SYMLINK else None,
                chunks=partial(commit.objects.chunks, entry.object_id, entry.size_bytes),
            )
        )
    if missing:
        raise _large_files_missing(commit, missing, submodule)
    return sorted(files, key=lambda file: file.path)


def large_content(commit: Commit, path: str, content: bytes) -> bytes:
    """`content` of `path`, or where that is a pointer of Git LFS, what it stands for.

    Raises HarnessError(CODE_INCOMPLETE) when that is not here.
    """
    if len(content) not in _POINTER_SIZES or not _POINTER.match(content):
        return content
    pointer = TreeEntry(path, REGULAR, "", len(content))
    large = _large_file(pointer, content, _lfs_store(commit.repository))
    if large is None:
        raise _large_files_missing(commit, [path], "")
    return b"".join(large.chunks())


def _large_files_missing(commit: Commit, missing: Sequence[str], submodule: str) -> HarnessError:
    names = [posixpath.join(submodule, name) for name in missing]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    inside = f"-C {shlex.quote(submodule)} " if submodule else ""
    wanted = "lfs pull" if commit.is_working_tree else f"lfs fetch origin {commit.sha}"
    return HarnessError(
        CauseCode.CODE_INCOMPLETE,
        f"the content of {names[0]}{more}, kept by Git LFS, is not on this machine",
        hint=f"git {inside}{wanted}",
        evidence=names[:SHOWN],
    )


def _small_content(commit: Commit, entry: TreeEntry) -> bytes | None:
    return commit.objects.read(entry.object_id) if entry.size_bytes in _POINTER_SIZES else None


def _lfs_store(repository: Repository) -> Path:
    configured = repository.git.run("config", "--path", "lfs.storage").stdout.removesuffix(b"\n")
    git_directory = os.fsdecode(repository.git.output("rev-parse", "--git-common-dir"))
    return repository.root / git_directory / (os.fsdecode(configured) or "lfs") / "objects"


def _large_file(entry: TreeEntry, pointer: bytes, store: Path) -> CodeFile | None:
    """The file that a Git LFS pointer stands for, or None when it is not in the local store."""
    found, size = _POINTER_OID.search(pointer), _POINTER_SIZE.search(pointer)
    if found is None or size is None or b"\next-" in pointer:
        return None
    digest, size_bytes = found[1].decode(), int(size[1])
    path = store / digest[:2] / digest[2:4] / digest
    if not path.is_file() or path.stat().st_size != size_bytes:
        return None
    return CodeFile(
        path=entry.path,
        identity=f"lfs:{digest}",
        size_bytes=size_bytes,
        executable=entry.mode == EXECUTABLE,
        target=None,
        chunks=partial(_verified, path, digest, entry.path),
    )


def _verified(path: Path, digest: str, name: str) -> Iterator[bytes]:
    seen = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            seen.update(chunk)
            yield chunk
    if seen.hexdigest() != digest:
        raise HarnessError(
            CauseCode.CODE_INCOMPLETE,
            f"Git LFS's copy of {name} is damaged: it is not the content that it is named for",
            hint=f"rm {shlex.quote(str(path))} && git lfs pull",
        )


def _submodule_files(commit: Commit, entry: TreeEntry, opened: ExitStack, outer: str) -> Iterator[CodeFile]:
    """The files of a submodule at the commit that `entry` records; `outer` is where `commit` is a submodule's."""
    checkout = commit.repository.root / entry.path
    submodule = posixpath.join(outer, entry.path)
    place = shlex.quote(submodule)
    inside = f"-C {shlex.quote(outer)} " if outer else ""
    initialise = f"git {inside}submodule update --init {shlex.quote(entry.path)}"
    if not (checkout / ".git").exists():
        raise HarnessError(
            CauseCode.CODE_INCOMPLETE, f"the submodule {submodule} is not checked out", hint=initialise
        )
    repository = Repository.find(checkout)
    if commit.is_working_tree:
        status = repository.git.output("status", "--porcelain", "--untracked-files=normal")
        if status:
            raise HarnessError(
                CauseCode.CODE_INCOMPLETE,
                f"the submodule {submodule} has changes that no commit holds",
                hint=f"git -C {place} add --all && git -C {place} commit",
                evidence=status.decode(errors="replace").splitlines()[:SHOWN],
            )
    try:
        recorded = opened.enter_context(repository.commit(entry.object_id))
    except HarnessError as error:
        if error.cause is not CauseCode.REF_NOT_FOUND:
            raise
        raise HarnessError(
            CauseCode.CODE_INCOMPLETE,
            f"the submodule {submodule} lacks its commit {entry.object_id[:12]}",
            hint=f"git -C {place} fetch origin {entry.object_id} || {initialise}",
        ) from error
    for file in code_files(recorded, (".",), opened, submodule=submodule):
        yield CodeFile(
            path=posixpath.join(entry.path, file.path),
            identity=file.identity,
            size_bytes=file.size_bytes,
            executable=file.executable,
            target=file.target,
            chunks=file.chunks,
        )
