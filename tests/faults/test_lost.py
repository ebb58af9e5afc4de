"""What a run depends on is killed or deleted while it runs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import scratch
from command import loaded, only_version
from kubernetes.stream import stream

from .broken import HEAD, Broken, repository
from .conftest import Cluster
from .running import Running, container_runs, eventually

STEADY = f"""{HEAD}

@dag(schedule=None)
def steady():
    @task
    def wait():
        import time

        time.sleep(25)

    @task
    def work():
        return {{"accuracy": 0.9}}

    wait() >> work()


steady()
"""
RETRIED = (
    STEADY.replace("def steady", "def retried")
    .replace("steady()", "retried()")
    .replace("@task\n    def wait", "@task(retries=1, retry_delay=1)\n    def wait")
)
METRICS = 'metrics = { task = "work" }'
CASES = (
    Broken("steady", STEADY, None, toml=METRICS),
    Broken("retried", RETRIED, None, toml=METRICS),
)
CHILDREN = (
    "for s in /proc/[0-9]*/stat; do [ \"$(sed 's/(.*)/x/' $s | cut -d' ' -f4)\" = 1 ] && "
    "echo $(echo $s | cut -d/ -f3); done"
)


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> scratch.Scratch:
    return repository(tmp_path_factory.mktemp("lost") / "lost", CASES)


def started(cluster: Cluster, repository: scratch.Scratch, name: str, result: Path) -> Running:
    arguments = ("test", name, "--keep", "never", "--json", result, "--name", cluster.name)
    return Running(repository.root, arguments)


def waiting_pod(cluster: Cluster, before: set[str]) -> Any:
    """The first task's pod of the version that came after `before`, once it runs."""

    def look() -> Any:
        for namespace in set(cluster.versions()) - before:
            for pod in cluster.pods(namespace, "kubernetes_executor=True"):
                if container_runs(pod):
                    return pod
        return None

    return eventually(look, what="a task's pod runs")


def passed(result: Path, code: int, said: str) -> None:
    assert code == 0, said
    (test,) = only_version(loaded(result))["tests"]
    assert test["verdict"] == "passed"
    assert test["metrics"]["accuracy"]["value"] == 0.9


def test_each_airflow_process_killed(cluster: Cluster, steady: scratch.Scratch, result: Path) -> None:
    before = set(cluster.versions())
    with started(cluster, steady, "steady", result) as running:
        pod = waiting_pod(cluster, before)
        (plane,) = cluster.pods(pod.metadata.namespace, "app.kubernetes.io/component=control-plane")
        shell = (plane.metadata.name, pod.metadata.namespace)
        children = run_in(cluster, *shell, CHILDREN).split()
        assert len(children) >= 4, children
        for child in children:
            run_in(cluster, *shell, f"kill -9 {child}")
            time.sleep(2.0)
        passed(result, *running.end())


def test_the_control_planes_pod_deleted(cluster: Cluster, steady: scratch.Scratch, result: Path) -> None:
    before = set(cluster.versions())
    with started(cluster, steady, "steady", result) as running:
        namespace = waiting_pod(cluster, before).metadata.namespace
        (plane,) = cluster.pods(namespace, "app.kubernetes.io/component=control-plane")
        cluster.api.delete_namespaced_pod(plane.metadata.name, namespace, grace_period_seconds=0)
        passed(result, *running.end())


def test_postgresqls_pod_deleted(disposable: Cluster, steady: scratch.Scratch, result: Path) -> None:
    before = set(disposable.versions())
    with started(disposable, steady, "steady", result) as running:
        waiting_pod(disposable, before)
        (server,) = disposable.pods("harness-system", "app.kubernetes.io/name=postgres")
        disposable.api.delete_namespaced_pod(server.metadata.name, "harness-system", grace_period_seconds=0)
        passed(result, *running.end())


def test_a_tasks_pod_deleted_is_the_environments_fault(
    cluster: Cluster, steady: scratch.Scratch, result: Path
) -> None:
    before = set(cluster.versions())
    with started(cluster, steady, "steady", result) as running:
        pod = waiting_pod(cluster, before)
        cluster.api.delete_namespaced_pod(pod.metadata.name, pod.metadata.namespace)
        code, said = running.end()
    assert code == 4, said
    cause = json.loads(result.read_text())["versions"][0]["tests"][0]["cause"]
    assert cause["code"] == "pod_deleted", cause
    assert pod.metadata.name in cause["message"]


def test_a_tasks_pod_deleted_is_survived_where_the_task_retries(
    cluster: Cluster, steady: scratch.Scratch, result: Path
) -> None:
    before = set(cluster.versions())
    with started(cluster, steady, "retried", result) as running:
        pod = waiting_pod(cluster, before)
        cluster.api.delete_namespaced_pod(pod.metadata.name, pod.metadata.namespace)
        passed(result, *running.end())


def run_in(cluster: Cluster, pod: str, namespace: str, script: str) -> str:
    """What a shell in a pod prints."""
    return str(
        stream(
            cluster.api.connect_get_namespaced_pod_exec, pod, namespace, command=["sh", "-c", script],
            stdout=True, stderr=True, stdin=False, tty=False,
        )
    )  # fmt: skip
