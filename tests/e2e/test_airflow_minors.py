"""The Airflows that teams have: a lock as of each one's release, a mapped DAG with metrics, and a task that fails."""

from __future__ import annotations

from pathlib import Path

import pytest
import scratch
from command import loaded, only_version
from conftest import Cluster

OLDEST = "3.0.6"
OTHERS = ("3.1.8", "3.2.2", "3.4.0b2")
TOML = """\
[image]
requirements = "requirements.txt"
[tests.mapped]
dag = "mapped"
metrics = { task = "evaluate" }
gates.total = { min = 12 }
[tests.broken]
dag = "broken"
"""
DAG = """\
from airflow.sdk import dag, task


@dag(dag_id="mapped", schedule=None)
def mapped():
    @task
    def parts():
        return [1, 2, 3]

    @task
    def score(part):
        return part * 2.0

    @task
    def evaluate(scores):
        import docopt  # which has no wheel

        return {"total": sum(scores), "docopt": bool(docopt.__version__)}

    evaluate(score.expand(part=parts()))


@dag(dag_id="broken", schedule=None)
def broken():
    @task
    def fails():
        raise ValueError("the sky fell")

    fails()


mapped()
broken()
"""


@pytest.mark.parametrize(
    "airflow", [OLDEST, *(pytest.param(each, marks=pytest.mark.slow) for each in OTHERS)]
)
def test_a_mapped_dag_and_a_failure(cluster: Cluster, tmp_path: Path, airflow: str) -> None:
    team = scratch.empty(tmp_path / "minors")
    team.write("harness.toml", TOML)
    team.write("requirements.txt", f"apache-airflow=={airflow}\ndocopt\n")
    team.write("dags/minors.py", DAG)
    team.commit("a team")
    ran = cluster.harness.watch(
        team.root, "test", "--ref", "HEAD", "--keep", "never", "--json", tmp_path / "result"
    )
    assert ran.exit_code == 1, ran.text
    version = only_version(loaded(tmp_path / "result"))
    assert version["image"]["lock"]["airflow"] == airflow
    assert version["image"]["built_from_source"] == ["docopt"]
    tests = {test["name"]: test for test in version["tests"]}
    assert tests["mapped"]["verdict"] == "passed"
    assert {name: metric["value"] for name, metric in tests["mapped"]["metrics"].items()} == {
        "total": 12,
        "docopt": 1,
    }
    assert tests["broken"]["cause"]["code"] == "task_failed"
    assert "ValueError: the sky fell" in tests["broken"]["cause"]["message"]
    assert [check for check in version["receipt"]["checks"] if check["verdict"] == "failed"] == []
