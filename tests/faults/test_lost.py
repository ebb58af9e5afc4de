"""What a run depends on is killed or deleted while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import scratch
from command import loaded, only_version

from .broken.case import HEAD, Broken, repository
from .conftest import Cluster, official_client
from .running import Running, running_pod

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


@dataclass(frozen=True)
class Loss:
    """What is lost while the first task of a DAG runs in `pod`."""

    dag: str
    lose: Callable[[Cluster, Any], None]


@dataclass(frozen=True)
class Ended:
    """A command that lost something: its exit code, what it printed, and its one test."""

    pod: str
    code: int
    said: str
    test: dict[str, Any]


def kill_each_process(cluster: Cluster, pod: Any) -> None:
    plane = control_plane(cluster, pod)
    children = cluster.run_in(plane, CHILDREN).split()
    assert len(children) >= 4, children
    for child in children:
        cluster.run_in(plane, f"kill -9 {child}")
        time.sleep(2.0)


def delete_the_control_plane(cluster: Cluster, pod: Any) -> None:
    plane = control_plane(cluster, pod)
    cluster.api.delete_namespaced_pod(plane.metadata.name, plane.metadata.namespace, grace_period_seconds=0)


def delete_the_task(cluster: Cluster, pod: Any) -> None:
    cluster.api.delete_namespaced_pod(pod.metadata.name, pod.metadata.namespace)


def delete_postgresql(cluster: Cluster, _: Any) -> None:
    (server,) = cluster.pods("harness-system", "app.kubernetes.io/name=postgres")
    cluster.api.delete_namespaced_pod(server.metadata.name, "harness-system", grace_period_seconds=0)


LOSSES = {
    "retried": Loss("retried", delete_the_task),
    "plane": Loss("steady", delete_the_control_plane),
    "processes": Loss("steady", kill_each_process),
    "task": Loss("steady", delete_the_task),
}


def started(cluster: Cluster, repository: scratch.Scratch, name: str, result: Path) -> Running:
    arguments = ("test", name, "--keep", "never", "--json", result, "--name", cluster.name)
    return Running(repository.root, arguments)


def run(cluster: Cluster, root: Path, loss: Loss) -> Ended:
    """Test in a repository of this name, and lose what is to be lost once its first task runs."""
    made, result = repository(root, CASES), root.parent / "result.json"
    # The official client can't be shared by threads: while a shell runs in a pod it is that shell's.
    own = replace(cluster, api=official_client(cluster.name))
    with started(cluster, made, loss.dag, result) as running:
        pod = running_pod(own, root.name)
        loss.lose(own, pod)
        code, said = running.end()
    (test,) = only_version(loaded(result))["tests"]
    return Ended(pod.metadata.name, code, said, test)


@pytest.fixture(scope="module")
def runs(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Ended]]]:
    """All of them, each in a version of its own; three at a time, as they mostly wait."""
    with ThreadPoolExecutor(3) as pool:
        yield {
            name: pool.submit(run, cluster, tmp_path_factory.mktemp("lost") / f"lost-{name}", loss)
            for name, loss in LOSSES.items()
        }


def passed(ended: Ended) -> None:
    assert ended.code == 0, ended.said
    assert ended.test["verdict"] == "passed"
    assert ended.test["metrics"]["accuracy"]["value"] == 0.9


def test_each_airflow_process_killed(runs: dict[str, Future[Ended]]) -> None:
    passed(runs["processes"].result())


def test_the_control_planes_pod_deleted(runs: dict[str, Future[Ended]]) -> None:
    passed(runs["plane"].result())


def test_a_tasks_pod_deleted_is_survived_where_the_task_retries(runs: dict[str, Future[Ended]]) -> None:
    passed(runs["retried"].result())


def test_a_tasks_pod_deleted_is_the_environments_fault(runs: dict[str, Future[Ended]]) -> None:
    ended = runs["task"].result()
    assert ended.code == 4, ended.said
    assert ended.test["cause"]["code"] == "pod_deleted", ended.test["cause"]
    assert ended.pod in ended.test["cause"]["message"]


def test_postgresqls_pod_deleted(disposable: Cluster, runs: dict[str, Future[Ended]], tmp_path: Path) -> None:
    wait(runs.values())  # it is theirs too
    passed(run(disposable, tmp_path / "lost-database", Loss("steady", delete_postgresql)))


def control_plane(cluster: Cluster, pod: Any) -> Any:
    """The pod of the Airflow that started a task's pod."""
    (plane,) = cluster.pods(pod.metadata.namespace, "app.kubernetes.io/component=control-plane")
    return plane
