"""What `harness init` makes of folders outside the root, and of the import path."""

from __future__ import annotations

from typing import ClassVar

import pytest
from proposals import TASK, asking, configured, proposal, reasons

from harness.init.findings import Proposal


class TestFoldersOutsideTheRoot:
    COMPOSE = """
        services:
          airflow-scheduler:
            image: apache/airflow:3.1.3
            volumes:
              - ./airflow/dags:/opt/airflow/dags
              - ./data:/opt/project/data
              - ./unused:/unused
              - .:/sources
    """

    def test_links_lead_to_those_that_code_names(self) -> None:
        found = proposal(
            {
                "docker-compose.yml": self.COMPOSE,
                "data/x.csv": "a",
                "unused/y.csv": "a",
                "airflow/dags/churn.py": TASK.format(body="            open('/opt/project/data/x.csv')"),
            }
        )
        image = configured(found).image
        assert image.links == {"/opt/project/data": "data", "dags": "airflow/dags"}
        assert reasons(found) == []

    def test_a_command_that_goes_to_the_repository_tells_where_it_lies(self) -> None:
        found = proposal(
            {
                "modules/train.py": "import pandas\n",
                "dags/churn.py": """
                    from airflow.sdk import DAG
                    from airflow.providers.standard.operators.bash import BashOperator
                    HOME = "/home/airflow/project"
                    with DAG("churn"):
                        BashOperator(task_id="train", bash_command=f"cd {HOME} && python modules/train.py")
                """,
            }
        )
        image = configured(found).image
        assert (image.code, image.links) == (("dags", "modules"), {"/home/airflow/project": "."})
        assert found.extra["harness-requirements.in"].splitlines()[1] == "pandas  # modules/train.py:1"

    def test_a_place_of_the_systems_is_not_taken(self) -> None:
        compose = self.COMPOSE.replace("/opt/project/data", "/var/lib/data")
        body = "            open('/var/lib/data/x.csv')"
        found = proposal(
            {
                "docker-compose.yml": compose,
                "data/x.csv": "a",
                "airflow/dags/churn.py": TASK.format(body=body),
            }
        )
        assert configured(found).image.links == {"dags": "airflow/dags"}


def test_the_repository_s_root_on_the_import_path_is_called_so() -> None:
    source = """
        import sys
        from pathlib import Path
        from airflow.sdk import DAG
        ROOT = Path(__file__).resolve().parent.parent
        if str(ROOT) not in sys.path:
            sys.path.insert(0, str(ROOT))
        from src.train import train
        DAG("churn")
    """
    found = proposal({"dags/churn.py": source, "src/train.py": "def train(): ...\n"})
    assert [each.text for each in found.findings if each.about == "import path"] == [
        "the code adds the repository's root"
    ]
    assert configured(found).image.code == ("dags", "src")


class TestTheFoldersThatAVersionHasItself:
    """`artifacts` and `logs` below the root: all tasks see them, and nothing of the repository lies in there."""

    FILES: ClassVar = {"artifacts/base.json": "{}", "logs/app.json": "{}"}

    def found(self, body: str) -> Proposal:
        return proposal({**self.FILES, **asking(*body.splitlines())})

    @pytest.mark.parametrize("path", ["artifacts/x.json", "/opt/airflow/artifacts/a/x.json", "logs/x.json"])
    def test_hand_files_through_by_themselves(self, path: str) -> None:
        found = self.found(f"open({path!r}, 'w')")
        assert found.image.shared == ()
        assert not [each for each in found.findings if each.about == "file of a task"]

    @pytest.mark.parametrize("path", ["artifacts/base.json", "/opt/airflow/logs/app.json"])
    def test_what_the_repository_has_there_is_told(self, path: str) -> None:
        assert reasons(self.found(f"open({path!r})")) == [
            f"dags/churn.py:7: it reads {path}, where a version keeps files of its own (artifacts and logs): "
            "take another folder for it"
        ]

    def test_not_where_a_task_makes_it(self) -> None:
        assert reasons(self.found("open('artifacts/base.json', 'w')\nopen('artifacts/base.json')")) == []

    def test_a_file_beside_the_code_is_told_once(self) -> None:
        text = """
            from airflow.sdk import DAG, task
            def save():
                open("x.json", "w")
            @task
            def train():
                save()
            @task
            def evaluate():
                save()
            with DAG("churn"):
                train() >> evaluate()
        """
        told = [each for each in proposal({"dags/churn.py": text}).findings if each.about == "file of a task"]
        assert [each.place for each in told] == ["dags/churn.py:4"]
