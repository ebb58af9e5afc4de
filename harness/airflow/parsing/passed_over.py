"""Files that define a DAG and that Airflow never reads: why, and what helps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from harness.airflow.parsing.dag_ids import definitions
from harness.errors import CauseCode, HarnessError
from harness.project.places import CodeFiles

IGNORING = ".airflowignore"
_WORD = "airflow"  # a file without it is none of DAGs to Airflow, by its safe mode


def passed_over(dag_id: str, code: CodeFiles, folder: str) -> HarnessError | None:
    """The error for a DAG that a file of the repository certainly defines, where no file that Airflow read has it.

    `folder` is the DAGs folder in the repository. None where no file defines it.
    """
    sources = {
        path: code.read(path) or "" for path in sorted(code.paths()) if PurePosixPath(path).suffix == ".py"
    }
    found = next(_defining(dag_id, sources), None) or next(_never_read(dag_id, sources, code, folder), None)
    if found is None:
        return None
    path, line = found
    why, hint = _reason(path, sources[path], code, folder)
    what = f"{path}:{line} defines it" if line else f"{path} names it"
    return HarnessError(CauseCode.DAG_NOT_FOUND, f"there is no DAG {dag_id!r}: {what}, {why}", hint=hint)


def _defining(dag_id: str, sources: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    for path, source in sources.items():
        if dag_id in source or PurePosixPath(path).stem == dag_id:
            yield from ((path, line) for found, line in definitions(source) if found == dag_id)


def _never_read(
    dag_id: str, sources: Mapping[str, str], code: CodeFiles, folder: str
) -> Iterator[tuple[str, int]]:
    """Files that may define it, by an own name for a DAG say, and that Airflow certainly does not read."""
    quoted = re.compile(rf"""(['"]){re.escape(dag_id)}\1""")
    for path, source in sources.items():
        is_there = PurePosixPath(path).is_relative_to(folder) and code.in_image(path)
        if is_there and _WORD not in source.lower() and quoted.search(source):
            yield path, 0


def _reason(path: str, source: str, code: CodeFiles, folder: str) -> tuple[str, str]:
    place, dags = PurePosixPath(path), PurePosixPath(folder)
    if not place.is_relative_to(dags):
        where = place.parent
        return (
            f"and Airflow reads the DAGs in {folder}",
            f'git mv {path} {folder}/, or put `code = ["{where}"]` first under [image] in harness.toml',
        )
    if not code.in_image(path):
        return "and the image has no such file", f"put `{code.with_code(path)}` under [image] in harness.toml"
    if _WORD not in source.lower():
        return (
            f"and Airflow takes no file for one of DAGs that lacks the word `{_WORD}`",
            f'write `# {_WORD}` into {path}, or set AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE = "False" below '
            "[image.env]",
        )
    ignoring = [
        str(parent / IGNORING)
        for parent in place.parents
        if parent.is_relative_to(dags) and code.read(str(parent / IGNORING)) is not None
    ]
    if ignoring:
        return f"and {' or '.join(ignoring)} leaves it out", f"edit {ignoring[0]}"
    return "and Airflow did not read that file", "harness logs"
