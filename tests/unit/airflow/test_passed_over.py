"""Files that define a DAG and that Airflow does not read."""

from __future__ import annotations

import pytest

from harness.airflow.parsing.passed_over import passed_over
from harness.errors import CauseCode
from harness.project.places import CodeFiles

DAG = "from airflow.sdk import DAG\nwith DAG('churn'):\n    pass\n"
OURS = "from ours import DAG\nwith DAG('churn'):\n    pass\n"


def files(found: dict[str, str], code: tuple[str, ...] = ("dags",)) -> CodeFiles:
    return CodeFiles(code=code, paths=lambda: tuple(found), read=found.get)


@pytest.mark.parametrize(
    ("found", "code", "why", "hint"),
    [
        (
            {"dags/.airflowignore": "old/\n", "dags/old/churn.py": DAG},
            ("dags",),
            "dags/old/churn.py:2 defines it, and dags/.airflowignore leaves it out",
            "edit dags/.airflowignore",
        ),
        (
            {"dags/a/.airflowignore": "*\n", "dags/.airflowignore": "x\n", "dags/a/b/churn.py": DAG},
            ("dags",),
            "and dags/a/.airflowignore or dags/.airflowignore leaves it out",
            "edit dags/a/.airflowignore",
        ),
        (
            {"dags/churn.py": OURS},
            ("dags",),
            "dags/churn.py:2 defines it, and Airflow takes no file for one of DAGs that lacks the word `airflow`",
            "DAG_DISCOVERY_SAFE_MODE",
        ),
        (
            {"dags/a.py": "", "pipelines/churn.py": DAG},
            ("dags", "pipelines"),
            "pipelines/churn.py:2 defines it, and Airflow reads the DAGs in dags",
            'git mv pipelines/churn.py dags/, or put `code = ["pipelines"]` first',
        ),
        (
            {"dags/churn.py": DAG},
            ("dags/other.py",),
            "and the image has no such file",
            "under [image] in harness.toml",
        ),
        (
            {"dags/flows.py": "from ours import Flow\nFlow('churn')\n"},
            ("dags",),
            "there is no DAG 'churn': dags/flows.py names it, and Airflow takes no file for one of DAGs",
            "write `# airflow` into dags/flows.py",
        ),
        ({"dags/churn.py": DAG}, ("dags",), "and Airflow did not read that file", "harness logs"),
    ],
)
def test_why(found: dict[str, str], code: tuple[str, ...], why: str, hint: str) -> None:
    error = passed_over("churn", files(found, code), "dags")
    assert error is not None
    assert error.cause is CauseCode.DAG_NOT_FOUND
    assert why in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"dags/churn.sql": DAG, "dags/churn.ipynb": DAG},
        {"dags/other.py": DAG.replace("churn", "churn_2")},
        {"dags/churn.py": "def churn(): ...", "README.md": "the DAG churn"},
        {"dags/folder.py": ""},
    ],
)
def test_a_dag_that_no_file_certainly_defines_is_not_there(found: dict[str, str]) -> None:
    assert passed_over("churn", files(found), "dags") is None


def test_files_that_cannot_be_read_are_none() -> None:
    code = CodeFiles(paths=lambda: ("dags/gone.py", "dags/broken.py"), read={"dags/broken.py": "churn ("}.get)
    assert passed_over("churn", code, "dags") is None
