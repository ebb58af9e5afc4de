"""The pytest plugin in a scratch repository: three tests by two workers, and those of harness.toml as items."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
import scratch
from conftest import Cluster

from harness.host import process

TESTS = """\
import pytest


def test_the_model_is_good(harness_run):
    run = harness_run("tiny", metrics="evaluate")
    assert run.metrics["accuracy"] > 0.8
    assert run.tasks["evaluate"].state == run.state == "success"
    assert run.xcom("evaluate") == {"accuracy": 0.83}
    assert "the model is asked" in run.logs("evaluate")


@pytest.mark.harness(dag="fails", timeout="3m")
def test_one_that_fails(harness_run):
    harness_run()


def test_two_runs_of_one_version(harness_run, harness_cluster):
    first, second = (harness_run("tiny", metrics="evaluate", logical_date=day) for day in DAYS)
    assert first.run_id != second.run_id
    assert harness_cluster.kubectl("get", "nodes")


DAYS = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
"""
FAILS = """\
from airflow.sdk import dag, task


@dag(dag_id="fails", schedule=None)
def fails():
    @task
    def breaks():
        raise ValueError("no such model")

    breaks()


fails()
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> scratch.Scratch:
    made = scratch.tiny(tmp_path_factory.mktemp("plugin") / "tiny")
    made.write("dags/fails.py", FAILS)
    made.write("tests/test_model.py", TESTS)
    return made


def pytest_of(root: Path, cluster: Cluster, *arguments: str) -> process.Completed:
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    cleared = {"PYTEST_ADDOPTS": "", "PYTEST_XDIST_WORKER": "", "PYTEST_XDIST_TESTRUNUID": "", "CI": "true"}
    env = {**cleared, "HARNESS_CLUSTER": cluster.harness.cluster, "PATH": os.environ["PATH"]}
    return process.run(argv, cwd=root, env=env, check=False, timeout_s=600)


def test_three_tests_by_two_workers(repository: scratch.Scratch, cluster: Cluster) -> None:
    done = pytest_of(repository.root, cluster, "-n", "2", "tests")
    assert re.search(r"1 failed, 2 passed", done.stdout), done.stdout + done.stderr
    assert "harness: DAG run" in done.stdout
    assert re.search(r"cause: task breaks failed at dags/fails\.py:8.*ValueError: no such model", done.stdout)
    assert "harness/engine" not in done.stdout  # no frames of ours in what a user reads
    assert cluster.kind.kubectl("get", "nodes")  # it was there, so it stays


def test_those_of_the_configuration_are_items(repository: scratch.Scratch, cluster: Cluster) -> None:
    done = pytest_of(repository.root, cluster, "--harness", "-k", "tiny", "-v")
    assert re.search(r"harness\.toml::tiny PASSED", done.stdout), done.stdout + done.stderr
    assert re.search(r"1 passed, 3 deselected", done.stdout)
