"""The files that a lock is made from, found from the one that [image] names."""

from __future__ import annotations

import hashlib
import json
import posixpath
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from harness.errors import CauseCode, HarnessError
from harness.image.lock import requirements_text

LOCKED_PROJECTS = ("uv.lock", "poetry.lock", "pdm.lock")
PROJECT = "pyproject.toml"
SETTINGS = "uv.toml"
EDITED = (".in", ".txt")  # what a hashed lock is made from, beside it
_DEPTH_LIMIT = 20

Read = Callable[[str], bytes | None]  # a file of the repository by its path; None where there is none


@dataclass(frozen=True)
class Inputs:
    """What a lock is made from. `source` is the file that [image] names, `files` what it leads to, by path.

    `airflow` is the version that [image] asks for, empty where the requirements themselves do. `constraints` are those
    of the files that only bound versions. `base` is the image that they are put on, where that is the team's.
    """

    source: str
    files: Mapping[str, bytes] = field(repr=False)
    python: str
    airflow: str = ""
    constraints: frozenset[str] = frozenset()
    base: str = ""

    @property
    def digest(self) -> str:
        """The same for the same files, whichever line ends a checkout gave them."""
        inputs = [
            self.python,
            self.airflow,
            self.source,
            *([self.base.partition("@")[0]] if self.base else []),
        ]
        for path in sorted(self.files):
            inputs += [path, hashlib.sha256(self.files[path].replace(b"\r\n", b"\n")).hexdigest()]
        return f"sha256:{hashlib.sha256(json.dumps(inputs).encode()).hexdigest()}"

    @property
    def kind(self) -> str:
        """`requirements`, `pyproject.toml`, `pylock.toml`, `uv.lock`, `poetry.lock` or `pdm.lock`."""
        return kind_of(self.source)

    def text(self, path: str) -> str:
        """A file's text. Raises HarnessError(DEPENDENCIES_UNRESOLVED) for what is no UTF-8."""
        try:
            return self.files[path].decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise HarnessError(
                CauseCode.DEPENDENCIES_UNRESOLVED,
                f"{path} is no UTF-8 text",
                hint=f"file {shlex.quote(path)}",
            ) from error

    def beside(self, name: str) -> str:
        """The path of a file in the source's own folder."""
        return posixpath.join(posixpath.dirname(self.source), name)


def kind_of(path: str) -> str:
    """What a file of that name holds."""
    name = PurePosixPath(path).name
    if name in (*LOCKED_PROJECTS, PROJECT):
        return name
    return "pylock.toml" if name.startswith("pylock.") and name.endswith(".toml") else "requirements"


def is_lock(path: str, content: bytes) -> bool:
    """Whether a file is a hashed lock already, or claims to be one by its name."""
    if kind_of(path) != "requirements":
        return False
    return b"--hash=" in content or PurePosixPath(path).suffix == ".lock"


def read_inputs(source: str, read: Read, *, python: str, airflow: str = "", base: str = "") -> Inputs:
    """The inputs that `source` leads to.

    Raises HarnessError: CODE_NOT_FOUND when one of the files is not there, DEPENDENCIES_UNRESOLVED for what can't be
    locked, such as a path to code.
    """
    files: dict[str, bytes] = {}
    _take(source, read, files, needed_by="[image] requirements")
    inputs = Inputs(source, files, python, airflow, base=base)
    if inputs.kind in LOCKED_PROJECTS:
        _take(inputs.beside(PROJECT), read, files, needed_by=source)
    elif inputs.kind == "requirements":
        bounds: set[str] = set()
        _follow(inputs, source, read, files, bounds, depth=0)
        inputs = replace(inputs, constraints=frozenset(bounds))
    for settings in dict.fromkeys((SETTINGS, inputs.beside(SETTINGS))):
        content = read(settings)
        if content is not None:
            files[settings] = content
    return inputs


def _take(path: str, read: Read, files: dict[str, bytes], *, needed_by: str) -> None:
    content = read(path)
    if content is None:
        raise HarnessError(
            CauseCode.CODE_NOT_FOUND,
            f"{needed_by} needs `{path}`, and there is no such file",
            hint=f"git add {shlex.quote(path)}",
        )
    files[path] = content


def _follow(
    inputs: Inputs, path: str, read: Read, files: dict[str, bytes], bounds: set[str], *, depth: int
) -> None:
    """Take the files that a requirements file includes, and those that they do."""
    for line in requirements_text.lines(inputs.text(path)):
        where = f"{path}:{line.number}"
        if line.kind == "path":
            raise HarnessError(
                CauseCode.DEPENDENCIES_UNRESOLVED,
                f"{where}: {line.value or 'a path'} is code of this machine, which no lock can hold",
                hint="put its folder into `code` under [image], and take the line out; or name a Git URL",
            )
        if line.kind not in {"include", "constraint"} or line.is_address:
            continue
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), line.value))
        if target.startswith(("/", "../")) or depth > _DEPTH_LIMIT:
            raise HarnessError(
                CauseCode.DEPENDENCIES_UNRESOLVED,
                f"{where}: {line.value} leads out of the repository",
                hint=f"copy it beside {path}",
            )
        if line.kind == "constraint" or path in bounds:
            bounds.add(target)
        if target not in files:
            _take(target, read, files, needed_by=where)
            _follow(inputs, target, read, files, bounds, depth=depth + 1)
