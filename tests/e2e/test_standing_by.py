"""A control plane that stands by becomes one version; a version that is kept rests, and wakes for a DAG run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import scratch
from command import explained, loaded, only_version
from conftest import Cluster
from scratch import Checkout, Scratch

from harness.airflow.pods.watch import ClusterPods
from harness.airflow.rest.api import AirflowApi
from harness.airflow.run.following import follow
from harness.cluster.api import KubernetesApi
from harness.cluster.services.helm import chart
from harness.host import process

REST_DEADLINE_S = 120.0


def standing_by(cluster: Cluster, project: str) -> list[str]:
    selector = f"harness.local/role=standby,harness.local/project={project}"
    listed = cluster.kind.kubectl("get", "namespaces", "--selector", selector, "--output", "json")
    return [item["metadata"]["name"] for item in json.loads(listed)["items"]]


def control_plane(cluster: Cluster, namespace: str) -> dict[str, Any]:
    selector = "app.kubernetes.io/component=control-plane"
    listed = cluster.kind.kubectl(
        "get", "pods", "--namespace", namespace, "--selector", selector, "--output", "json"
    )
    (pod,) = json.loads(listed)["items"]
    return dict(pod)


PROGRAMS = """
import pathlib, os
for path in pathlib.Path("/proc").iterdir():
    if path.name.isdigit() and int(path.name) != os.getpid():
        print((path / "stat").read_text())
"""


STOP_THE_LAST_STARTED = """
import os, pathlib, signal
stats = [(path / "stat").read_text() for path in pathlib.Path("/proc").iterdir() if path.name.isdigit()]
components = [int(stat.split()[0]) for stat in stats if " (python) " in stat and stat.split()[3] == "1"]
os.kill(max(components), signal.SIGSTOP)
"""


def programs(cluster: Cluster, namespace: str) -> list[str]:
    """The control plane's processes, as the kernel tells of each."""
    return [line[:80] for line in inside(cluster, namespace, PROGRAMS).splitlines() if line.strip()]


def inside(cluster: Cluster, namespace: str, code: str) -> str:
    """What Python code prints that runs in the control plane's container."""
    pod = control_plane(cluster, namespace)["metadata"]["name"]
    return str(cluster.kind.kubectl("exec", "--namespace", namespace, pod, "--", "python", "-c", code))


@pytest.fixture(scope="module")
def repository(tiny: Scratch) -> Iterator[Scratch]:
    """The DAG of one task, and in the working tree another one that reads what its image and its secrets set."""
    tiny.write("dags/reads_settings.py", scratch.SETTINGS_DAG)
    tiny.write("harness.toml", scratch.TINY_TOML.format(minimum=0.7) + scratch.SETTINGS_TOML)
    with pytest.MonkeyPatch.context() as patch:
        scratch.plant_secrets(tiny, patch)
        yield tiny


@pytest.fixture(scope="module")
def taken(cluster: Cluster, repository: Scratch, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The version that a test made of the control plane that stood by, and that control plane before."""
    made = cluster.harness(repository.root, "up")
    assert made.returncode == 0, explained(made)
    (namespace,) = standing_by(cluster, "tiny")
    before = control_plane(cluster, namespace)["metadata"]["uid"]
    file, checkout = tmp_path_factory.mktemp("standby") / "result.json", Checkout.of(repository)
    command = cluster.harness(repository.root, "test", "--keep", "always", "--json", file)
    assert command.returncode == 0, explained(command)
    assert "which stood by" in command.stderr
    assert Checkout.of(repository) == checkout
    return {"namespace": namespace, "uid": before, "version": only_version(loaded(file))}


def test_the_version_is_what_stood_by(cluster: Cluster, taken: dict[str, Any]) -> None:
    assert taken["version"]["namespace"] == taken["namespace"]
    pod = control_plane(cluster, taken["namespace"])
    assert pod["metadata"]["uid"] == taken["uid"]
    assert pod["metadata"]["labels"]["harness.local/commit"] == taken["version"]["commit"][:40]


def test_its_tasks_ran_the_commits_image(taken: dict[str, Any]) -> None:
    image, tests = taken["version"]["image"], taken["version"]["tests"]
    ran = {task["image_digest"] for test in tests for task in test["tasks"] if task["pod"]}
    assert ran
    assert ran <= {image["digest"], image["config_digest"]}


def test_what_is_not_committed_is_what_ran(repository: Scratch, taken: dict[str, Any]) -> None:
    version = taken["version"]
    tests = {test["name"]: test for test in version["tests"]}
    assert tests["tiny"]["metrics"]["accuracy"]["value"] == 0.83
    assert version["commit"] == repository.git("rev-parse", "HEAD")
    assert version["image"]["name"].endswith(f":{version['commit'][:12]}-dirty-{version['dirty']}")


def test_variables_and_connections_are_handed_over(taken: dict[str, Any]) -> None:
    (test,) = [each for each in taken["version"]["tests"] if each["name"] == "settings"]
    assert test["verdict"] == "passed", test["cause"]


def test_the_api_knows_all_that_the_chart_says(
    cluster: Cluster, taken: dict[str, Any], tmp_path: Path
) -> None:
    # `harness test` spares itself Helm's check against the API's description: here it is made.
    where = ["--namespace", taken["namespace"], "--kubeconfig", cluster.kubeconfig]
    values = process.run([cluster.helm, "get", "values", "airflow", "--output", "json", *where]).stdout
    file = tmp_path / "values.json"
    file.write_text(values, encoding="utf-8")
    upgrade = [cluster.helm, "upgrade", "airflow", chart("airflow"), "--values", file, "--dry-run=server"]
    assert "STATUS: pending-upgrade" in process.run([*upgrade, *where]).stdout


def test_the_next_one_stands_by(cluster: Cluster, taken: dict[str, Any]) -> None:
    assert standing_by(cluster, "tiny") not in ([], [taken["namespace"]])


def test_a_kept_version_rests_and_wakes_for_a_run(
    cluster: Cluster, tiny: Scratch, taken: dict[str, Any], tmp_path: Path
) -> None:
    namespace = taken["namespace"]
    inside(cluster, namespace, STOP_THE_LAST_STARTED)  # it will not heed that it may end
    until = time.monotonic() + REST_DEADLINE_S
    while len(running := programs(cluster, namespace)) > 2:  # the program itself and the api-server
        assert time.monotonic() < until, f"these still run: {running}"
        time.sleep(1.0)
    printed = cluster.harness(tiny.root, "ui", namespace, "--json")
    access = json.loads(printed.stdout)
    host = access["url"].removeprefix("http://")
    port = host.rpartition(":")[2]
    opened = AirflowApi(f"http://127.0.0.1:{port}", host, access["username"], access["password"])
    with closing(opened) as airflow:
        airflow.trigger("tiny", {}, None, "by-hand")
        pods = ClusterPods(KubernetesApi(cluster.kubeconfig), namespace, cluster.kind.name)
        outcome = follow(airflow, pods, "tiny", "by-hand", timeout_s=180)
    assert outcome.succeeded, outcome.error
    removed = cluster.harness(tiny.root, "down", namespace)
    assert removed.returncode == 0, explained(removed)
    assert cluster.left_of_version(namespace) == set()
