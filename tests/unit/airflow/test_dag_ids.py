"""One id for two DAGs is told; what may be one in another case is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.airflow.parsing.dag_ids import definitions, refuse_twice, uncalled
from harness.errors import CauseCode, HarnessError

DECORATED = "@dag(schedule=None)\ndef train():\n    pass\n\ntrain()\n"
NAMED = "with DAG('train', schedule=None) as found:\n    pass\n"
ASSIGNED = "found = DAG(dag_id='train')\n"


@pytest.mark.parametrize(
    "source", [DECORATED, NAMED, ASSIGNED, DECORATED.replace("train()\n", "x = train()\n")]
)
def test_each_way_to_define_one(source: str) -> None:
    assert [found for found, _ in definitions(source)] == ["train"]


@pytest.mark.parametrize(
    "source",
    [
        DECORATED.removesuffix("train()\n"),
        f"if True:\n    {ASSIGNED}",
        "found = DAG(name)\n",
        "found = DAG(f'{team}_train')\n",
        "@task\ndef train(): pass\n\ntrain()\n",
        "def (",
    ],
    ids=["never called", "in a condition", "a variable", "computed", "a task", "no Python"],
)
def test_what_is_not_certain_does_not_count(source: str) -> None:
    assert [found for found, _ in definitions(source) if found] == []


def test_two_files_with_one_id() -> None:
    sources = {"a.py": NAMED, "b.py": DECORATED, "c.py": "# train"}
    with pytest.raises(HarnessError, match=r"dags/a\.py:1 and dags/b\.py:2") as caught:
        refuse_twice("train", sources, sources.get, "dags")
    assert caught.value.cause is CauseCode.DAG_IMPORT_ERROR
    assert "dags/b.py" in caught.value.hint


def test_one_definition_is_fine() -> None:
    sources = {"a.py": NAMED, "b.py": DECORATED.replace("train", "other")}
    refuse_twice("train", sources, sources.get, "dags")


@given(st.text())
def test_any_text_can_be_read(source: str) -> None:
    list(definitions(source))


NEVER_CALLED = """\
from airflow.sdk import dag, task

@dag(schedule="@weekly")
def weekly():
    @task
    def train():
        return 1
    train()
"""


@pytest.mark.parametrize(
    ("source", "function"),
    [
        (NEVER_CALLED, "weekly"),
        (
            NEVER_CALLED.replace('schedule="@weekly"', 'dag_id="weekly"').replace("def weekly", "def made"),
            "made",
        ),
        (NEVER_CALLED + "weekly()\n", None),
        (NEVER_CALLED + "made = [each() for each in (weekly,)]\n", None),
        (NEVER_CALLED.replace("def weekly", "def monthly"), None),
        ("def weekly(:\n", None),
    ],
)
def test_a_function_that_would_make_the_dag_if_it_were_called(source: str, function: str | None) -> None:
    found = uncalled("weekly", ["w.py", "gone.py"], {"w.py": source}.get, "dags")
    assert (found.function if found else None) == function
    if found:
        assert (found.path, found.line) == ("dags/w.py", 4)
