"""What `harness init` proposes for tests on the image and the values of production."""

from __future__ import annotations

import tomllib

from harness.init.proposal import propose
from harness.init.reading.image.production import values_file
from harness.init.reading.repository_files import RepositoryFiles
from harness.init.written import text_of
from harness.project.configuration import parse

DAG = """
from airflow.sdk import dag, task
@dag
def a():
    @task
    def t():
        return {"x": 1.0}
    t()
a()
"""
VALUES = (
    "executor: KubernetesExecutor\nairflowVersion: 3.2.2\nworkers: {replicas: 1}\nconfig: {core: {a: b}}\n"
)
FILES = {
    "dags/a.py": DAG,
    "requirements.txt": "pandas\n",
    "docker/Dockerfile": "FROM apache/airflow:3.2.2\nCOPY requirements.txt /\nRUN pip install -r /requirements.txt\n",
    "deploy/values.yaml": VALUES,
}


def files(more: dict[str, str]) -> RepositoryFiles:
    return RepositoryFiles.given(FILES | more)


def test_values_and_dockerfile_are_proposed() -> None:
    proposal = propose(files({}))
    assert tomllib.loads(text_of(proposal))["airflow"] == {"values": "deploy/values.yaml"}
    (finding,) = [each for each in proposal.findings if each.about == "your own image"]
    assert finding.add == 'dockerfile = "docker/Dockerfile"\nas_is = true'
    added = parse(f"[image]\n{finding.add}\n", origin="harness.toml")
    assert added is not None
    assert added.image.dockerfile == "docker/Dockerfile"


def test_the_context_is_where_the_dockerfile_copies_from() -> None:
    moved = {name: text for name, text in FILES.items() if name != "requirements.txt"}
    found = propose(RepositoryFiles.given(moved | {"docker/requirements.txt": "pandas\n"})).findings
    assert any('context = "docker"' in each.add for each in found)


def test_production_counts_before_other_places() -> None:
    assert values_file(files({"deploy/values-production.yaml": VALUES})) == "deploy/values-production.yaml"


def test_other_charts_values_are_none() -> None:
    other = RepositoryFiles.given(
        {"values.yaml": "image: {tag: 1}\nworkers: 3\nexecutor: x\ndags: 1\nreplicaCount: 1\n"}
    )
    assert values_file(other) == ""
    assert values_file(RepositoryFiles.given({"values.yaml": "{{ broken"})) == ""


def test_an_older_image_is_not_proposed() -> None:
    older = files({"docker/Dockerfile": "FROM apache/airflow:2.10.4\n"})
    assert [each for each in propose(older).findings if each.about == "your own image"] == []
