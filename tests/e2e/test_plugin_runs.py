"""The pytest plugin in a scratch repository: three tests by two workers, and those of harness.toml as items."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
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
WAITS = """\
import pytest


@pytest.mark.parametrize("day", [1, 2])
def test_one_that_takes_its_time(harness_run, day):
    harness_run("waits", logical_date=f"2026-01-0{day}T00:00:00Z")
"""
FAILS = """\
from airflow.sdk import dag, task


@dag(dag_id="fails", schedule=None)
def fails():
    @task
    def breaks():
        raise ValueError("no such model")

    breaks()


@dag(dag_id="waits", schedule=None)
def waits():
    @task
    def wait():
        import time

        time.sleep(300)

    wait()


fails()
waits()
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> scratch.Scratch:
    made = scratch.tiny(tmp_path_factory.mktemp("plugin") / "tiny")
    made.write("dags/fails.py", FAILS)
    made.write("tests/test_model.py", TESTS)
    made.write("waiting/test_waits.py", WAITS)
    return made


PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
CLEARED = {"PYTEST_ADDOPTS": "", "PYTEST_XDIST_WORKER": "", "PYTEST_XDIST_TESTRUNUID": "", "CI": "true"}


def pytest_of(root: Path, cluster: Cluster, *arguments: str) -> process.Completed:
    env = {**CLEARED, "HARNESS_CLUSTER": cluster.harness.cluster}
    return process.run([*PYTEST, *arguments], cwd=root, env=env, check=False, timeout_s=600)


def at_work(root: Path, cluster: Cluster) -> set[str]:
    """The namespaces of the repository's versions in which a task runs."""
    listed = json.loads(cluster.harness(root, "status", "--json").stdout)["versions"]
    selector = ["--selector", "kubernetes_executor=True", "--output", "jsonpath={.items[*].status.phase}"]
    return {
        version["namespace"]
        for version in listed
        if version["namespace"].startswith(f"{root.name}-")
        and "Running" in cluster.kind.kubectl("get", "pods", "--namespace", version["namespace"], *selector)
    }


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
    assert re.search(r"1 passed, 5 deselected", done.stdout)


def test_ctrl_c_leaves_nothing(repository: scratch.Scratch, cluster: Cluster) -> None:
    """As a terminal does it: to all of the group, while each of two workers waits for its version's run."""
    env = {**CLEARED, "HARNESS_CLUSTER": cluster.harness.cluster}
    argv = (*PYTEST, "-n", "2", "waiting")
    running = process.spawn(argv, stdin=False, env=env, cwd=repository.root, merge=True)
    until = time.monotonic() + 300
    while len(versions := at_work(repository.root, cluster)) < 2:
        assert running.poll() is None
        assert time.monotonic() < until
        time.sleep(1.0)
    os.killpg(running.pid, signal.SIGINT)
    output, _ = running.communicate(timeout=240)
    assert running.returncode == pytest.ExitCode.INTERRUPTED, output
    assert [cluster.left_of_version(name) for name in versions] == [set(), set()]
