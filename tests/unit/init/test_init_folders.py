"""What `harness init` makes of folders outside the root, and of the import path."""

from __future__ import annotations

from proposals import TASK, configured, proposal, reasons


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
