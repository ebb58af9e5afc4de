"""Variables that stand for a folder: those that the team's image gives, and those that can be but the repository's."""

from __future__ import annotations

import pytest
from proposals import configured, proposal, reasons

from harness.init.findings import Proposal

FILES = {
    "ml/train.py": "import joblib\njoblib.dump(1, '/opt/airflow/models/m.pkl')\n",
    "data/raw/x.csv": "a\n",
}
HEAD = """
import os, subprocess
from pathlib import Path
from airflow.sdk import DAG, Variable, task
from airflow.providers.standard.operators.bash import BashOperator
"""


def found(body: str, **files: str) -> Proposal:
    named = {name.replace("_", ".", 1).replace("__", "/"): text for name, text in files.items()}
    return proposal({**FILES, **named, "dags/churn.py": f"{HEAD}{body}\n"})


def in_a_task(*lines: str) -> str:
    return "@task\ndef train():\n" + "".join(f"    {line}\n" for line in lines) + "with DAG('churn'): train()"


@pytest.mark.parametrize(
    ("body", "variable"),
    [
        (in_a_task("subprocess.run(['python', os.environ['PROJECT_HOME'] + '/ml/train.py'])"), "PROJECT_HOME"),
        (in_a_task("subprocess.run(['python', f'{os.getenv(\"BASE_PATH\")}/ml/train.py'])"), "BASE_PATH"),
        (
            in_a_task("root = Path(os.environ.get('REPO_DIR'))", "os.system(f'python {root / \"ml/train.py\"}')"),
            "REPO_DIR",
        ),
        (
            in_a_task("home = Variable.get('project_root')", "os.system(f'python {home}/ml/train.py')"),
            "AIRFLOW_VAR_PROJECT_ROOT",
        ),
        (
            "with DAG('churn'): BashOperator(task_id='x', bash_command='python {{ var.value.base_dir }}/ml/train.py')",
            "AIRFLOW_VAR_BASE_DIR",
        ),
        (
            "HOME = '{{ var.value.base_dir }}'\n"
            "with DAG('churn'): BashOperator(task_id='x', bash_command=f'export B={HOME} && python $B/ml/train.py')",
            "AIRFLOW_VAR_BASE_DIR",
        ),
        (
            "HOME = os.environ['ML_PROJECT']\n"
            "with DAG('churn'): BashOperator(task_id='x', bash_command=f'cd {HOME} && python {HOME}/ml/train.py')",
            "ML_PROJECT",
        ),
    ],
)  # fmt: skip
def test_is_given_where_the_repository_has_what_lies_below(body: str, variable: str) -> None:
    proposed = found(body)
    image = configured(proposed).image
    assert reasons(proposed) == []
    assert (image.env, image.code, image.shared) == ({variable: "/opt/airflow"}, ("dags", "ml"), ("models",))


def test_is_a_folder_of_it_where_only_that_has_it() -> None:
    proposed = found(in_a_task("open(os.path.join(os.environ['DATA_DIR'], 'raw', 'x.csv'))"))
    assert configured(proposed).image.env == {"DATA_DIR": "/opt/airflow/data"}
    assert configured(proposed).image.code == ("dags", "data")


def test_what_the_image_gives_is_known_while_code_is_read() -> None:
    given = "environment: {WORK: /opt/project}, volumes: ['./ml:/opt/project/ml']"
    compose = f"services: {{a: {{image: 'apache/airflow:3.1.3', {given}}}}}"
    body = in_a_task("os.system(f\"python {os.environ['WORK']}/ml/train.py\")")
    proposed = found(body, compose_yaml=compose)
    image = configured(proposed).image
    assert (image.env, image.shared) == ({"WORK": "/opt/project"}, ("models",))


@pytest.mark.parametrize(
    "body",
    [
        in_a_task("open(os.environ['DATA_DIR'] + '/nowhere/x.csv')"),
        in_a_task("open(os.environ['DATA_DIR'])"),
        in_a_task("open(os.environ['DATA_DIR'] + '/train.py')"),  # a name alone, which many folders have
        in_a_task("open(os.environ['BUCKET'] + '/ml/train.py')"),
    ],
)
def test_else_it_is_asked_for(body: str) -> None:
    assert any("it asks for environment variable" in each for each in reasons(found(body)))


def test_a_default_stays() -> None:
    proposed = found(in_a_task("open(os.getenv('DATA_DIR', '/opt/airflow/data') + '/raw/x.csv')"))
    assert configured(proposed).image.env == {}
