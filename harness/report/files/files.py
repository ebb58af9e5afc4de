"""The result into the files that were asked for."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from harness.errors import CauseCode, HarnessError
from harness.host import disk
from harness.project.configuration import FILE_NAMES
from harness.report.model import Result

if TYPE_CHECKING:
    from harness.report.text.console import Console

STDOUT = "-"
_NAMES_OF_STDOUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
SUMMARY = "GITHUB_STEP_SUMMARY"


@dataclass(frozen=True)
class Targets:
    """Where to write which form of the result; `json` may be '-', or another name of it, for stdout."""

    json: str | None = None
    junit: Path | None = None
    markdown: Path | None = None
    html: Path | None = None

    def __post_init__(self) -> None:
        if self.json in _NAMES_OF_STDOUT:
            object.__setattr__(self, "json", STDOUT)

    @property
    def paths(self) -> dict[str, Path]:
        """The files to write, by the options that named them."""
        json = Path(self.json) if self.json not in {None, STDOUT} else None
        named = {"--json": json, "--junit": self.junit, "--markdown": self.markdown, "--html": self.html}
        return {option: path for option, path in named.items() if path is not None}


def read(path: Path) -> Result:
    """The result that `--json` wrote. Raises HarnessError(USAGE) for a file that holds none."""
    try:
        return Result.model_validate_json(path.read_bytes())
    except OSError as error:
        raise HarnessError(
            CauseCode.USAGE,
            f"{path} can't be read: {error.strerror}",
            hint=f"harness test --json {quote(str(path))}",
        ) from error
    except ValueError as error:
        raise HarnessError(
            CauseCode.USAGE,
            f"{path} is no result of schema 1: {str(error).splitlines()[0]}",
            hint=f"harness test --json {quote(str(path))}",
        ) from error


def check(targets: Targets, start: Path, console: Console) -> None:
    """Raises HarnessError(USAGE) now for a file that could not be written after minutes of work.

    No file may be the configuration of the project around `start`, or be asked for twice. A job summary that can't be
    written is only noted: nobody asked for it.
    """
    configurations = {_place(folder / name) for folder in (start, *start.parents) for name in FILE_NAMES}
    taken: dict[Path, str] = {}
    for option, path in targets.paths.items():
        place = _place(path)
        if not path.name:
            raise _refused(f"{option} names no file", option)
        if place in configurations:
            raise _refused(f"{option} {path} would overwrite the configuration", option)
        if place in taken:
            raise _refused(f"{option} and {taken[place]} name one file, {path}", option)
        check_file(path)
        if path.is_file() or not path.exists():  # a pipe or a device takes any number
            taken[place] = option
    if summary := os.environ.get(SUMMARY):
        try:
            _try(Path(summary))
        except OSError as error:
            _note_summary(summary, error, console)


def check_file(path: Path) -> None:
    """Raises HarnessError(USAGE) for a file that can't be written, and leaves no trace of it."""
    try:
        _try(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def check_folder(option: str, path: Path) -> None:
    """Raises HarnessError(USAGE) for a folder that is neither writable nor can be made."""
    try:
        with tempfile.TemporaryFile(dir=_nearest(path.absolute())):
            return
    except OSError as error:
        raise HarnessError(
            CauseCode.USAGE,
            f"{option} {path} can't be written: {error.strerror}",
            hint=f"mkdir -p {quote(str(path))}",
        ) from error


def write_ahead(targets: Targets, result: Result) -> None:
    """Write what is known so far into those files that may be written anew; `write` tells what fails of it."""
    for option, path in targets.paths.items():
        if path.is_file() or not path.exists():  # whoever reads a pipe gets one result
            with suppress(OSError):
                path.write_text(_rendered(option, result), encoding="utf-8")


def write(targets: Targets, result: Result, console: Console) -> tuple[HarnessError, ...]:
    """Write each file that was asked for, and in GitHub Actions the job summary; what failed, after all others.

    stdout comes last: a reader that is slow, or gone, keeps no file from being written.
    """
    from harness.report.files import markdown

    failures = []
    for option, path in targets.paths.items():
        text = _rendered(option, result)
        try:
            with suppress(BrokenPipeError):  # a pipe's reader had all that it wanted
                path.write_text(text, encoding="utf-8")
        except OSError as error:
            failures.append(_failure(path, error))
    if summary := os.environ.get(SUMMARY):
        text = markdown.render(result)
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            _note_summary(summary, error, console)
    if targets.json == STDOUT:
        text = result.to_json()
        try:
            console.data(text)
        except OSError as error:
            failures.append(_failure(Path("/dev/stdout"), error))
    return tuple(failures)


def _rendered(option: str, result: Result) -> str:
    """The result as the file of an option has it."""
    from harness.report.files import junit, markdown
    from harness.report.html import page as html

    renderers = {
        "--json": Result.to_json,
        "--junit": junit.render,
        "--markdown": markdown.render,
        "--html": html.render,
    }
    return renderers[option](result)


def _place(path: Path) -> Path:
    """Where `path` leads, also when nothing is there yet; of links in a circle, some place among them."""
    return Path(os.path.realpath(path))


def _nearest(path: Path) -> Path:
    """`path`, or the nearest of its parents that is there."""
    for each in (path, *path.parents):
        with suppress(FileNotFoundError):
            each.lstat()
            return each
    return path


def _try(path: Path) -> None:
    """Open a file as far as it takes to know that it can be written, and leave no trace of it.

    What root may do tells nothing: /proc and /sys refuse it too. Pipes and devices stay closed: a FIFO would wait for
    its reader.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        path.open("ab").close()
        _place(path).unlink()
        return
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        path.open("ab").close()
    elif not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _refused(why: str, option: str) -> HarnessError:
    return HarnessError(CauseCode.USAGE, why, hint=f"name another file: {option} FILE")


def _unwritable(path: Path, error: OSError) -> HarnessError:
    folders = (path.absolute().parent, _place(path).parent)
    if isinstance(error, FileNotFoundError):
        for folder in folders:
            if not folder.is_dir():
                return HarnessError(
                    CauseCode.USAGE,
                    f"{path} can't be written: no folder {folder}",
                    hint=f"mkdir -p {quote(str(folder))}",
                )
    hint = f"ls -ld {quote(str(path))} {quote(str(folders[0]))}"
    return HarnessError(CauseCode.USAGE, f"{path} can't be written: {error.strerror}", hint=hint)


def _failure(path: Path, error: OSError) -> HarnessError:
    return disk.refused(error, str(path)) or HarnessError(
        CauseCode.FOLDER_UNUSABLE,
        f"{path} can't be written: {error.strerror}",
        hint=f"ls -ld {quote(str(path.parent))}",
    )


def _note_summary(summary: str, error: OSError, console: Console) -> None:
    console.note(f"the job summary can't be written to {summary}, which {SUMMARY} names: {error.strerror}")
