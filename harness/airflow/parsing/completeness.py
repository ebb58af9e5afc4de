"""Waiting until every DAG file was parsed: only then it is known which of them define a DAG."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.airflow.parsing.definitions import Definition, refuse_several, several_definitions
from harness.airflow.parsing.processor_statistics import ParsedFile, parse_statistics
from harness.airflow.parsing.refused_files import refused_files
from harness.errors import CauseCode, HarnessError
from harness.project.places import in_repository

INTERVAL_S = 1.0


@dataclass(frozen=True)
class EveryFile:
    """All DAG files, once each was parsed. `several`: the DAG ids that were found more than once; None: not told."""

    files: tuple[ParsedFile, ...]
    several: Mapping[str, tuple[Definition, ...]] | None

    def refuse_doubt(self, dag_id: str, known_dags: int, folder: str) -> None:
        """Raise HarnessError(DAG_IMPORT_ERROR) unless one place alone defines the DAG.

        `known_dags`: how many Airflow has, `folder`: the DAGs folder in the repository.
        """
        if self.several is not None:
            refuse_several(dag_id, self.several.get(dag_id, ()), folder)
        elif (found := sum(entry.dags for entry in self.files)) > known_dags:
            raise HarnessError(
                CauseCode.DAG_IMPORT_ERROR,
                f"the DAG files define {found} DAGs, and Airflow has {known_dags}: some ids are duplicates, perhaps "
                f"{dag_id!r}, and Airflow runs the last one parsed",
                hint=f"give each DAG in {folder or 'the DAGs folder'} an id of its own",
                evidence=[f"{entry.file}: {entry.dags} DAGs" for entry in self.files if entry.dags],
            )


def wait_for_every_file(
    processor_log: Callable[[], str],
    dag_id: str,
    *,
    deadline_s: float,
    folder: str = "",
    on_progress: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> EveryFile:
    """Return once the dag-processor was through with all files; `processor_log` returns its log's last lines.

    Raises HarnessError after `deadline_s` seconds: DAG_IMPORT_ERROR with the files that it still imports, DEPLOY_FAILED
    when its log has no statistics.
    """
    start_s = clock()
    while True:
        log = processor_log()
        files = parse_statistics(log)
        waiting = [] if files is None else _waiting(files, refused_files(log))
        if files is not None and not waiting:
            return EveryFile(files, several_definitions(log))
        if clock() - start_s > deadline_s:
            raise _unknown(dag_id, waiting, deadline_s, folder)
        if files:
            on_progress(f"{len(files) - len(waiting)} of {len(files)} files parsed")
        sleep(INTERVAL_S)


def _waiting(files: Sequence[ParsedFile], refused: Mapping[str, str]) -> list[str]:
    # What Airflow's database refused was imported, and told what it defines.
    return [entry.file for entry in files if not entry.parsed and entry.file not in refused]


def _unknown(dag_id: str, waiting: Sequence[str], deadline_s: float, folder: str) -> HarnessError:
    paths = [in_repository(folder, file) for file in waiting]
    if not paths:
        return HarnessError(
            CauseCode.DEPLOY_FAILED,
            f"Airflow's dag-processor did not tell for {deadline_s:.0f} s which files it has parsed",
            hint="harness logs",
        )
    more = f", and {len(paths) - 1} more" if len(paths) > 1 else ""
    return HarnessError(
        CauseCode.DAG_IMPORT_ERROR,
        f"{paths[0]} was still being imported after {deadline_s:.0f} s{more}: whether DAG {dag_id!r} is defined there "
        "too is not known",
        hint=f"let {paths[0]} do less when it is imported: what takes long belongs into a task",
        evidence=paths,
    )
