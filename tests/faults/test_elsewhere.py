"""A cluster of three nodes elsewhere: not made by harness, without its Docker, behind a registry and with few rights.

One cluster for all tests, in their order: each goes on with what the ones before it left.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import remains
import scratch
import three_nodes
import yaml
from command import ENVIRONMENT, PROGRAM, explained, loaded
from docker_registry import PASSWORD
from kubernetes import client
from kubernetes.stream import stream
from three_nodes import ThreeNodes

from harness.cluster import place
from harness.cluster.kind import kind
from harness.cluster.kind.node_image.program import built
from harness.host import process

from .conftest import Cluster
from .helpers import Watcher
from .running import Running, eventually

pytestmark = pytest.mark.slow
NAME = "harness-elsewhere"
DEADLINE_S = 1200.0
NOWHERE = "tcp://127.0.0.1:9"  # where no Docker is
DAG = """\
import socket
from pathlib import Path

from airflow.sdk import dag, task

from spread_model import accuracy


@dag(dag_id="spread", schedule=None)
def spread():
    @task
    def work(number):
        import time

        time.sleep(25)
        return number

    @task
    def evaluate(numbers):
        return {"accuracy": accuracy(), "sum": sum(numbers)}

    evaluate(work.expand(number=[1, 2, 3, 4]))


spread()
"""
TOML = """\
[tests.spread]
dag = "spread"
timeout = "8m"
metrics = { task = "evaluate" }
gates.accuracy = { min = 0.5 }
"""


@dataclass(frozen=True)
class Elsewhere:
    """The program for the cluster: a repository, and the environment of somebody with a service account's login."""

    cluster: ThreeNodes
    repository: scratch.Scratch
    environ: dict[str, str]
    folder: Path

    def argv(self, *arguments: str | Path) -> list[str | Path]:
        return [PROGRAM, *arguments, "--context", self.cluster.context]

    def __call__(self, *arguments: str | Path) -> process.Completed:
        cwd = self.repository.root
        return process.run(
            self.argv(*arguments), cwd=cwd, env=self.environ, check=False, timeout_s=DEADLINE_S
        )

    def running(self, *arguments: str | Path) -> Running:
        return Running(self.repository.root, (*arguments, "--context", self.cluster.context), self.environ)

    def tested(self, *arguments: str) -> dict[str, Any]:
        """The result of a test that passed."""
        file = self.folder / "result.json"
        done = self("test", "--json", file, *arguments)
        assert done.returncode == 0, explained(done)
        return loaded(file)

    def one_line(self, accuracy: float) -> None:
        self.repository.write("dags/spread_model.py", scratch.tiny_model(accuracy))
        self.repository.commit(f"accuracy {accuracy}")

    def pods(self, namespace: str) -> list[Any]:
        selector = "app.kubernetes.io/component=worker"
        return list(self.cluster.api.list_namespaced_pod(namespace, label_selector=selector).items)

    def objects(self) -> set[str]:
        """All that could be left: namespaces, volumes, cluster roles and their bindings."""
        api = self.cluster.api
        rbac = client.RbacAuthorizationV1Api(api.api_client)
        found = {f"namespace {each.metadata.name}" for each in api.list_namespace().items}
        found |= {f"volume {each.metadata.name}" for each in api.list_persistent_volume().items}
        found |= {f"role {each.metadata.name}" for each in rbac.list_cluster_role().items}
        found |= {f"binding {each.metadata.name}" for each in rbac.list_cluster_role_binding().items}
        return found


@pytest.fixture(scope="module")
def cluster_elsewhere(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreeNodes]:
    """Three nodes; the tests' own cluster only tells the node's image, and that its programs are there."""
    node, tools = kind.node_container(cluster.name), built()
    assert node is not None
    assert tools is not None
    before = remains.docker_objects(NAME)
    with three_nodes.serving(NAME, node.image, tools.kind, tmp_path_factory.mktemp("three")) as made:
        made.api.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name="theirs")))
        precious = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="precious"), data={"a": "b"})
        made.api.create_namespaced_config_map("theirs", precious)
        yield made
    assert remains.left_on_docker(NAME, before) == []


@pytest.fixture(scope="module")
def elsewhere(cluster_elsewhere: ThreeNodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """Somebody who is allowed the context, logs in by a plugin as a service account, and has no rights yet."""
    folder, cluster = tmp_path_factory.mktemp("elsewhere"), cluster_elsewhere
    repository = scratch.empty(folder / "repository")
    (repository.root / "dags").mkdir()
    shutil.copy(scratch.CHECKOUT / "dags" / "requirements.lock", repository.root / "dags")
    repository.write("harness.toml", TOML)
    repository.write("dags/spread.py", DAG)
    repository.write("dags/spread_model.py", scratch.tiny_model(0.7))
    repository.commit("a model")
    (folder / "allowed").mkdir()
    (folder / "allowed" / "contexts.toml").write_text(
        f'[contexts.{cluster.context}]\nserver = "{cluster.server}"\nstorage_class = "{three_nodes.SHARED}"\n'
        f'access_mode = "ReadWriteMany"\n[registry]\nurl = "{cluster.registry.host}/ml"\n'
        f'ca = "{cluster.registry.authority}"\n'
    )
    environ = {
        **ENVIRONMENT, "CI": "", "DOCKER_HOST": NOWHERE, "KUBECONFIG": str(_by_plugin(cluster, folder)),
        "HARNESS_CONFIG_DIR": str(folder / "allowed"), "HARNESS_SOURCES": "packages",
        "DOCKER_CONFIG": str(cluster.registry.log_in(folder / "docker")),
    }  # fmt: skip
    yield Elsewhere(cluster, repository, environ, folder)
    place.remove_state(f"@{cluster.context}")


def _by_plugin(cluster: ThreeNodes, folder: Path) -> Path:
    """A kubeconfig whose login is that of a service account, told by a program."""
    account = client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="harness"))
    cluster.api.create_namespaced_service_account("theirs", account)
    request = {"spec": {"audiences": [], "expirationSeconds": 14400}}
    token = cluster.api.create_namespaced_service_account_token("harness", "theirs", request).status.token
    version = "client.authentication.k8s.io/v1"
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": {"token": token}}
    (folder / "answer").write_text(json.dumps(answer))
    (folder / "log-in").write_text('#!/bin/sh\ncat "$(dirname "$0")/answer"\n')
    (folder / "log-in").chmod(0o755)
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    plugin = {"apiVersion": version, "command": "./log-in", "interactiveMode": "Never"}
    document["users"] = [{"name": each["name"], "user": {"exec": plugin}} for each in document["users"]]
    (folder / "config").write_text(yaml.safe_dump(document))
    return folder / "config"


def test_too_few_rights_are_told_and_nothing_is_made(elsewhere: Elsewhere) -> None:
    before = elsewhere.objects()
    for command in ("up", "test"):
        done = elsewhere(command)
        assert done.returncode == 3, explained(done)
        assert "namespaces: get, list, create, patch, delete" in done.stderr + done.stdout
    doctor = elsewhere("doctor")
    assert doctor.returncode == 3, explained(doctor)
    assert elsewhere.objects() == before


def test_the_role_that_is_printed_is_enough(elsewhere: Elsewhere) -> None:
    printed = elsewhere("doctor", "--rbac")
    assert printed.returncode == 0, explained(printed)
    rbac = client.RbacAuthorizationV1Api(elsewhere.cluster.api.api_client)
    role, binding = yaml.safe_load_all(printed.stdout)
    rbac.create_cluster_role(role)
    rbac.create_cluster_role_binding(binding)
    doctor = elsewhere("doctor")
    assert doctor.returncode == 0, explained(doctor)
    made = elsewhere("up")
    assert made.returncode == 0, explained(made)


def test_a_run_on_two_nodes(elsewhere: Elsewhere, cluster: Cluster) -> None:
    """With the digest that a kind node gets, and a password of the registry that is seen nowhere."""
    file = elsewhere.folder / "first.json"
    running = elsewhere.running("test", "--keep", "always", "--json", file)
    with running, Watcher(running.process.pid) as watcher:
        code, said = running.end()
    assert code == 0, said
    (version,) = loaded(elsewhere.folder / "first.json")["versions"]
    nodes = {each.spec.node_name for each in elsewhere.pods(version["namespace"])}
    assert len(nodes) >= 2, nodes
    digests = {task["image_digest"] for task in version["tests"][0]["tasks"]}
    assert digests == {version["image"]["digest"]}
    assert not any(PASSWORD in words for words in watcher.seen)
    assert not any(words.startswith("docker\0") and "version" not in words for words in watcher.seen)
    state = place.state_folder(f"@{elsewhere.cluster.context}")
    for path in (*state.rglob("*"), elsewhere.folder / "first.json"):
        if path.is_file():
            assert PASSWORD not in path.read_text(errors="replace"), path
    on_kind = elsewhere.folder / "kind.json"
    assert cluster.harness(elsewhere.repository.root, "test", "--json", on_kind).returncode == 0
    (same,) = loaded(on_kind)["versions"]
    assert same["image"]["digest"] == version["image"]["digest"]
    assert same["tests"][0]["metrics"] == version["tests"][0]["metrics"]


def test_a_line_of_code_is_pushed_in_kilobytes(elsewhere: Elsewhere) -> None:
    elsewhere.one_line(0.71)
    (version,) = elsewhere.tested()["versions"]
    assert 0 < version["load_bytes"] < 100_000


def test_status_of_somebody_elses_machine(elsewhere: Elsewhere) -> None:
    """Who has another state folder sees the same versions; what it keeps is gone with `down`'s folder."""
    other = replace(
        elsewhere, environ={**elsewhere.environ, "HARNESS_STATE_DIR": str(elsewhere.folder / "other")}
    )
    mine, theirs = elsewhere("status", "--json"), other("status", "--json")
    assert theirs.returncode == 0, explained(theirs)
    names = [re.findall(r'"namespace": "([^"]+)"', each.stdout) for each in (mine, theirs)]
    assert names[0] == names[1] != []


def test_a_comparison(elsewhere: Elsewhere) -> None:
    done = elsewhere("diff", "HEAD~1")
    assert done.returncode == 0, explained(done)
    assert "0.71" in done.stdout


def test_eight_versions_at_once(elsewhere: Elsewhere) -> None:
    for number in range(8):
        elsewhere.one_line((80 + number) / 100)
    refs = [word for number in range(8) for word in ("--ref", f"HEAD~{number}" if number else "HEAD")]
    versions = elsewhere.tested(*refs)["versions"]
    found = sorted(each["tests"][0]["metrics"]["accuracy"]["value"] for each in versions)
    assert found == [0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.87]
    assert {each["receipt"]["verdict"] for each in versions} == {"passed"}


def test_a_registry_away_and_a_port_forward_killed_in_mid_run(elsewhere: Elsewhere) -> None:
    """Both while tasks' pods are made: they wait for it, and the run passes."""
    elsewhere.one_line(0.9)
    registry = elsewhere.cluster.registry
    with elsewhere.running("test", "--json", elsewhere.folder / "away.json") as running:
        eventually(lambda: _forwards() or None, what="a port-forward")
        registry.stop()
        timer = threading.Timer(20, registry.start)
        timer.start()
        for number in _forwards():
            os.kill(number, signal.SIGKILL)
        code, said = running.end()
        timer.join()
    assert code == 0, said


def test_a_node_is_drained_in_mid_run(elsewhere: Elsewhere) -> None:
    """It is survived, or told as what it is."""
    elsewhere.one_line(0.91)
    api = elsewhere.cluster.api
    with elsewhere.running("test", "--json", elsewhere.folder / "drained.json") as running:
        pod = eventually(lambda: _running_task(elsewhere), what="a task's pod", deadline_s=300)
        node = pod.spec.node_name
        api.patch_node(node, {"spec": {"unschedulable": True}})
        for each in api.list_pod_for_all_namespaces(field_selector=f"spec.nodeName={node}").items:
            if each.metadata.namespace not in {"kube-system", "local-path-storage"}:
                about = {"name": each.metadata.name, "namespace": each.metadata.namespace}
                api.create_namespaced_pod_eviction(**about, body={"metadata": about})
        code, said = running.end()
    api.patch_node(node, {"spec": {"unschedulable": False}})
    if code != 0:
        assert code == 4, said
        (version,) = loaded(elsewhere.folder / "drained.json")["versions"]
        causes = [each["cause"]["code"] for each in (version, *version["tests"]) if each["cause"]]
        assert causes
        assert set(causes) <= {"pod_evicted", "pod_deleted", "api_server_lost", "database_failed"}, causes


def test_one_node_for_a_volume_that_one_can_have(elsewhere: Elsewhere) -> None:
    file = elsewhere.folder / "allowed" / "contexts.toml"
    before = file.read_text()
    file.write_text(before.replace("ReadWriteMany", "ReadWriteOnce"))
    try:
        elsewhere.one_line(0.92)
        (version,) = elsewhere.tested("--keep", "always")["versions"]
    finally:
        file.write_text(before)
    assert len({each.spec.node_name for each in elsewhere.pods(version["namespace"])}) == 1
    assert any("kept on one node of 2" in each for each in version["tests"][0]["notes"])


def test_a_server_that_changed_is_refused(elsewhere: Elsewhere) -> None:
    file = elsewhere.folder / "allowed" / "contexts.toml"
    before = file.read_text()
    file.write_text(before.replace(":6443", ":6444"))
    try:
        done = elsewhere("status")
    finally:
        file.write_text(before)
    assert done.returncode == 2, explained(done)


def test_nothing_of_ours_is_left(elsewhere: Elsewhere) -> None:
    gone = elsewhere("down", "--force")
    assert gone.returncode == 0, explained(gone)
    left = [
        each
        for each in elsewhere.objects()
        if each.startswith(("namespace harness", "namespace repository", "namespace spread", "volume"))
    ]
    eventually(lambda: not _volumes(elsewhere) or None, what="no volume")
    assert not [each for each in left if each.startswith("namespace")]
    precious = elsewhere.cluster.api.read_namespaced_config_map("precious", "theirs")
    assert precious.data == {"a": "b"}


def test_a_given_database_server(elsewhere: Elsewhere, theirs: str) -> None:
    """Databases and roles of ours go with `down`; the login is no superuser's, and stands in none of our files."""
    file = elsewhere.folder / "allowed" / "contexts.toml"
    before = file.read_text()
    file.write_text(before.replace("access_mode", 'database_url_env = "TEAM_POSTGRES_URL"\naccess_mode'))
    given = replace(elsewhere, environ={**elsewhere.environ, "TEAM_POSTGRES_URL": theirs})
    try:
        without = elsewhere("up")
        assert without.returncode == 3, explained(without)
        wrong = replace(
            given, environ={**given.environ, "TEAM_POSTGRES_URL": theirs.replace("may-make", "hush-hush")}
        )
        refused = wrong("up")
        assert refused.returncode == 4, explained(refused)
        assert "password authentication failed" in refused.stderr + refused.stdout
        assert "hush-hush" not in refused.stderr + refused.stdout
        made = given("up")
        assert made.returncode == 0, explained(made)
        elsewhere.one_line(0.93)
        (version,) = elsewhere.tested("--keep", "always")["versions"]  # the cluster knows the login now
        assert version["receipt"]["verdict"] == "passed"
        assert "harness" in _databases(elsewhere)
        assert any(each.startswith("v_") for each in _databases(elsewhere))
        gone = elsewhere("down", "--force")
        assert gone.returncode == 0, explained(gone)
        assert _databases(elsewhere) == {"postgres", "theirs"}
    finally:
        file.write_text(before)


@pytest.fixture(scope="module")
def theirs(elsewhere: Elsewhere) -> str:
    """The URL of a server in a pod of theirs, for a role that may make databases and roles; it has one of their own."""
    cluster = elsewhere.cluster
    made = elsewhere("up")
    assert made.returncode == 0, explained(made)
    (ours,) = cluster.api.list_namespaced_pod(
        "harness-system", label_selector="app.kubernetes.io/name=postgres"
    ).items
    login = cluster.api.read_namespaced_secret("registry", "harness-system")
    login.metadata = client.V1ObjectMeta(name="registry")
    cluster.api.create_namespaced_secret("theirs", login)
    cluster.api.create_namespaced_pod("theirs", _server(ours.spec.containers[0].image))
    gone = elsewhere("down", "--force")
    assert gone.returncode == 0, explained(gone)
    address = eventually(lambda: _ready_address(cluster), what="their server", deadline_s=120)
    return f"postgresql://team:may-make@{address}:5432/postgres"


def _server(image: str) -> dict[str, Any]:
    script = """\
PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)"
initdb --pgdata /data/it --username postgres --auth-local trust --auth-host scram-sha-256 --no-sync
echo "host all all all scram-sha-256" >>/data/it/pg_hba.conf
postgres -D /data/it -c listen_addresses='*' -c unix_socket_directories=/tmp &
until psql -h /tmp -U postgres -c "CREATE ROLE team LOGIN PASSWORD 'may-make' CREATEDB CREATEROLE"; do sleep 1; done
psql -h /tmp -U postgres -c "CREATE DATABASE theirs"
wait
"""
    probe = {"exec": {"command": ["psql", "-h", "/tmp", "-U", "postgres", "-c", "SELECT 1", "theirs"]}}
    probe["exec"]["command"][:0] = [
        "sh",
        "-c",
        'PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)" exec "$@"',
        "sh",
    ]
    container = {
        "name": "postgres", "image": image, "command": ["sh", "-ec", script],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}], "readinessProbe": {**probe, "periodSeconds": 1},
    }  # fmt: skip
    return {
        "metadata": {"name": "postgres"},
        "spec": {
            "containers": [container], "imagePullSecrets": [{"name": "registry"}],
            "securityContext": {"runAsUser": 999, "runAsGroup": 999, "fsGroup": 999},
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }  # fmt: skip


def _ready_address(cluster: ThreeNodes) -> str | None:
    status = cluster.api.read_namespaced_pod("postgres", "theirs").status
    return status.pod_ip if any(each.ready for each in status.container_statuses or ()) else None


def _databases(elsewhere: Elsewhere) -> set[str]:
    """Those of their server, by its own owner."""
    said = stream(
        elsewhere.cluster.api.connect_get_namespaced_pod_exec, "postgres", "theirs",
        command=[
            "sh", "-c", 'PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)" psql -h /tmp -U postgres -tAc '
            "\"SELECT datname FROM pg_database WHERE datname !~ '^template[01]$'\"",
        ],
        stderr=True, stdin=False, stdout=True, tty=False,
    )  # fmt: skip
    return set(said.split())


def _volumes(elsewhere: Elsewhere) -> list[Any]:
    return list(elsewhere.cluster.api.list_persistent_volume().items)


def _running_task(elsewhere: Elsewhere) -> Any:
    selector = "app.kubernetes.io/component=worker"
    for pod in elsewhere.cluster.api.list_pod_for_all_namespaces(label_selector=selector).items:
        if pod.status.phase == "Running":
            return pod
    return None


def _forwards() -> list[int]:
    """The port-forwards to the cluster."""
    listed = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if "port-forward" in line and NAME in line]
