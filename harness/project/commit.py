"""What a git ref means: a commit, or the working tree, and its files."""

from __future__ import annotations

import difflib
import os
import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.host.git import Git, ObjectReader, failure
from harness.project.working_tree import snapshot

WORKING_TREE = "working tree"  # no ref can be called that: a ref has no space
REF_LENGTH_LIMIT = 250
SYMLINK_LIMIT = 10

GITLINK, SYMLINK, EXECUTABLE, REGULAR, DIRECTORY = "160000", "120000", "100755", "100644", "040000"

_OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HEXADECIMAL = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One path of a commit. `mode` is git's, such as 100644; `size_bytes` is 0 where git gives none."""

    path: str
    mode: str
    object_id: str
    size_bytes: int = 0


@dataclass(frozen=True)
class Commit:
    """One version of the code. A context manager: `close()` ends git and removes what a snapshot needed.

    `date` is None where the commit's is none that a calendar has.
    """

    repository: Repository
    ref: str
    sha: str
    tree: str
    dirty: str | None
    date: datetime | None
    objects: ObjectReader = field(repr=False, compare=False)

    @property
    def tag(self) -> str:
        """The image tag: the first 12 digits of the commit, and of a changed working tree its digest."""
        return f"{self.sha[:12]}-dirty-{self.dirty}" if self.dirty else self.sha[:12]

    @property
    def is_working_tree(self) -> bool:
        return self.ref == WORKING_TREE

    @property
    def place(self) -> str:
        """Where its files are, for messages."""
        return "the working tree" if self.is_working_tree else f"commit {self.sha[:12]} ({self.ref})"

    def entry(self, path: str) -> TreeEntry | None:
        """What `path` is at this commit: a file, a directory (mode 040000), or None."""
        path = posixpath.normpath(path)
        if path == ".":
            return TreeEntry(".", DIRECTORY, self.tree)
        return next(self._list(path, recursive=False), None)

    def files(self, paths: Sequence[str] = (".",)) -> Iterator[TreeEntry]:
        """Every file, symbolic link and submodule at or below `paths`, sorted as git sorts them."""
        return self._list(*_below(paths), recursive=True)

    def has_submodules(self, paths: Sequence[str] = (".",)) -> bool:
        """Whether a submodule is at or below `paths`."""
        records = self._records("-r", self.tree, "--", *_below(paths))
        return any(record.startswith(GITLINK.encode()) for record in records)

    def paths(self) -> list[str]:
        """Every path of this commit, directories too: what a message chooses near names from."""
        return [os.fsdecode(name) for name in self._records("-r", "-t", "--name-only", self.tree)]

    def read(self, path: str) -> bytes | None:
        """A file's content, through symbolic links inside the commit; None when there is no such file."""
        for _ in range(SYMLINK_LIMIT):
            path = posixpath.normpath(path)
            found = None if path.startswith(("/", "../")) else self.entry(path)
            if found is None or found.mode in (DIRECTORY, GITLINK):
                return None
            content = self.objects.read(found.object_id)
            if found.mode != SYMLINK:
                return content
            path = posixpath.join(posixpath.dirname(path), os.fsdecode(content))
        return None

    def close(self) -> None:
        self.objects.close()

    def __enter__(self) -> Commit:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _list(self, *paths: str, recursive: bool) -> Iterator[TreeEntry]:
        options = ["-r"] if recursive else []
        for record in self._records(*options, "-l", self.tree, "--", *paths):
            about, _, name = record.partition(b"\t")
            mode, _, object_id, size = about.decode().split()
            yield TreeEntry(os.fsdecode(name), mode, object_id, int(size) if size.isdigit() else 0)

    def _records(self, *arguments: str) -> list[bytes]:
        listing = self.objects.git.output("ls-tree", "-z", "--full-tree", *arguments)
        return [record for record in listing.split(b"\0") if record]


@dataclass(frozen=True)
class Repository:
    """A git repository with a working tree; `root` is the top of that tree."""

    root: Path

    @classmethod
    def find(cls, start: Path) -> Repository:
        """The repository that `start`, a directory or a file, is in.

        Raises HarnessError: NOT_A_REPOSITORY, also for a bare one and for one that git refuses because
        somebody else owns it; TOOL_MISSING without git.
        """
        directory = start.parent if start.is_file() else start
        git = Git(directory)
        completed = git.run("rev-parse", "--show-toplevel")
        if completed.returncode == 0:
            return cls(Path(os.fsdecode(completed.stdout.removesuffix(b"\n"))))
        if "dubious ownership" in completed.stderr:
            command = re.search(r"git config --global --add safe\.directory .*", completed.stderr)
            raise failure(
                completed,
                CauseCode.NOT_A_REPOSITORY,
                "git refuses the repository",
                hint=command[0].strip()
                if command
                else f"git config --global --add safe.directory {shlex.quote(str(directory))}",
            )
        if git.run("rev-parse", "--git-dir").returncode == 0:
            raise HarnessError(
                CauseCode.NOT_A_REPOSITORY,
                f"{directory} has no working tree: it is a bare repository, or inside .git",
                hint=f"git clone {shlex.quote(str(directory))} my-checkout && cd my-checkout",
            )
        if "not a git repository" in completed.stderr:
            raise HarnessError(
                CauseCode.NOT_A_REPOSITORY,
                f"{directory} is in no git repository",
                hint="git init && git add --all && git commit --message 'first commit'",
            )
        raise failure(completed, CauseCode.NOT_A_REPOSITORY, f"git cannot use {directory}", hint="git status")

    @property
    def git(self) -> Git:
        return Git(self.root)

    def commit(self, ref: str | None = None, *, paths: Sequence[str] = ()) -> Commit:
        """What `ref` means; None: the working tree as it is now, which stays untouched.

        Of the working tree, all tracked files count, and below `paths` also untracked ones that are not
        ignored. Raises HarnessError: REF_NOT_FOUND; CODE_INCOMPLETE for conflicts and a damaged repository.
        """
        sha = self.resolve("HEAD" if ref is None else ref)
        head, date = self._tree_and_date(sha)
        if ref is not None:
            return Commit(self, ref, sha, head, None, date, ObjectReader(self.git))
        taken = snapshot(self.git, paths, unless_tree=head)
        return Commit(self, WORKING_TREE, sha, taken.tree, taken.dirty, date, taken.objects)

    def resolve(self, ref: str) -> str:
        """The full id of the commit that `ref` names.

        Raises HarnessError: REF_NOT_FOUND with near names as hint, CODE_INCOMPLETE when its object is lost.
        """
        check_ref(ref)
        completed = self.git.run("rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}")
        sha = completed.stdout.decode(errors="replace").strip()
        if completed.returncode == 0 and _OBJECT_ID.fullmatch(sha):
            return sha
        self._refuse_lost(ref)
        refs = self._refs()
        if not refs or ref in ("HEAD", "@"):
            where = "the current branch" if refs else f"the repository {self.root}"
            raise HarnessError(
                CauseCode.REF_NOT_FOUND,
                f"{where} has no commits yet",
                hint="git add --all && git commit --message 'first commit'",
            )
        evidence = [
            line
            for line in completed.stderr.splitlines()
            if "ambiguous" in line or line.startswith("hint:  ")
        ]
        ambiguous = any("is ambiguous" in line for line in evidence)
        raise HarnessError(
            CauseCode.REF_NOT_FOUND,
            f"`{ref}` names several objects" if ambiguous else f"there is no commit `{ref}` in {self.root}",
            hint="give more digits of the commit" if ambiguous else self._ref_hint(ref, refs),
            evidence=evidence,
        )

    def merge_base(self, first: str, second: str) -> str:
        """The full id of the newest commit that both refs contain; raises HarnessError(REF_NOT_FOUND)."""
        completed = self.git.run("merge-base", self.resolve(first), self.resolve(second))
        if completed.returncode != 0:
            shallow = self.git.is_shallow()
            raise HarnessError(
                CauseCode.REF_NOT_FOUND,
                f"`{first}` and `{second}` have no common commit"
                + (" in this shallow clone" if shallow else ""),
                hint=self.git.deepened()
                if shallow
                else f"git log --oneline --graph {shlex.quote(first)} {shlex.quote(second)}",
            )
        return completed.stdout.decode().strip()

    def is_branch(self, ref: str) -> bool:
        """Whether `ref` is the name of a branch, here (`main`) or of a remote (`origin/main`)."""
        try:
            check_ref(ref)
        except HarnessError:
            return False
        return any(
            self.git.run("show-ref", "--verify", "--quiet", f"{prefix}{ref}").returncode == 0
            for prefix in ("refs/heads/", "refs/remotes/")
        )

    def _tree_and_date(self, sha: str) -> tuple[str, datetime | None]:
        shown = self.git.output("log", "-1", "--no-show-signature", "--format=%T %ct", sha, "--").decode()
        tree, _, seconds = shown.partition(" ")
        try:
            return tree, datetime.fromtimestamp(int(seconds), UTC)
        except (ValueError, OverflowError, OSError):  # also none at all: git shows none that it can't read
            return tree, None

    def _refuse_lost(self, ref: str) -> None:
        """Raises HarnessError(CODE_INCOMPLETE) when `ref` leads to an object that the repository lacks."""
        found = self.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", ref)
        object_id = found.stdout.decode(errors="replace").strip()
        if found.returncode != 0 or not _OBJECT_ID.fullmatch(object_id) or object_id == ref.lower():
            return  # a full id is taken by git whether there is such an object or not
        if self.git.run("cat-file", "-e", object_id).returncode != 0:
            raise HarnessError(
                CauseCode.CODE_INCOMPLETE,
                f"`{ref}` is commit {object_id[:12]}, which {self.root} has lost",
                hint="git fsck --connectivity-only && git fetch --refetch",
            )

    def _refs(self) -> list[str]:
        places = ("refs/heads", "refs/tags", "refs/remotes")
        listing = self.git.output("for-each-ref", "--format=%(refname:short)", *places)
        return listing.decode(errors="replace").splitlines()

    def _ref_hint(self, ref: str, refs: Sequence[str]) -> str:
        of_remotes = [name for name in refs if name.endswith(f"/{ref}")]
        if not of_remotes and self.git.is_shallow():
            return f"the clone is shallow: {self.git.deepened()}"
        near = dict.fromkeys([*of_remotes, *difflib.get_close_matches(ref, refs, n=3)])
        if near:
            return (
                f"did you mean {' or '.join(f'`{name}`' for name in near)}? `git branch --all` lists branches"
            )
        if _HEXADECIMAL.fullmatch(ref):
            return "git fetch --all"
        return "git fetch --all --tags; `git branch --all` lists branches, `git tag` tags"


def _below(paths: Sequence[str]) -> list[str]:
    normal = [posixpath.normpath(path) for path in paths]
    return [] if "." in normal else normal


def check_ref(ref: str) -> None:
    """Raises HarnessError(REF_NOT_FOUND) for what can't be a ref, or what git could take for an option."""
    if not ref or ref.isspace():
        problem = "an empty ref names no commit"
    elif len(ref) > REF_LENGTH_LIMIT:
        problem = f"a ref of {len(ref)} characters is too long (at most {REF_LENGTH_LIMIT})"
    elif ref.startswith("-"):
        problem = f"{ref!r} looks like an option, not like a ref"
    elif any("\ud800" <= character <= "\udfff" for character in ref):
        problem = f"{ref!r} is no UTF-8 text"
    elif any(ord(character) < 32 or ord(character) == 127 for character in ref):
        problem = f"{ref!r} holds control characters"
    else:
        return
    raise HarnessError(
        CauseCode.REF_NOT_FOUND, problem, hint="give a branch, a tag or a commit, such as `main` or `HEAD~1`"
    )
