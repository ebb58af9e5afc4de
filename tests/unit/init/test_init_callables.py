"""What an operator runs, in the ways that code has to say so."""

from __future__ import annotations

import pytest
from proposals import configured, proposal

HEAD = """
from functools import partial
import functools
import os
from joblib import dump
from pandas import read_csv as read
from subprocess import run, check_call as call
from airflow.sdk import DAG
from airflow.providers.standard.operators.python import PythonOperator
MODELS = "/opt/airflow/models"
def train(name, folder=MODELS):
    dump(1, os.path.join(folder, name))
    return {"auc": 0.9}
def start(program):
    run(["python", program], check=True)
with DAG("churn"):
"""


@pytest.mark.parametrize(
    "callable_",
    [
        "python_callable=train, op_args=['model.pkl']",
        "python_callable=train, op_kwargs={'name': 'model.pkl'}",
        "python_callable=lambda: train('model.pkl')",
        "python_callable=lambda ti: train(ti.xcom_pull(task_ids='x') or 'model.pkl')",
        "python_callable=lambda name: train(name), op_args=['model.pkl']",
        "python_callable=partial(train, 'model.pkl')",
        "python_callable=functools.partial(train, name='model.pkl')",
    ],
)
def test_a_function_and_what_it_is_given(callable_: str) -> None:
    text = f"{HEAD}    PythonOperator(task_id='train', {callable_})\n"
    found = proposal({"dags/churn.py": text})
    assert configured(found).image.shared == ("models",)
    assert [(test.metrics_task, test.metrics) for test in found.tests] == [("train", ("auc",))]


def test_a_lambda_of_a_loop() -> None:
    made = "PythonOperator(task_id=m, python_callable=lambda: train('x', f'out/{m}'))"
    text = f"{HEAD}    for m in ('a', 'b'):\n        {made}\n"
    assert configured(proposal({"dags/churn.py": text})).image.shared == ("out/a", "out/b")


@pytest.mark.parametrize(
    "start", ["start('/opt/airflow/jobs/train.py')", "call(['python', '/opt/airflow/jobs/train.py'])"]
)
def test_functions_that_were_imported_by_their_own_names(start: str) -> None:
    text = f"{HEAD}    PythonOperator(task_id='train', python_callable=lambda: {start})\n"
    files = {
        "jobs/train.py": "from torch import save\nsave(1, '/opt/airflow/weights/model.pt')\n",
        "dags/churn.py": text,
    }
    assert configured(proposal(files)).image.shared == ("weights",)


def test_what_they_read_is_told_too() -> None:
    text = f"{HEAD}    PythonOperator(task_id='x', python_callable=lambda: read('/opt/airflow/data/x.csv'))\n"
    reasons = [reason for test in proposal({"dags/churn.py": text}).tests for reason in test.reasons]
    assert reasons == ["dags/churn.py:17: it reads /opt/airflow/data/x.csv, which is not in the repository"]


class TestPicklesThatTasksReturn:
    """Airflow 2 kept them with enable_xcom_pickling; Airflow 3 can't."""

    CODE = """
    import base64, pickle
    from pickle import dumps
    from airflow.sdk import DAG, task
    from airflow.providers.standard.operators.python import PythonOperator
    def load():
        rows = pickle.dumps([1])
        return rows
    def load_text():
        return base64.b64encode(pickle.dumps([1])).decode()
    @task
    def direct():
        return dumps([1])
    with DAG("churn"):
        {call}
    """

    def told(self, call: str, compose: str = "") -> list[str]:
        files = {"dags/churn.py": self.CODE.format(call=call), "docker-compose.yaml": compose}
        return [reason for test in proposal(files).tests for reason in test.reasons]

    @pytest.mark.parametrize(
        ("call", "line"),
        [
            ("PythonOperator(task_id='load', python_callable=load)", 8),
            ("PythonOperator(task_id='load', python_callable=lambda: load())", 8),
            ("direct.override(task_id='load')()", 13),
        ],
    )
    def test_are_told(self, call: str, line: int) -> None:
        assert self.told(call) == [
            f"dags/churn.py:{line}: load returns bytes, and Airflow 3 keeps what a task returns as JSON: write a file "
            "and return its path, or return a text of base64"
        ]

    def test_text_is_not(self) -> None:
        assert self.told("PythonOperator(task_id='load', python_callable=load_text)") == []

    def test_nor_where_a_backend_of_ones_own_keeps_them(self) -> None:
        given = "environment: {AIRFLOW__CORE__XCOM_BACKEND: own.Backend}"
        compose = f"services: {{a: {{image: 'apache/airflow:3.1.3', {given}}}}}"
        assert self.told("direct.override(task_id='load')()", compose) == []
