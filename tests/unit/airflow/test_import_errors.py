"""Where a DAG file that cannot be imported stands in the user's repository."""

from __future__ import annotations

import pytest

from harness.airflow.rest.models import DagImportError
from harness.project.places import AIRFLOW_ROOT

NAMESAKE = "/home/x/dags/project"  # a root that has the name of the folder of the DAGs in its own path


def trace(*places: str) -> str:
    """A traceback through these places, each a file and a line."""
    frames = [place.rpartition(":") for place in places]
    told = "".join(f'  File "{file}", line {line}, in <module>\n' for file, _, line in frames)
    return f"Traceback (most recent call last):\n{told}E: x\n"


@pytest.mark.parametrize(
    ("file", "folder", "root", "place"),
    [
        ("sub/a.py", "team/dags", "/usr/local/airflow", "team/dags/sub/a.py:3"),
        ("/usr/local/airflow/team/dags/sub/a.py", "team/dags", "/usr/local/airflow", "team/dags/sub/a.py:3"),
        (f"{NAMESAKE}/dags/a.py", "dags", NAMESAKE, "dags/a.py:3"),
        (f"{NAMESAKE}/dags/dags/a.py", "dags", NAMESAKE, "dags/dags/a.py:3"),
        (f"{AIRFLOW_ROOT}/a.py", ".", AIRFLOW_ROOT, "a.py:3"),
        ("a.py", ".", AIRFLOW_ROOT, "a.py:3"),
        ("/elsewhere/dags/a.py", "dags", AIRFLOW_ROOT, "/elsewhere/dags/a.py:3"),
    ],
)
def test_a_broken_file_stands_in_the_repository(file: str, folder: str, root: str, place: str) -> None:
    path = file if file.startswith("/") else f"{root}/{folder}/{file}"
    raised = trace("/usr/lib/python3/site-packages/airflow/importer.py:238", path.replace("/./", "/") + ":3")
    assert DagImportError(file, raised).within(folder, root).place == place


def test_the_line_is_the_files_own_and_none_of_a_module_of_its_name() -> None:
    raised = trace("/opt/airflow/dags/train.py:3", "/opt/airflow/dags/models/train.py:80")
    assert DagImportError("train.py", raised).within("dags", AIRFLOW_ROOT).place == "dags/train.py:3"


def test_the_line_is_the_innermost_of_the_file() -> None:
    raised = trace("/opt/airflow/dags/a.py:30", "/opt/airflow/dags/a.py:7", "/opt/airflow/lib/b.py:1")
    assert DagImportError("a.py", raised).within("dags", AIRFLOW_ROOT).place == "dags/a.py:7"


def test_the_traceback_of_another_file_has_no_line() -> None:
    raised = trace("/opt/airflow/dags/b.py:3")
    assert DagImportError("a.py", raised).within("dags", AIRFLOW_ROOT).place == "dags/a.py"
