"""The files of a DAG's tasks: which folders they hand files through, and what is not there to be read."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from harness.init.layout import Layout
from harness.init.places import below, fits
from harness.init.reading.constants import text_of
from harness.init.reading.dags import Dag, DagFile, dag_decorator
from harness.init.reading.given import Given
from harness.init.reading.idioms import Idiom
from harness.init.reading.image.team_image import TeamImage
from harness.init.reading.paths import FileUse, files_of, read_at_import
from harness.init.reading.programs.commands import runs_in
from harness.init.reading.repository_files import RepositoryFiles
from harness.init.reading.source import Module, keyword
from harness.project.places import RESERVED

_OF_THE_SYSTEM = ("/bin", "/dev", "/etc", "/lib", "/proc", "/run", "/sys", "/tmp", "/usr", "/var")  # noqa: S108
_DVC = re.compile(r"(?:^|[\s;&|(])dvc\s+(?:checkout|exp|pull|push|repro|status)\b")
_METRICS_FILE = re.compile(r"(?:metric|score|evaluation|report)\w*\.json$", re.IGNORECASE)


@dataclass
class Circumstances:
    """What all DAGs of a repository have in common."""

    files: RepositoryFiles
    layout: Layout
    image: TeamImage
    given: Given
    general: tuple[str, ...] = ()  # why none can run
    airflow: str = ""  # its version, where one is named
    idioms: dict[str, list[Idiom]] = field(
        default_factory=dict
    )  # by module, as all DAGs that import it need them


@dataclass(frozen=True)
class Uses:
    """The files of a DAG's tasks: folders to share, what can't be, and whether /tmp is handed through."""

    shared: frozenset[str]
    written: Sequence[FileUse]
    loose: Sequence[FileUse]
    missing: Sequence[FileUse]
    shares_tmp: bool


def uses_of(dag: Dag, file: DagFile, module: Module, circumstances: Circumstances) -> Uses:
    """Where the DAG's tasks read and write."""
    tasks = [(task.task_id, files_of(task, file.functions, module)) for task in dag.tasks]
    written = [(task_id, use) for task_id, each in tasks for use in each if use.how == "write"]
    read = [(task_id, use) for task_id, each in tasks for use in each if use.how == "read"]
    makers = (each for each in module.functions.values() if dag_decorator(each))
    at_import = read_at_import(module, next((each for each in makers if each.lineno == dag.place.line), None))
    layout, every = circumstances.layout, [use for _, use in written]
    folders = [
        (use, folder)
        for use in every
        if (folder := _folder_of(use, layout)) is not None and not _is_handed_data(use, layout)
    ]
    return Uses(
        shared=frozenset(folder for _, folder in folders if _can_be_shared(folder, layout)),
        written=every,
        loose=list(
            dict.fromkeys(
                use
                for use, folder in folders
                if not (use.folder or _can_be_shared(folder, layout) or is_of_version(folder, layout))
            )
        ),
        missing=[
            *(use for use in at_import if _is_missing(use, (), circumstances)),
            *(use for task_id, use in read if _is_missing(use, _makers(task_id, written), circumstances)),
        ],
        shares_tmp=any(
            task_id != other_id and f"{use.path}/".startswith(f"{other.path}/")
            for task_id, use in read
            for other_id, other in written
            if use.path.startswith("/tmp/")  # noqa: S108
        )
        or (len(tasks) > 1 and any(use.handed and use.path.startswith("/tmp/") for use in every)),  # noqa: S108
    )


def _makers(reader: str, written: Sequence[tuple[str, FileUse]]) -> list[FileUse]:
    """What may make a file that a task reads: for its own writes, whose names its code tells, that file alone."""
    return [replace(use, alone=task_id == reader) for task_id, use in written]


def metrics_file(uses: Uses, layout: Layout) -> str:
    """The JSON file of numbers that a task writes into a folder which is shared."""
    for use in uses.written:
        path = layout.places.locate(use.path)
        shared = path and any(below(path, folder) is not None for folder in uses.shared)
        if path and shared and _METRICS_FILE.search(path.rpartition("/")[2]) and fits(path):
            return path
    return ""


def _folder_of(use: FileUse, layout: Layout) -> str | None:
    """The folder of the repository that a file lies in; None for one elsewhere."""
    path = layout.places.locate(use.path)
    return path if path is None or use.folder else path.rpartition("/")[0]


def _is_handed_data(use: FileUse, layout: Layout) -> bool:
    """Whether a task only tells others of a file that the repository has."""
    path = layout.places.locate(use.path)
    return use.handed and path is not None and layout.places.files.has(path)


def _can_be_shared(folder: str, layout: Layout) -> bool:
    own = {"", layout.places.home, layout.dags_folder, *layout.python_path}
    return folder not in own and not is_of_version(folder, layout)


def is_of_version(path: str, layout: Layout) -> bool:
    """Whether a version has a folder of its own there, which all its tasks see and nothing of the repository is in."""
    return layout.places.in_image(path).split("/", maxsplit=1)[0] in RESERVED


def _is_missing(use: FileUse, written: Iterable[FileUse], circumstances: Circumstances) -> bool:
    """Whether nothing makes a file that is read: the repository has none, and no task writes near it."""
    places, files = circumstances.layout.places, circumstances.files
    path = places.locate(use.path)
    if path is None:
        return _is_elsewhere(use.path) and not any(_is_near(use.path, other) for other in written)
    if not path or "*" in path or (files.has(path) and not is_of_version(path, circumstances.layout)):
        return False
    for other in written:
        target = places.locate(other.path)
        if target is not None:
            folder = target if other.folder or other.alone else target.rpartition("/")[0]
            if target == path or below(path, folder) is not None:
                return False
    return True


def _is_elsewhere(path: str) -> bool:
    """Whether an absolute path is one that only the team's own machines have, such as a mounted disk."""
    return path.startswith("/") and not path.startswith(_OF_THE_SYSTEM) and "*" not in path


def _is_near(path: str, other: FileUse) -> bool:
    """Whether a file may be what another use writes, or lie in that folder."""
    return below(path, other.path if other.folder else posixpath.dirname(other.path)) is not None


def lost_commands(dag: Dag, module: Module, circumstances: Circumstances) -> Iterator[str]:
    """The programs of BashOperator that are not where its command looks for them: file, line and what to do."""
    layout, files = circumstances.layout, circumstances.files
    for task in dag.tasks:
        if task.operator != "BashOperator" or task.call is None:
            continue
        place = module.place(task.call) if task.place.path == module.path else task.place
        elsewhere = keyword(task.call, "cwd") is not None
        command = text_of(keyword(task.call, "bash_command"), task.names) or ""
        if _DVC.search(command):
            what = "it runs dvc, which works in a clone of the repository, and a version has none"
            yield f"{place}: {what}: let the task run what that stage runs"
        for run in runs_in(command):
            path = posixpath.join(run.goes, run.written)
            inside = layout.places.locate(path) if run.written and path.startswith("/") else None
            if inside and not files.has(inside):
                yield f"{place}: it runs {path}, {absence(inside, circumstances)}"
            elif (
                run.written
                and layout.program(run)
                and not (elsewhere or path.startswith("/") or "cd " in command)
            ):
                yield (
                    f"{place}: BashOperator looks for {path} in a folder of its own, where it is not: begin the "
                    "command with `cd $AIRFLOW_HOME && `, or give the operator a `cwd`"
                )


def absence(path: str | None, circumstances: Circumstances) -> str:
    """That a path is not in the repository, and why where the rest tells; None is one that lies outside of it."""
    if path is None:
        return (
            "which no version has: put it into the repository, with its folder as a link below [image.links]"
        )
    if path and circumstances.files.has(path):
        return (
            f"where a version keeps files of its own ({' and '.join(RESERVED)}): take another folder for it"
        )
    why = ": git ignores it" if path and circumstances.files.ignored(path) else ""
    why = ": DVC keeps it elsewhere" if path and circumstances.files.is_file(f"{path}.dvc") else why
    return f"which is not in the repository{why}"


def widest(folders: Iterable[str]) -> tuple[str, ...]:
    """The folders that lie in none of the others."""
    known = set(folders)
    return tuple(
        sorted(
            each
            for each in known
            if not any(other != each and below(each, other) is not None for other in known)
        )
    )
