"""Keys of conf and params that a test does not give."""

from __future__ import annotations

import pytest

from harness.airflow.autopsy.missing_settings import missing_conf
from harness.airflow.logs.task_log import Raised
from harness.airflow.logs.tracebacks import Frame
from harness.project.places import CodeFiles

RAISED = Raised("KeyError", "'batch'", (Frame("/opt/airflow/dags/churn.py", 2, "train"),))


def hint(line: str, raised: Raised = RAISED) -> str:
    return missing_conf(raised, CodeFiles(read={"dags/churn.py": f"def train():\n    {line}\n"}.get))


@pytest.mark.parametrize(
    "line",
    [
        'size = context["dag_run"].conf["batch"]',
        "size = dag_run.conf['batch']",
        "size = params['batch'] + 1",
        'size = (kwargs["dag_run"].conf or {})["batch"]',
        'size = kwargs["params"]["batch"]',
        'size = config["a"]; conf_of_run = conf [ "batch" ]',
    ],
)
def test_a_key_of_conf_is_told_with_the_line_that_gives_it(line: str) -> None:
    assert "add `conf = { batch = … }` under the test" in hint(line)


@pytest.mark.parametrize(
    ("line", "raised"),
    [
        ('size = row["batch"]', RAISED),
        ('size = conf["other"] + row["batch"]', RAISED),
        ('conf["batch"]', Raised("KeyError", "'batch'")),
        ('conf["batch"]', Raised("ValueError", "'batch'", RAISED.frames)),
        ('conf["batch"]', Raised("KeyError", "('batch', 1)", RAISED.frames)),
        ('conf["batch"]', Raised("KeyError", "'batch'", (Frame("/opt/airflow/dags/churn.py", 99, "f"),))),
        ('conf["batch"]', Raised("KeyError", "'batch'", (Frame("/opt/airflow/dags/gone.py", 1, "f"),))),
    ],
)
def test_any_other_key_is_not(line: str, raised: Raised) -> None:
    assert hint(line, raised) == ""


def test_a_key_that_is_no_word_is_quoted() -> None:
    raised = Raised("KeyError", "'batch size'", RAISED.frames)
    assert '{ "batch size" = … }' in hint('conf["batch size"]', raised)
