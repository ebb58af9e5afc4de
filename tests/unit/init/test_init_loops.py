"""Programs that a loop, a function or a mapping names: each of the repository's files that some task runs."""

from __future__ import annotations

import pytest
from proposals import configured, proposal

from harness.init.findings import Proposal

HEAD = """
import os, subprocess, sys
from airflow.sdk import DAG, task
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
STEPS = ["clean", "train"]
JOBS = "/opt/airflow/jobs"
def run(name):
    subprocess.run(["python", f"{JOBS}/{name}.py"], check=True)
def run_file(script):
    os.system("python " + os.path.join(JOBS, script))
def step(name):
    return BashOperator(task_id=name, bash_command=f"python {JOBS}/{name}.py")
@task
def one(name):
    subprocess.check_call([sys.executable, f"jobs/{name}.py"])
@task
def clean():
    run_file("clean.py")
@task
def train():
    run_file("train.py")
@task.bash
def shell(name):
    return f"python {JOBS}/{name}.py"
with DAG("churn"):
"""
FILES = {
    "jobs/clean.py": "import pandas as pd\npd.read_csv('/opt/airflow/raw.csv')\n",
    "jobs/train.py": "import joblib\njoblib.dump(1, '/opt/airflow/models/model.pkl')\n",
    "raw.csv": "a\n",
}


def found(*body: str) -> Proposal:
    return proposal({**FILES, "dags/churn.py": HEAD + "".join(f"    {line}\n" for line in body)})


@pytest.mark.parametrize(
    "body",
    [
        "for s in STEPS: BashOperator(task_id=s, bash_command=f'python {JOBS}/{s}.py')",
        "for s in STEPS: BashOperator(task_id=s, bash_command='cd /opt/airflow && python jobs/' + s + '.py')",
        "for s in STEPS: BashOperator(task_id=s, bash_command='python /opt/airflow/jobs/{}.py'.format(s))",
        "for s in STEPS: BashOperator(task_id=s, bash_command='python {home}/{s}.py'.format(home=JOBS, s=s))",
        "for s in STEPS: BashOperator(task_id=s, bash_command='python /opt/airflow/jobs/%s.py' % s)",
        "for i, (s, n) in enumerate({'clean': 1, 'train': 2}.items()): step(s)",
        "step('clean') >> step('train')",
        "steps = [BashOperator(task_id=s, bash_command=f'python {JOBS}/{s}.py') for s in STEPS]",
        "steps = {s: BashOperator(task_id=s, bash_command=f'python {JOBS}/{s}.py') for s in STEPS}",
        "BashOperator.partial(task_id='x').expand(bash_command=[f'python {JOBS}/{s}.py' for s in STEPS])",
        "BashOperator.partial(task_id='x').expand(bash_command=[f'python {JOBS}/clean.py', f'python {JOBS}/train.py'])",
        "for s in STEPS: PythonOperator(task_id=s, python_callable=run, op_kwargs={'name': s})",
        "for s in STEPS: PythonOperator(task_id=s, python_callable=run, op_args=[s])",
        "[PythonOperator(task_id=s, python_callable=run_file, op_args=[s]) for s in ('clean.py', 'train.py')]",
        "clean() >> train()",
        "one('clean') >> one('train')",
        "one.expand(name=STEPS)",
        "one.partial().expand(name=[s for s in STEPS])",
        "shell('clean') >> shell('train')",
    ],
)
def test_are_in_the_image_with_what_they_need(body: str) -> None:
    proposed = found(body)
    assert configured(proposed).image.code == ("dags", "jobs", "raw.csv")
    assert proposed.image.shared == ("models",)
    (text,) = proposed.extra.values()
    assert {line.split()[0] for line in text.splitlines()[1:]} == {
        "pandas",
        "joblib",
        "apache-airflow-core>=3",
    }


@pytest.mark.parametrize(
    "body",
    [
        "for s in unknown(): BashOperator(task_id='x', bash_command=f'python {JOBS}/{s}.py')",
        "for s in STEPS: BashOperator(task_id=s, bash_command='python {s:>3}.py'.format(s=s))",
        "one.expand(name=unknown())",
        "one.expand_kwargs([{'name': 'clean'}])",
        "PythonOperator(task_id='x', python_callable=run, op_args=unknown())",
    ],
)
def test_what_the_source_does_not_tell_is_left(body: str) -> None:
    assert found(body).image.code[0] == "dags"
