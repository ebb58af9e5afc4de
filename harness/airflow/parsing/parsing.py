"""Waiting for a DAG to be parsed, and telling why it is not there."""

from __future__ import annotations

import difflib
import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.airflow.autopsy.missing_modules import gone_in_airflow_3, missing_module
from harness.airflow.autopsy.missing_settings import missing_setting
from harness.airflow.logs.excerpts import whole
from harness.airflow.logs.tracebacks import Frame
from harness.airflow.parsing.dag_ids import Uncalled, uncalled
from harness.airflow.parsing.passed_over import passed_over
from harness.airflow.parsing.processor_statistics import ParsedFile, parse_statistics
from harness.airflow.parsing.refused_files import refused, refused_files
from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.models import Dag, DagImportError
from harness.errors import CauseCode, HarnessError
from harness.project.places import CodeFiles, in_repository

INTERVAL_S = 0.25
LOOK_S = 1.0  # between two looks at all else, while the DAG itself is not there
LOG_INTERVAL_S = 2.0
# Without the dag-processor's log: seconds without anything new after which all files count as parsed.
QUIET_S = 30.0
REFUSED_S = 20.0  # in which the dag-processor would have got to the other files
EVIDENCE_FILES = 5
NO_FILES = CodeFiles()
DIED = "the process that imported it died"
_COMPUTED_ID = re.compile(r"""(?:dag_id\s*=|\bDAG\(|@dag\()\s*(?![\s"')]|dag_id|[a-z_]+\s*=)""")


@dataclass(frozen=True)
class ParsedDag:
    """The DAG that was asked for, and the files beside it that cannot be imported."""

    dag: Dag
    warnings: tuple[DagImportError, ...] = ()


def wait_for_dag(
    api: AirflowApi,
    dag_id: str,
    *,
    deadline_s: float,
    on_progress: Callable[[str], None] = lambda _: None,
    processor_log: Callable[[], str] | None = None,
    read_source: Callable[[str], str | None] = lambda _: None,
    folder: str = "",
    code: CodeFiles = NO_FILES,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> ParsedDag:
    """Return the DAG as soon as it is parsed.

    `processor_log` returns the last lines of the dag-processor's log, whose statistics say when every file
    was parsed; `read_source` the text of a file relative to the DAGs folder, which tells whose file it is;
    `folder` is the DAGs folder in the repository, and `code` what of the repository the image has, and where.
    Raises HarnessError: DAG_IMPORT_ERROR when the DAG's file cannot be imported; DAG_NOT_FOUND when all files
    are parsed and it is in none; DEPLOY_TIMEOUT when parsing does not end within `deadline_s` seconds.
    """
    start_s = clock()
    looked_s = start_s - LOOK_S
    watch = _Watch(processor_log, clock)
    while True:
        done = watch.done()  # first: what it says was parsed is then seen below
        dag = api.dag(dag_id)
        if dag is None and not done and clock() - looked_s < LOOK_S:
            sleep(INTERVAL_S)
            continue
        looked_s = clock()
        errors = tuple(error.within(folder, code.root) for error in api.import_errors())
        if dag is not None:
            return _able_to_run(dag, errors)
        for file, reason in watch.refused(lambda file: _names(dag_id, file, read_source(file) or "")):
            raise refused(in_repository(folder, file), reason)
        dag_ids = tuple(found.dag_id for found in api.dags())
        on_progress(watch.progress(len(dag_ids), len(errors)))
        if done or watch.quiet((dag_ids, tuple(error.file for error in errors))):
            broken = (*errors, *_died(watch.files, errors, folder))
            forgotten = uncalled(dag_id, (entry.file for entry in watch.files), read_source, folder)
            told = absent(dag_id, dag_ids, broken, read_source, forgotten)
            unread = told.cause is CauseCode.DAG_NOT_FOUND and not forgotten
            raise (passed_over(dag_id, code, folder) if unread else None) or told
        if clock() - start_s > deadline_s:
            waiting = [entry.file for entry in watch.files if not entry.parsed]
            raise _unparsed(dag_id, waiting, deadline_s, read_source, folder)
        sleep(INTERVAL_S)


def _able_to_run(dag: Dag, errors: tuple[DagImportError, ...]) -> ParsedDag:
    if own := [error for error in errors if error.file == dag.file]:  # Airflow refuses to run it
        raise _import_error(dag.dag_id, own)
    return ParsedDag(dag, errors)


def _unparsed(
    dag_id: str,
    waiting: Sequence[str],
    deadline_s: float,
    read_source: Callable[[str], str | None],
    folder: str,
) -> HarnessError:
    """The error for parsing that did not end: `waiting` are the files that were not parsed yet."""
    own_file = next((file for file in waiting if _names(dag_id, file, read_source(file) or "")), None)
    if own_file is None:
        return HarnessError(
            CauseCode.DEPLOY_TIMEOUT,
            f"Airflow had not parsed DAG {dag_id!r} after {deadline_s:.0f} s",
            hint="harness logs",
            evidence=[f"not parsed yet: {file}" for file in waiting],
        )
    path = in_repository(folder, own_file)
    return HarnessError(
        CauseCode.DAG_IMPORT_ERROR,
        f"{path} was still being imported after {deadline_s:.0f} seconds",
        hint=f"let {path} do less when it is imported: what takes long belongs into a task",
    )


class _Watch:
    """Whether the dag-processor is through with all files."""

    def __init__(self, processor_log: Callable[[], str] | None, clock: Callable[[], float]) -> None:
        self.files: tuple[ParsedFile, ...] = ()
        self._log = processor_log
        self._clock = clock
        self._asked_s = -LOG_INTERVAL_S
        self._seen: object = None
        self._changed_s = clock()
        self._refused: dict[str, tuple[str, float]] = {}  # reason, and since when

    def refused(self, is_own: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
        """The file that Airflow cannot keep, and why: at once if the DAG's own, else once it stops all others."""
        for file, (reason, since_s) in self._refused.items():
            if self._clock() - since_s > REFUSED_S or is_own(file):
                yield file, reason

    def done(self) -> bool:
        if self._log is None or self._clock() - self._asked_s < LOG_INTERVAL_S:
            return False
        self._asked_s = self._clock()
        log = self._log()
        now_s = self._clock()
        self._refused = {
            file: (reason, self._refused.get(file, ("", now_s))[1])
            for file, reason in refused_files(log).items()
        }
        files = parse_statistics(log)
        if files is None:
            return False
        self.files = files
        return all(entry.parsed for entry in files)

    def quiet(self, seen: object) -> bool:
        if seen != self._seen:
            self._seen, self._changed_s = seen, self._clock()
        return self._log is None and self._clock() - self._changed_s > QUIET_S

    def progress(self, dags: int, errors: int) -> str:
        if self.files:
            return f"{sum(entry.parsed for entry in self.files)} of {len(self.files)} files parsed"
        return f"{dags} DAGs parsed" + (f", {errors} files broken" if errors else "")


def _died(
    files: Sequence[ParsedFile], errors: Sequence[DagImportError], folder: str
) -> Iterator[DagImportError]:
    """The files that the statistics alone call broken: the process had no time to tell of an error."""
    told = {error.file for error in errors}
    for entry in files:
        if entry.errors and not entry.dags and entry.file not in told:
            yield DagImportError(entry.file, DIED, folder)


def absent(
    dag_id: str,
    dag_ids: Sequence[str],
    errors: Sequence[DagImportError],
    read_source: Callable[[str], str | None],
    forgotten: Uncalled | None = None,
) -> HarnessError:
    """The error for a DAG that is in no file that can be imported."""
    sources = {error.file: read_source(error.file) for error in errors}
    named = [error for error in errors if _names(dag_id, error.file, sources[error.file] or "")]
    near = difflib.get_close_matches(dag_id, dag_ids, n=3, cutoff=0.6)
    suspects = [error for error in errors if _may_compute_ids(sources[error.file])]
    if named or (suspects and not near):
        return _import_error(dag_id, named or suspects)
    if forgotten:
        return HarnessError(
            CauseCode.DAG_NOT_FOUND,
            f"there is no DAG {dag_id!r}: {forgotten.path}:{forgotten.line} defines {forgotten.function} with @dag, "
            "and nothing calls it",
            hint=f"add {forgotten.function}() at the end of {forgotten.path}",
        )
    what = f"among {len(dag_ids)} DAGs" if dag_ids else "nor any other"
    return HarnessError(
        CauseCode.DAG_NOT_FOUND,
        f"there is no DAG {dag_id!r} {what}" + (f"; is it {' or '.join(map(repr, near))}?" if near else ""),
        hint="edit `dag` of the test in harness.toml",
        evidence=[
            *(f"DAG {found}" for found in dag_ids[:20]),
            *(f"cannot be imported: {error.place}: {error.message}" for error in errors[:EVIDENCE_FILES]),
        ],
    )


def _names(dag_id: str, file: str, source: str) -> bool:
    """Whether a file has the DAG's id in its text or as its own name."""
    word = rf"(?<![\w.-]){re.escape(dag_id)}(?![\w.-])"
    return re.search(word, source) is not None or PurePosixPath(file).stem == dag_id


def _may_compute_ids(source: str | None) -> bool:
    """Whether a file may make DAGs whose ids are not in its text; so may one that can't be read."""
    return source is None or _COMPUTED_ID.search(source) is not None


def _import_error(dag_id: str, errors: list[DagImportError]) -> HarnessError:
    if len(errors) == 1:
        (error,) = errors
        frames = _users_first(error)
        place = f"{error.place} cannot be imported"
        inner = frames[0] if frames and error.traced_as else None  # else all of them are Airflow's
        if inner and inner.file != error.path:  # a module that the DAG's file imports
            place += f", because of {inner.file}:{inner.line}"
        return HarnessError(
            CauseCode.DAG_IMPORT_ERROR,
            f"{place}: {error.message}",
            hint=_import_hint(error)
            or f"edit {inner.file if inner else error.path}; the DAG {dag_id!r} is "
            f"not there until its file can be imported{_read_by(error)}",
            evidence=[whole(error.text), *(f"  {frame}" for frame in frames)],
        )
    return HarnessError(
        CauseCode.DAG_IMPORT_ERROR,
        f"DAG {dag_id!r} is in none of the files that can be imported, and {len(errors)} cannot: "
        + ", ".join(error.place for error in errors[:EVIDENCE_FILES]),
        hint=f"edit {errors[0].path}",
        evidence=[f"{error.place}: {error.message}" for error in errors],
    )


def _read_by(error: DagImportError) -> str:
    """Which Python does not know what is written; only Airflow's own frames tell."""
    found = re.search(r"/python(3\.\d+)/", error.stack_trace)
    return f"; Python {found[1]} reads it" if found and "SyntaxError" in error.message else ""


def _import_hint(error: DagImportError) -> str:
    kind, _, message = error.message.partition(": ")
    return (
        missing_module(error.message, error.stack_trace)
        or gone_in_airflow_3(error.message)
        or missing_setting(kind, message)
        or _file_hint(error)
    )


def _file_hint(error: DagImportError) -> str:
    """What helps by how the import of the file ended."""
    if "attempted relative import" in error.message:
        return f"leave out the dot: to Airflow {error.path} is in no package, and its folder is on the import path"
    if error.message.startswith("UnicodeDecodeError") and not error.traced_as:
        return f"save {error.path} as UTF-8: Airflow reads DAG files as that, whatever their first line says"
    if error.message == DIED:
        return (
            f"python {shlex.quote(error.path)} may show it; a compiled library that crashes or takes all memory ends "
            "like this"
        )
    if "timeout" in error.message.lower():
        return (
            f"let {error.path} do less when it is imported: what takes long belongs into a task, also imports of large "
            f'packages; or give it more time by AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT = "150" below [image.env]'
        )
    return ""


def _users_first(error: DagImportError) -> list[Frame]:
    """The frames of the user's files as the repository has them, innermost first, then the one that raised if it
    is not theirs."""
    frames = [frame for frame in error.frames if not frame.file.startswith("<")]
    root = (error.traced_as or "").removesuffix(error.path)
    if not root:
        return frames[-3:]
    users = [frame for frame in reversed(frames) if _is_users(frame, root)]
    shown = [Frame(frame.file.removeprefix(root), frame.line, frame.name) for frame in users]
    return shown + [frame for frame in frames[-1:] if frame not in users]


def _is_users(frame: Frame, root: str) -> bool:
    packages = {"site-packages", "dist-packages"}
    return frame.file.startswith(root) and not packages & set(PurePosixPath(frame.file).parts)
