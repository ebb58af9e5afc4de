"""Which files define which DAGs, as the dag-processor finds out while it imports them.

Of several DAGs with one id Airflow keeps the one that it parsed last, without a word: then nobody knows which code a
run was of. So each fork that imports a file tells of every DAG that it finds, and the table that the dag-processor
writes of its files says which ids have more than one.
"""

import functools
import json
import os
import pathlib
import sys

MARK = b"harness-defines "
TABLE = b"DAG File Processing Stats"
TOLD = b"harness-definitions "


def watch(dags_folder: str, report: int) -> None:
    """Tell the open file `report` of each DAG that this process, or a fork of it, finds in a file."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # before Airflow 3.2
        from airflow.models.dagbag import DagBag
    from airflow.sdk import DAG

    root = pathlib.PurePosixPath(dags_folder)
    home = pathlib.PurePosixPath(os.environ.get("AIRFLOW_HOME", "/"))
    code = home if home in root.parents and home.name else root
    made: dict[int, tuple[object, str, int, str]] = {}
    make, bag = DAG.__init__, DagBag.bag_dag

    def shown(path: str) -> str:
        return str(pathlib.PurePosixPath(path).relative_to(root)) if path.startswith(f"{root}/") else path

    @functools.wraps(make)
    def making(dag: object, *arguments: object, **options: object) -> None:
        make(dag, *arguments, **options)
        frame = sys._getframe(1)
        # The module that is being run: it makes the DAG, whoever's function it calls for that.
        while frame is not None and not (
            frame.f_code.co_name == "<module>" and frame.f_code.co_filename.startswith(f"{code}/")
        ):
            frame = frame.f_back
        if frame is not None:
            module = str(frame.f_globals.get("__name__"))
            made[id(dag)] = (dag, shown(frame.f_code.co_filename), frame.f_lineno, module)

    @functools.wraps(bag)
    def bagging(bagged: object, dag: object, *arguments: object, **options: object) -> object:
        before = bagged.dags.get(dag.dag_id)
        result = bag(bagged, dag, *arguments, **options)
        file = shown(dag.fileloc)
        nowhere = (dag, file, 0, "")
        _, maker, line, module = made.get(id(dag), nowhere)
        # Not where a file ran twice because what it imports imports it: that is one definition.
        before_at = made.get(id(before), nowhere)[1:]
        again = before is not None and before is not dag and before_at == (maker, line, module)
        told = {"dag_id": dag.dag_id, "file": file, "maker": maker, "line": line, "again": again}
        os.write(report, MARK + json.dumps(told).encode() + b"\n")
        return result

    DAG.__init__, DagBag.bag_dag = making, bagging


class Definitions:
    """What the dag-processor's forks told, kept by whoever passes its lines on."""

    def __init__(self) -> None:
        self.places: dict[str, list[dict[str, object]]] = {}

    def passed(self, lines: list[bytes]) -> list[bytes]:
        """The lines without what only this is told, and with what it has to say before each table of files."""
        found = []
        for line in lines:
            if line.startswith(MARK):
                self.add(json.loads(line.removeprefix(MARK)))
                continue
            if line.strip() == TABLE:
                several = {dag_id: places for dag_id, places in self.places.items() if len(places) > 1}
                found.append(TOLD + json.dumps(several).encode())
            found.append(line)
        return found

    def add(self, told: dict[str, object]) -> None:
        places = self.places.setdefault(str(told.pop("dag_id")), [])
        if told not in places:
            places.append(told)
