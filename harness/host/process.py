"""The one place that runs other programs: argv lists in, what they printed out."""

from __future__ import annotations

import ctypes
import functools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Generic, TypeVar

from harness.errors import CauseCode, HarnessError
from harness.host import background

TAIL_LINES = 20


Output = TypeVar("Output", str, bytes)


@dataclass(frozen=True)
class Ended(Generic[Output]):
    """A program that ended, or was ended for taking too long: its argv, exit status and output."""

    argv: tuple[str, ...]
    returncode: int
    stdout: Output
    stderr: str
    timed_out: bool = False


class Completed(Ended[str]):
    """One whose output is text."""


class CompletedBytes(Ended[bytes]):
    """One whose output may be anything."""


class ProgramError(HarnessError):
    """A program ended with a status other than 0, or did not end in time."""

    def __init__(self, completed: Completed, cause: CauseCode, *, hint: str = "") -> None:
        self.completed = completed
        lines = [line for line in (completed.stderr or completed.stdout).splitlines() if line.strip()]
        name = " ".join(
            Path(word).name if index == 0 else word for index, word in enumerate(completed.argv[:3])
        )
        last = f": {lines[-1].strip()}" if lines else ""
        super().__init__(
            cause,
            f"`{name}` ended with status {completed.returncode}{last}",
            hint=hint,
            evidence=lines[-TAIL_LINES:],
        )


def run(
    argv: Sequence[str | Path],
    *,
    input_text: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float | None = None,
    check: bool = True,
    cause: CauseCode = CauseCode.INTERNAL,
    hint: str = "",
) -> Completed:
    """Run a program to its end and return its output.

    `env` is added to the environment. Raises ProgramError with `cause` when `check` and the status is
    not 0, or when it runs longer than `timeout_s`; HarnessError(TOOL_MISSING) when there is no such program.
    """
    data = run_bytes(
        argv,
        stdin=None if input_text is None else [input_text.encode()],
        env=env,
        cwd=cwd,
        timeout_s=timeout_s,
    )
    text = data.stdout.decode(errors="replace")
    completed = Completed(data.argv, data.returncode, text, data.stderr, data.timed_out)
    if check and (completed.returncode != 0 or completed.timed_out):
        raise ProgramError(completed, cause, hint=hint)
    return completed


def run_bytes(
    argv: Sequence[str | Path],
    *,
    stdin: Iterable[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float | None = None,
    output: Path | None = None,
) -> CompletedBytes:
    """Run a program, feeding it `stdin` chunk by chunk, and return its output whatever its status.

    With `output` what it prints goes into that file instead.
    """
    words = tuple(str(word) for word in argv)
    timed_out = False
    with (
        output.open("wb") if output else nullcontext() as file,
        spawn(words, stdin=stdin is not None, env=env, cwd=cwd, output=file) as process,
    ):
        feeder = _Feeder(process, stdin) if stdin is not None else None
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            timed_out = True
            stop(process)
            stdout, stderr = process.communicate()
            stderr += f"\nstopped after {timeout_s:.0f} s".encode()
        except BaseException:
            stop(process)
            raise
        if feeder is not None:
            feeder.finish()
    return CompletedBytes(
        words, process.returncode, stdout or b"", stderr.decode(errors="replace"), timed_out
    )


def stream(
    argv: Sequence[str | Path],
    *,
    on_line: Callable[[str], None],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
    cause: CauseCode = CauseCode.INTERNAL,
    hint: str = "",
) -> None:
    """Run a long program, passing each line it prints (stdout and stderr together) to `on_line` and to `log`.

    There is no deadline: how long a compiler or a download takes depends on the machine, and those that are run so
    give up on silent servers by themselves.
    Raises ProgramError with `cause` and the last lines when its status is not 0.
    """
    words = tuple(str(word) for word in argv)
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with spawn(words, stdin=False, env=env, cwd=cwd, merge=True) as process:
        file = log.open("a", encoding="utf-8") if log else None
        try:
            if file:
                file.write(f"$ {' '.join(words)}\n")
            for raw in process.stdout or ():
                line = raw.decode(errors="replace").rstrip()
                tail.append(line)
                if file:
                    file.write(line + "\n")
                on_line(line)
            process.wait()
        except BaseException:
            stop(process)
            raise
        finally:
            if file:
                file.close()
    if process.returncode != 0:
        raise ProgramError(Completed(words, process.returncode, "\n".join(tail), ""), cause, hint=hint)


def spawn(
    argv: tuple[str, ...],
    *,
    stdin: bool,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    merge: bool = False,
    output: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own, its output in pipes or a file; `env` is added to the environment.

    Raises HarnessError: TOOL_MISSING when there is no such program or it may not be run; INTERRUPTED in a
    thread of `beside` whose work was stopped.
    """

    def begin() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            env={**os.environ, **env} if env else None,
            cwd=cwd,
            start_new_session=True,  # Ctrl-C reaches us alone; we stop the program's whole group
            preexec_fn=_end_with_us(),  # noqa: PLW1509  calls nothing but prctl
        )

    work = background.of_this_thread()
    try:
        return begin() if work is None else work.start(begin)
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise HarnessError(CauseCode.INTERNAL, f"no directory {cwd} to run {argv[0]} in") from error
        raise HarnessError(
            CauseCode.TOOL_MISSING, f"there is no program `{argv[0]}` on this machine", hint="harness doctor"
        ) from error
    except PermissionError as error:
        raise HarnessError(
            CauseCode.TOOL_MISSING,
            f"`{argv[0]}` may not be run: {error.strerror}",
            hint=f"ls -l {shlex.quote(shutil.which(argv[0]) or argv[0])}",
        ) from error
    except OSError as error:  # no program, or one for another architecture
        raise HarnessError(
            CauseCode.TOOL_MISSING, f"`{argv[0]}` can't be run: {error.strerror}", hint="harness doctor"
        ) from error


def threads(count: int) -> AbstractContextManager[ThreadPoolExecutor]:
    """Threads for work beside this one; when the block is left by an error or Ctrl-C, their programs are ended."""
    return background.threads(count, stop)


@functools.cache
def _end_with_us() -> Callable[[], object] | None:
    """What a new program does first: ask Linux to be ended when we are, also by SIGKILL.

    A program that outlived us would work against the next command on the same cluster.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    set_death_signal = 1
    return functools.partial(prctl, set_death_signal, signal.SIGKILL.value)


def spawn_detached(argv: Sequence[str | Path], *, log: Path) -> int:
    """Start a program that outlives this one, its output appended to `log`; returns its process id."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        process = subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process.pid


class _Feeder:
    """Writes a program's standard input from a thread, while the main one reads what it prints."""

    def __init__(self, process: subprocess.Popen[bytes], chunks: Iterable[bytes]) -> None:
        self._pipe, process.stdin = process.stdin, None  # communicate() must leave it alone
        self._chunks = chunks
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        try:
            with self._pipe or nullcontext() as pipe:
                for chunk in self._chunks:
                    if pipe is not None:
                        pipe.write(chunk)
        except BrokenPipeError:
            pass  # the program's status tells why it stopped reading
        except BaseException as error:  # noqa: BLE001  raised again by finish()
            self._error = error

    def finish(self) -> None:
        """Wait for the writer; raises what reading the chunks raised."""
        self._thread.join(timeout=10)
        if self._error is not None:
            raise self._error


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started: by SIGTERM, and by SIGKILL what does not heed it within 3 s."""
    # The second also when the program itself has ended: what it started may hold on to its pipes.
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=3)
