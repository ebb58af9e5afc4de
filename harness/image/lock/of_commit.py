"""The lock of a commit: the one that it names, the one that it has, or one made as of its date."""

from __future__ import annotations

import difflib
import hashlib
import os
import posixpath
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from harness.errors import CauseCode, HarnessError
from harness.host import cache
from harness.image.code_files import large_content
from harness.image.lock import lock_text, make
from harness.image.lock.inputs import EDITED, LOCKED_PROJECTS, PROJECT, Inputs, is_lock, kind_of, read_inputs
from harness.project.commit import DIRECTORY, GITLINK, SYMLINK, Commit
from harness.project.configuration import LOCK_FILE
from harness.project.image_settings import ImageSettings

_AIRFLOW = re.compile(r"^apache-airflow-core==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True)
class Lock:
    """A commit's lock file."""

    path: str
    content: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    @property
    def airflow(self) -> str | None:
        """The version of Airflow that it holds."""
        found = _AIRFLOW.search(self.content.decode("utf-8-sig", errors="replace"))
        return found[1] if found else None


def lock_of(commit: Commit, settings: ImageSettings) -> Lock:
    """The lock file that [image] names, or the lock of the requirements that it names.

    Raises HarnessError: CODE_NOT_FOUND with near names, CODE_INCOMPLETE when Git LFS keeps it elsewhere,
    DEPENDENCIES_UNRESOLVED for requirements that are not locked, or whose lock was made from others.
    """
    named = _named(commit, settings.requirements)
    if is_lock(named.path, named.content):
        return named
    inputs = inputs_of(commit, settings)
    own = commit.read(LOCK_FILE)
    if own is not None and lock_text.is_of(own, inputs.digest):
        return Lock(LOCK_FILE, own)
    kept = _kept(commit, inputs)
    if kept.exists():
        return Lock(LOCK_FILE, (kept / LOCK_FILE).read_bytes())
    raise unlocked(inputs, is_there=own is not None)


def lock_as_of_commit(
    commit: Commit,
    settings: ImageSettings,
    *,
    there: Mapping[str, str] = MappingProxyType({}),
    on_line: Callable[[str], None],
) -> make.Made | None:
    """Lock a commit whose own lock is missing or of other requirements: with what there was on the commit's date.

    `there`: the packages, by name, of the image that they are put on. None where it need not be done. `lock_of` finds
    the result. Raises what `make` raises.
    """
    named = _named(commit, settings.requirements)
    if is_lock(named.path, named.content):
        return None
    inputs = inputs_of(commit, settings)
    if lock_text.is_of(commit.read(LOCK_FILE), inputs.digest):
        return None
    made: list[make.Made] = []

    def write(folder: Path) -> None:
        made.append(make.make(inputs, asked=_date(commit), there=there, on_line=on_line))
        (folder / LOCK_FILE).write_bytes(made[0].content)

    cache.obtain("locks", _kept(commit, inputs).name, write, on_wait=on_line)
    return made[0] if made else None


def edited(commit: Commit, settings: ImageSettings) -> str:
    """The file that people edit for another package: what the lock is made from."""
    if settings.as_is:
        return settings.dockerfile or settings.base or ""
    path = settings.requirements
    if kind_of(path) in LOCKED_PROJECTS:
        return posixpath.join(posixpath.dirname(path), PROJECT)
    header = lock_text.header_of(commit.read(path) or b"")
    if header is not None:
        return header.source
    beside = [str(PurePosixPath(path).with_suffix(suffix)) for suffix in EDITED]
    if found := next((each for each in beside if commit.entry(each) is not None), ""):
        return found
    return f"what {path} was made from" if is_lock(path, commit.read(path) or b"") else path


def inputs_of(commit: Commit, settings: ImageSettings) -> Inputs:
    """What a commit's lock is made from. Raises what `read_inputs` raises."""
    return read_inputs(
        settings.requirements,
        commit.read,
        python=settings.python,
        airflow=settings.airflow or "",
        base=settings.base or "",
    )


def unlocked(inputs: Inputs, *, is_there: bool, name: str = LOCK_FILE) -> HarnessError:
    """Why a version of the working tree can't be made."""
    what = f"{name} was made from another {inputs.source}" if is_there else f"there is no {name}"
    return HarnessError(
        CauseCode.DEPENDENCIES_UNRESOLVED,
        f"{inputs.source} is not locked: {what}",
        hint=f"harness lock && git add {shlex.quote(name)}",
    )


def _date(commit: Commit) -> datetime:
    return commit.date or datetime.now(UTC)


def _kept(commit: Commit, inputs: Inputs) -> Path:
    """Where the lock lies that was made for a commit as of its date."""
    key = hashlib.sha256(f"{inputs.digest} {_date(commit).astimezone(UTC):%Y-%m-%d}".encode())
    return cache.entry("locks", key.hexdigest()[:32])


def _named(commit: Commit, path: str) -> Lock:
    """The file that [image] names, whatever it holds."""
    content = commit.read(path)
    if content is not None:
        return Lock(path, large_content(commit, path, content))
    near = difflib.get_close_matches(path, [each for each in commit.paths() if each != path], n=3)
    named = f"did you mean {' or '.join(f'`{name}`' for name in near)}? " if near else ""
    raise HarnessError(
        CauseCode.CODE_NOT_FOUND,
        f"[image] requirements: {_why_no_file(commit, path)} in {commit.place}",
        hint=f"{named}Set `requirements` under [image] to a file that the repository has",
    )


def _why_no_file(commit: Commit, path: str) -> str:
    """What `path`, which can't be read as a file, is instead."""
    found = commit.entry(path)
    if found is None:
        return f"there is no file `{path}`"
    if found.mode != SYMLINK:
        kind = {DIRECTORY: "directory", GITLINK: "submodule"}[found.mode]
        return f"`{path}` is a {kind}, not a file,"
    target = os.fsdecode(commit.objects.read(found.object_id))
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if inside.startswith(("/", "../")) or inside == "..":
        return f"`{path}` is a link to `{target}`, which leads out of the repository,"
    return f"`{path}` is a link to `{target}`, which is no file"
