"""The working tree as a git tree, made beside the repository: its index and objects stay untouched."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.host import cache, disk
from harness.host.git import Git, ObjectReader, failure
from harness.host.scratch import Scratch


@dataclass(frozen=True)
class Snapshot:
    """`tree` is the working tree's id, `dirty` 8 digits of its digest or None when nothing was changed."""

    tree: str
    dirty: str | None
    objects: ObjectReader


def snapshot(git: Git, paths: Sequence[str], *, unless_tree: str) -> Snapshot:
    """The tree of all tracked files as they are now, with the untracked, not ignored ones below `paths`.

    A tree equal to `unless_tree` is a clean one. Raises HarnessError(CODE_INCOMPLETE) for unresolved
    conflicts and for files that git can't add.
    """
    stages = _names(git.output("ls-files", "--unmerged", "-z"))
    conflicts = list(dict.fromkeys(stage.partition(b"\t")[2] for stage in stages))
    if conflicts:
        raise HarnessError(
            CauseCode.CODE_INCOMPLETE,
            f"the working tree has unresolved conflicts in {_listed(conflicts)}",
            hint="git status; resolve them and `git add` the files, or give a commit with --ref",
            evidence=[os.fsdecode(name) for name in conflicts[:20]],
        )
    scratch = Scratch(disk.folder(cache.root(), variable=cache.ROOT_VARIABLE))
    try:
        copies = _on_copies(git, scratch.path)
        untracked = _names(
            copies.output("ls-files", "-z", "--others", "--exclude-standard", "--", *paths) if paths else b""
        )
        _checked(copies, "add", "--update")
        if untracked:
            _refuse_nested(untracked)
            _checked(copies, "update-index", "--add", "-z", "--stdin", stdin=b"\0".join(untracked))
        tree = _checked(copies, "write-tree").decode().strip()
    except BaseException:
        scratch.cleanup()
        raise
    if tree == unless_tree:
        scratch.cleanup()
        return Snapshot(tree, None, ObjectReader(git))
    digest = hashlib.sha256(tree.encode()).hexdigest()[:8]
    return Snapshot(tree, digest, ObjectReader(copies, scratch))


def _on_copies(git: Git, scratch: Path) -> Git:
    """git on a copy of the index and on a directory of objects that reads through to the real one."""
    index, objects = (_git_path(git, name) for name in ("index", "objects"))
    if index.exists():
        # copy2 keeps its time: under a newer one, a file changed in the index's last tick seems unchanged
        shutil.copy2(index, scratch / "index")
    (scratch / "objects" / "info").mkdir(parents=True)
    (scratch / "objects" / "info" / "alternates").write_bytes(os.fsencode(objects) + b"\n")
    return Git(
        git.directory,
        env=(
            ("GIT_INDEX_FILE", str(scratch / "index")),
            ("GIT_OBJECT_DIRECTORY", str(scratch / "objects")),
        ),
    )


def _git_path(git: Git, name: str) -> Path:
    path = os.fsdecode(git.output("rev-parse", "--git-path", name))
    return (git.directory / path).resolve()


def _checked(git: Git, *arguments: str, stdin: bytes | None = None) -> bytes:
    options = ("core.splitIndex=false", "core.safecrlf=false", "core.looseCompression=0")
    completed = git.run(*(word for option in options for word in ("-c", option)), *arguments, stdin=stdin)
    if completed.returncode != 0:
        raise failure(
            completed,
            CauseCode.CODE_INCOMPLETE,
            "git cannot take the working tree's files",
            hint="git status; git add --update --dry-run",
        )
    return completed.stdout


def _refuse_nested(untracked: Sequence[bytes]) -> None:
    nested = [name for name in untracked if name.endswith(b"/")]
    if nested:
        path = os.fsdecode(nested[0]).rstrip("/")
        raise HarnessError(
            CauseCode.CODE_INCOMPLETE,
            f"{path} is a git repository inside this one, so its files are no part of the working tree",
            hint=f"git submodule add {shlex.quote(f'./{path}')} {shlex.quote(path)}, or add {path}/ to .gitignore",
        )


def _names(listing: bytes) -> list[bytes]:
    return [name for name in listing.split(b"\0") if name]


def _listed(names: Sequence[bytes]) -> str:
    shown = ", ".join(os.fsdecode(name) for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
