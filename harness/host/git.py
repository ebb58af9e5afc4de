"""Running git: the environment of a surrounding hook cleared, and objects read through one process."""

from __future__ import annotations

import os
import shlex
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import CauseCode, HarnessError
from harness.host import cache
from harness.host.process import CompletedBytes, run_bytes, spawn, stop
from harness.host.scratch import Scratch

if TYPE_CHECKING:
    from subprocess import Popen

CHUNK_BYTES = 1 << 20
BATCH_LIMIT_BYTES = 8 << 20

# git sets these for its hooks; there they name the hook's repository, not the one that was asked about.
LOCATING_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LANGUAGE": "en"}


@dataclass(frozen=True)
class Git:
    """git in one directory. `env` is added to the environment of each call."""

    directory: Path
    env: tuple[tuple[str, str], ...] = ()

    def run(self, *arguments: str, stdin: bytes | None = None) -> CompletedBytes:
        """Run `git ARGUMENTS` to its end, whatever its status; HarnessError(TOOL_MISSING) without a git."""
        return run_bytes(
            self.argv(*arguments),
            stdin=None if stdin is None else [stdin],
            env=self.environment,
        )

    def output(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        """What `git ARGUMENTS` prints, without its last newline; HarnessError(CODE_INCOMPLETE) when it fails.

        Only for what can't fail in a repository that is whole.
        """
        completed = self.run(*arguments, stdin=stdin)
        if completed.returncode != 0:
            raise failure(
                completed,
                CauseCode.CODE_INCOMPLETE,
                f"`git {arguments[0]}` failed in {self.directory}",
                hint=self._remedy(completed.stderr),
            )
        return completed.stdout.removesuffix(b"\n")

    def is_shallow(self) -> bool:
        """Whether the clone has only the newest commits."""
        return self.output("rev-parse", "--is-shallow-repository") == b"true"

    def deepened(self) -> str:
        """What gives a shallow clone all commits and branches: in a CI job a line for its file, else a command."""
        if os.environ.get("GITHUB_ACTIONS") == "true":
            return "add `fetch-depth: 0` below `with:` of actions/checkout"
        if os.environ.get("GITLAB_CI") == "true":
            return 'add `GIT_DEPTH: "0"` to the `variables:` of the job'
        remote = os.fsdecode(self.output("remote")).partition("\n")[0] or "origin"
        wanted = self.run("config", "--get-all", f"remote.{remote}.fetch").stdout
        every = "" if b"refs/heads/*" in wanted else f"git remote set-branches {shlex.quote(remote)} '*' && "
        return f"{every}git fetch --unshallow"

    def _remedy(self, said: str) -> str:
        place = shlex.quote(str(self.directory))
        if "index file" in said and ".idx" not in said:  # fsck needs one that it can read
            return f'cd {place} && rm "$(git rev-parse --git-path index)" && git reset; then git fsck'
        return f"git -C {place} fsck"

    @property
    def environment(self) -> dict[str, str]:
        return {**_ENVIRONMENT, **dict(self.env)}

    def argv(self, *arguments: str) -> list[str]:
        """The argument list of one call: paths are literal, no file system monitor, no replaced objects."""
        words = ["git", "--no-replace-objects", "--literal-pathspecs", "-c", "core.fsmonitor=false"]
        inherited = [name for name in LOCATING_VARIABLES if name in os.environ and name not in dict(self.env)]
        if inherited and shutil.which("git"):
            words[:0] = ["env", *(word for name in inherited for word in ("-u", name))]
        return [*words, "-C", str(self.directory), *arguments]


def failure(completed: CompletedBytes, cause: CauseCode, message: str, *, hint: str = "") -> HarnessError:
    """A HarnessError with git's own reason behind `message`, and all it said as evidence."""
    lines = [line for line in completed.stderr.splitlines() if line.strip()]
    if any("No space left on device" in line for line in lines):
        cause, hint = CauseCode.DISK_FULL, f"df -h {shlex.quote(str(cache.root()))} ."
    reasons = [line.split(": ", 1)[1] for line in lines if line.startswith(("fatal: ", "error: "))]
    return HarnessError(
        cause, f"{message}: {reasons[-1]}" if reasons else message, hint=hint, evidence=lines[-20:]
    )


class ObjectReader:
    """Blobs by object id, through one `git cat-file --batch` that starts with the first read.

    `scratch` is a directory of objects of its own, removed by `close()`. Safe to use from several threads.
    """

    def __init__(self, git: Git, scratch: Scratch | None = None) -> None:
        self.git = git
        self._scratch = scratch
        self._lock = threading.Lock()
        self._batch: Popen[bytes] | None = None

    def read(self, object_id: str) -> bytes:
        """A blob's whole content; HarnessError(CODE_INCOMPLETE) when the repository lacks it."""
        with self._lock:
            for _ in range(
                2
            ):  # Linux ends git with the thread that started it, so the one that is there may be dead
                if (content := self._ask(object_id)) is not None:
                    return content
            raise self._unreadable(object_id)

    def chunks(self, object_id: str, size_bytes: int) -> Iterator[bytes]:
        """A blob's content in pieces; a large one has a process of its own, so it never fills the memory."""
        if size_bytes <= BATCH_LIMIT_BYTES:
            yield self.read(object_id)
            return
        single = self._spawn("cat-file", "blob", object_id)
        try:
            assert single.stdout is not None  # noqa: S101  _spawn always opens it
            while chunk := single.stdout.read(CHUNK_BYTES):
                yield chunk
            if single.wait() != 0:
                raise self._unreadable(object_id)
        finally:
            _end(single)

    def close(self) -> None:
        """Stop git and remove the scratch directory; may be called twice."""
        with self._lock:
            if self._batch is not None:
                _end(self._batch)
                self._batch = None
            if self._scratch is not None:
                self._scratch.cleanup()
                self._scratch = None

    def _ask(self, object_id: str) -> bytes | None:
        """None when git ended in place of an answer: a damaged object, or a fetch that a partial clone needed."""
        batch = self._batch = self._batch or self._spawn("cat-file", "--batch")
        assert batch.stdin is not None  # noqa: S101
        assert batch.stdout is not None  # noqa: S101
        with suppress(OSError):
            batch.stdin.write(f"{object_id}\n".encode())
            batch.stdin.flush()
            answer = batch.stdout.readline().split()
            if len(answer) == 2:  # "<id> missing"
                raise self._unreadable(object_id)
            size_bytes = int(answer[2]) if answer else 0
            content = batch.stdout.read(size_bytes + 1)
            if len(content) == size_bytes + 1:
                return content[:-1]
        _end(batch)
        self._batch = None
        return None

    def _spawn(self, *arguments: str) -> Popen[bytes]:
        return spawn(
            tuple(self.git.argv(*arguments)),
            stdin=arguments[-1] == "--batch",
            env=self.git.environment,
            cwd=None,
        )

    def _unreadable(self, object_id: str) -> HarnessError:
        completed = self.git.run("cat-file", "-e", object_id)
        return failure(
            completed,
            CauseCode.CODE_INCOMPLETE,
            f"git cannot read object {object_id[:12]} of {self.git.directory}",
            hint="git fsck --connectivity-only && git fetch --refetch",
        )


def _end(program: Popen[bytes]) -> None:
    for pipe in (program.stdin, program.stdout, program.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    if program.poll() is None:
        stop(program)
