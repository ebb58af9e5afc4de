"""The folder that another machine has the repository in, as absolute paths of its code tell."""

from __future__ import annotations

import pytest
from proposals import configured, proposal, reasons

HOME = "/home/me/churn"
FILES = {
    "scripts/transform.py": "def transform(): ...\n",
    "dags/prepare.py": "import pandas as pd\n",
    "data/raw/rows.csv": "a\n",
    "train.py": "",
}
DAG = """
import os, subprocess, sys
from pathlib import Path
from airflow.sdk import DAG, task
from airflow.providers.standard.operators.bash import BashOperator
HOME = "/home/me/churn"
{head}
with DAG("churn"):
    @task
    def train():
        {body}
    train()
"""


def links(head: str = "", body: str = "...") -> dict[str, str]:
    found = proposal({**FILES, "dags/churn.py": DAG.format(head=head, body=body)})
    return dict(configured(found).image.links)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (f"sys.path.append('{HOME}/scripts')\nfrom transform import transform", "..."),
        ("sys.path.insert(0, os.path.join(HOME, 'scripts'))\nfrom transform import transform", "..."),
        ("", f"subprocess.run(['python3', '{HOME}/dags/prepare.py'], check=True)"),
        ("", "subprocess.run([sys.executable, f'{HOME}/train.py'])"),
        (f"BashOperator(task_id='x', bash_command='python {HOME}/scripts/transform.py')", "..."),
        ("", "open(Path(HOME) / 'data' / 'raw' / 'rows.csv')"),
        (f"ROWS = '{HOME}/data/raw/rows.csv'", "open(ROWS)"),
    ],
)
def test_is_linked_to_the_repository(head: str, body: str) -> None:
    assert links(head, body) == {HOME: "."}


@pytest.mark.parametrize(
    "body",
    [
        "open('/opt/airflow/data/raw/rows.csv')",  # where a version has it
        "open('/data/train.py')",  # a name by itself, in any folder
        "open('/mnt/shared/rows.csv')",
        "open('/etc/scripts/transform.py')",
        "open('/var/lib/data/raw/rows.csv')",
        "open('https://example.com/data/raw/rows.csv')",
    ],
)
def test_others_are_not(body: str) -> None:
    assert links("", body) == {}


def test_a_folder_of_an_image_is_one_too() -> None:
    assert links("", "open('/usr/src/app/data/raw/rows.csv')") == {"/usr/src/app": "."}


def test_what_it_leads_to_is_read_on() -> None:
    """The programs there, what they ask for and write, and what they read that nobody has."""
    program = (
        f"import os\nos.environ['RAPID_KEY']\nopen('{HOME}/data/out/x.csv', 'w')\nopen('{HOME}/seed/y.csv')\n"
    )
    files = {
        "dags/fetch.py": program,
        "dags/churn.py": DAG.format(
            head="", body="subprocess.run(['python3', '/home/me/churn/dags/fetch.py'])"
        ),
    }
    found = proposal(files)
    assert configured(found).image.shared == ("data/out",)
    assert reasons(found) == [
        "dags/fetch.py:2: it asks for environment variable RAPID_KEY, which nothing here gives: give it as RAPID_KEY, "
        "named by `from_env` below [secrets]",
        f"dags/fetch.py:4: it reads {HOME}/seed/y.csv, which is not in the repository",
    ]


def test_the_modules_there_are_no_packages() -> None:
    head = f"sys.path.append('{HOME}/scripts')\nfrom transform import transform"
    found = proposal(
        {**FILES, "requirements.txt": "pandas\n", "dags/churn.py": DAG.format(head=head, body="...")}
    )
    assert found.image.code == ("dags", "scripts")
    assert not [
        each for each in found.findings if each.kind == "yours" and each.about in {"a package", "import path"}
    ]


def test_a_dag_at_the_root_is_beside_the_folder_that_airflow_reads() -> None:
    text = "from airflow.sdk import DAG\nDAG('churn')\n"
    assert proposal({"churn.py": text, "dags/churn.py": text}).image.code == ("dags",)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("open('data/x.csv')\n        open('data/y.csv', 'w')", True),
        ("open('data/x.csv', 'w')\n        open('data/x.csv')", False),
        ("os.makedirs('data')\n        open('data/x.csv')", False),
    ],
)
def test_a_task_makes_no_other_files_than_it_names(body: str, told: bool) -> None:
    found = reasons(proposal({"dags/churn.py": DAG.format(head="", body=body)}))
    assert bool(found) is told


DBT = {"dbt/dbt_project.yml": "name: shop\n"}


@pytest.mark.parametrize(
    ("folder", "link"),
    [
        ("/usr/app", {"/usr/app": "dbt"}),
        ("/opt/airflow/dbt", {}),
        ("/home/me/shop/dbt/models", {"/home/me/shop": "."}),
    ],
)
def test_a_folder_that_a_command_goes_to_is_in_the_image(folder: str, link: dict[str, str]) -> None:
    compose = "services: {a: {image: 'apache/airflow:3.1.3', volumes: ['./dbt:/usr/app']}}"
    head = f"BashOperator(task_id='run', bash_command='cd {folder} && dbt run')"
    files = {
        **DBT,
        "dbt/models/a.sql": "",
        "docker-compose.yml": compose,
        "dags/churn.py": DAG.format(head=head, body="..."),
    }
    image = configured(proposal(files)).image
    assert (image.code, image.links) == (("dags", "dbt"), link)


@pytest.mark.parametrize(("module", "told"), [("common.steps", 0), ("elsewhere", 1), ("pandas", 0)])
def test_a_folder_on_the_import_path_is_missed_where_a_module_is(module: str, told: int) -> None:
    head = f"sys.path.append('../')\nfrom {module} import x"
    files = {"dags/common/steps.py": "x = 1\n", "dags/churn.py": DAG.format(head=head, body="...")}
    findings = [
        each for each in proposal(files).findings if each.kind == "yours" and each.about == "import path"
    ]
    assert len(findings) == told
