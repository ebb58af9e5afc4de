"""The Airflows that teams have: a lock as of each one's release, a mapped DAG, a chain, and a task that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scratch
from conftest import Cluster

from harness.engine.testing.plan import Request
from harness.progress import Silent
from harness.pytest_plugin.open_version import OpenVersion, open_version
from harness.pytest_plugin.runs import Run

OLDEST = "3.0.6"
OTHERS = ("3.1.8", "3.2.2", "3.4.0b2")
TOML = """\
[image]
requirements = "requirements.txt"
"""
DAG = """\
from airflow.sdk import Asset, dag, task

SCORES = Asset("scores")


@dag(dag_id="mapped", schedule=None)
def mapped():
    @task
    def parts():
        return [1, 2, 3]

    @task
    def score(part):
        return part * 2.0

    @task(outlets=[SCORES])
    def evaluate(scores):
        import airflow
        import docopt  # which has no wheel

        return {"total": sum(scores), "docopt": bool(docopt.__version__), "airflow": airflow.__version__}

    evaluate(score.expand(part=parts()))


@dag(dag_id="follows", schedule=[SCORES])
def follows():
    @task
    def report():
        return 1

    report()


@dag(dag_id="broken", schedule=None)
def broken():
    @task
    def fails():
        raise ValueError("the sky fell")

    fails()


mapped()
follows()
broken()
"""


@pytest.fixture(
    params=[OLDEST, *(pytest.param(each, marks=pytest.mark.slow) for each in OTHERS)],
)
def airflow(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def airflow_version(cluster: Cluster, airflow: str, tmp_path: Path) -> Iterator[OpenVersion]:
    """The team's commit; a receipt that fails is raised in the end."""
    team = scratch.empty(tmp_path / "minors")
    team.write("harness.toml", TOML)
    team.write("requirements.txt", f"apache-airflow=={airflow}\ndocopt\n")
    team.write("dags/minors.py", DAG)
    team.commit("a team")
    request = Request(refs=("HEAD",), keep="never", cluster=cluster.harness.cluster, stand_by=False)
    with open_version(team.root, request, Silent()) as version:
        yield version


def test_a_mapped_dag_what_follows_it_and_a_failure(harness_run: Callable[..., Run], airflow: str) -> None:
    run = harness_run("mapped", metrics="evaluate")
    assert run.metrics == {"total": 12, "docopt": 1}
    assert [(child.dag_id, child.state) for child in run.result.children] == [("follows", "success")]
    assert run.xcom("evaluate")["airflow"] == airflow
    failed = harness_run("broken", check=False)
    assert failed.cause is not None
    assert (failed.cause.code, failed.state) == ("task_failed", "failed")
    assert "ValueError: the sky fell" in failed.cause.message
    assert "the sky fell" in failed.logs("fails")
