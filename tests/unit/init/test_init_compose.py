"""What `harness init` takes from compose files of any name, and which addresses no version reaches."""

from __future__ import annotations

import textwrap
from typing import ClassVar

import pytest
from proposals import TASK, asking, configured, proposal, reasons

from harness.init.findings import Proposal
from harness.init.proposal import propose
from harness.init.reading.repository_files import RepositoryFiles


def test_the_variables_of_a_service_that_is_only_called_after_airflow_are_not_taken() -> None:
    found = proposal(
        {
            "docker-compose.yml": """
                services:
                  airflow-scheduler:
                    build: {context: ., dockerfile: Dockerfile.airflow}
                    image: my-airflow:2.10.5
                    environment: {TEAM: ml}
                  app:
                    build: .
                    image: my-airflow-platform:local
                    environment: {MODEL_DIR: /app/models}
            """,
            "Dockerfile.airflow": "FROM apache/airflow:3.1.3\n",
            "Dockerfile": "FROM python:3.11-slim\n",
            **asking("import os", "os.getenv('MODEL_DIR')", "os.getenv('TEAM')"),
        }
    )
    assert dict(configured(found).image.env) == {"TEAM": "ml"}


@pytest.mark.parametrize(
    "name",
    [
        "Docker-compose.airflow.yml",
        "docker-compose.dev.yaml",
        "compose.yml",
        "docker/docker-compose-local.yml",
    ],
)
def test_compose_files_have_many_names(name: str) -> None:
    compose = "services:\n  airflow:\n    image: apache/airflow:3.1.5\n"
    assert configured(proposal({name: compose, **asking("pass")})).image.airflow == "3.1.5"


@pytest.mark.parametrize(
    ("size", "told"), [("shm_size: 1gb", "1gb"), ("shm_size: 536870912", "536870912"), ("", "")]
)
def test_larger_shared_memory_of_the_teams_own_container_is_told(size: str, told: str) -> None:
    compose = (
        f"services:\n  redis:\n    shm_size: 9gb\n  airflow:\n    image: apache/airflow:3.1.5\n    {size}\n"
    )
    found = proposal({"compose.yml": compose, **asking("pass")})
    lines = [(each.text, each.place) for each in found.findings if each.about == "shared memory"]
    assert [(text.split()[0], place) for text, place in lines] == ([(told, "compose.yml:6")] if told else [])


class TestVariablesThatAComposeFileTakesFromFiles:
    FILES: ClassVar = {
        ".env": "TAG=3.1.5\nexport MODEL_NAME='churn'  # ours\nAPI_KEY=abc\nDAGS=./flows\n",
        "docker-compose.yaml": """
            services:
              airflow:
                image: apache/airflow:${TAG}
                env_file: [{path: "${ENV_FILE:-.env}"}]
                environment: {STAGE: "${TAG}-test"}
                volumes: ["${DAGS}:/opt/airflow/dags"]
        """,
        "flows/churn.py": TASK.format(
            body="            import os\n            [os.environ[name] for name in ()]\n"
            "            os.environ['MODEL_NAME'], os.environ['API_KEY'], os.environ['STAGE']"
        ),
    }

    def found(self, tracked: bool) -> Proposal:
        texts = {name: textwrap.dedent(text) for name, text in self.FILES.items()}
        return propose(RepositoryFiles(tuple(sorted(texts)), texts.get, tracked=lambda _: tracked))

    def test_those_of_git_count_and_secrets_are_told(self) -> None:
        found = self.found(tracked=True)
        image = configured(found).image
        assert (image.airflow, image.code, dict(image.links)) == ("3.1.5", ("flows",), {"dags": "flows"})
        assert dict(image.env) == {"MODEL_NAME": "churn", "STAGE": "3.1.5-test"}
        assert [reason.partition(": ")[2] for reason in reasons(found)] == [
            "it asks for environment variable API_KEY, which .env:3 gives, and no secret belongs into an image: give "
            "it as API_KEY, named by `from_env` below [secrets]"
        ]

    def test_an_example_tells_of_images_and_folders_alone(self) -> None:
        texts = {
            name.replace(".env", ".env.template"): textwrap.dedent(text) for name, text in self.FILES.items()
        }
        found = propose(RepositoryFiles(tuple(sorted(texts)), texts.get, tracked=lambda _: True))
        image = configured(found).image
        assert (image.airflow, image.code, dict(image.env)) == ("3.1.5", ("flows",), {"STAGE": "-test"})

    def test_those_that_git_has_not_stay_with_their_owner(self) -> None:
        found = self.found(tracked=False)
        assert "churn" not in dict(configured(found).image.env).values()
        assert found.env_file == ".env"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://mlops-mlflow-1:5000/api", True),
        ("postgresql+psycopg2://ml:secret@warehouse/db", True),
        ("https://data.example.com/x.csv", False),
        ("s3://bucket/x.csv", False),
        ("file://data/x.csv", False),
    ],
)
def test_a_name_without_a_dot_is_of_ones_own_network(address: str, told: bool) -> None:
    found = reasons(proposal(asking(f"print({address!r})")))
    assert bool(found) == told
    assert not told or "a name of your own network that no version knows" in found[0]
    assert "secret" not in str(found)
