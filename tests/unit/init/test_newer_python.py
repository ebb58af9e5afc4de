"""DAG files that need Python 3.12, read by whatever Python harness runs on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proposals import configured, proposal, reasons

import harness
from harness.init.reading.repository_files import Place
from harness.init.reading.source import Module, parsed
from harness.init.reading.syntax.newer_strings import for_older

NEWER = """
from airflow.sdk import dag, task
@dag(schedule=None)
def churn():
    @task
    def train(scores):
        print(f"best {scores["auc"]} of {', '.join(f"{each["id"]:>{10}}" for each in scores)} {{auc}}")
        print(f"{
            scores
        }")
        return {"auc": 0.9}
    train({})
churn()
"""


def test_fields_that_older_ones_do_not_read_become_names() -> None:
    found = for_older(NEWER)
    assert 'print(f"best {_} of {_} {{auc}}")' in found
    assert found.count("\n") == NEWER.count("\n")
    tree = ast.parse(found)
    assert isinstance(tree, ast.Module)


@pytest.mark.parametrize(
    "path", sorted(Path(harness.__file__).parent.rglob("*.py"))[::7], ids=lambda path: path.name
)
def test_what_any_of_them_reads_stays_as_it_is(path: Path) -> None:
    text = path.read_text()
    assert ast.dump(ast.parse(for_older(text))) == ast.dump(ast.parse(text))


@given(text=st.text(alphabet="f'\"{}\\# \nrx:[()]"))
def test_any_text_is_taken(text: str) -> None:
    for_older(text)


def test_nesting_that_nobody_would_write_is_no_python() -> None:
    assert parsed("dags/churn.py", "\nx = " + 'f"{' * 3000) == Place("dags/churn.py", 2)


def test_the_image_has_a_python_that_reads_it() -> None:
    found = proposal({"dags/churn.py": NEWER})
    module = parsed("dags/churn.py", NEWER)
    assert isinstance(module, Module)
    assert module.newer == 7
    assert configured(found).image.python == "3.13"
    assert [test.metrics for test in found.tests] == [("auc",)]


def test_an_airflow_that_has_no_such_python_is_told_with_the_line() -> None:
    found = proposal({"dags/churn.py": NEWER, "requirements.txt": "apache-airflow==3.0.6\n"})
    why = "dags/churn.py:7: this line is of Python 3.12, and versions of Airflow 3.0.6 have 3.11"
    assert reasons(found)[0].startswith(why)
