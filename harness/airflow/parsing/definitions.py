"""DAGs that several files define, or one file twice, however they compute its id: told by the dag-processor's forks.

charts/airflow/files/dag_definitions.py writes it before each table of statistics.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from harness.errors import CauseCode, HarnessError
from harness.project.places import in_repository

_TOLD = "harness-definitions "


@dataclass(frozen=True)
class Definition:
    """A DAG that was found when `file` was imported. `line` of `maker`, a module, made it.

    Both are relative to the DAGs folder. `again`: the file had made another DAG of this id there already.
    """

    file: str
    maker: str
    line: int
    again: bool

    def place(self, folder: str) -> str:
        """Where it is, in the repository whose DAGs lie in `folder`."""
        path = in_repository(folder, self.file)
        if self.maker == self.file:
            return f"{path}:{self.line}" if self.line else path
        maker = in_repository(folder, self.maker)
        return f"{path} (by {maker}:{self.line})"


def several_definitions(log: str) -> Mapping[str, tuple[Definition, ...]] | None:
    """The DAG ids that were found more than once, as the dag-processor's log told last; None where it tells nothing."""
    for line in reversed(log.splitlines()):
        if line.startswith(_TOLD):
            with suppress(ValueError, TypeError):  # the log's first line may be cut
                told = json.loads(line.removeprefix(_TOLD))
                return {
                    dag_id: tuple(Definition(**entry) for entry in entries)
                    for dag_id, entries in told.items()
                }
    return None


def refuse_several(dag_id: str, definitions: Sequence[Definition], folder: str) -> None:
    """Raise HarnessError(DAG_IMPORT_ERROR) where they differ: nobody knows then which code a run is of.

    A file that imports a module which makes a DAG has the same one as that module.
    """
    made: dict[tuple[str, int], Definition] = {}
    for entry in definitions:
        key = (entry.maker, entry.line)
        if key not in made or entry.file == entry.maker:
            made[key] = entry
    again = any(entry.again for entry in definitions)
    if len(made) < 2 and not again:
        return
    places = sorted({entry.place(folder) for entry in made.values()})
    told = (
        f"{' and '.join(places)} define it" if len(places) > 1 else f"{places[0]} defines it more than once"
    )
    edit = max(entry.file for entry in made.values())
    raise HarnessError(
        CauseCode.DAG_IMPORT_ERROR,
        f"DAG id {dag_id!r} is a duplicate: {told}, and Airflow runs the last one parsed",
        hint=f"give one of them another id: edit {in_repository(folder, edit)}",
        evidence=places,
    )
