"""A cluster of three nodes elsewhere, and somebody with a repository who works on it by a service account's login."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import remains
import scratch
import three_nodes
import yaml
from command import ENVIRONMENT, PROGRAM, explained, loaded
from kubernetes import client, utils
from three_nodes import ThreeNodes

from harness.cluster import place
from harness.cluster.kind import kind
from harness.cluster.kind.node_image.program import built
from harness.host import process

from .conftest import Cluster
from .running import Running

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


@contextmanager
def made(cluster: Cluster, folder: Path) -> Iterator[Elsewhere]:
    """The cluster, and somebody who is allowed its context, logs in by a plugin as a service account, without rights.

    The tests' own cluster only tells the node's image, and that its programs are there.
    """
    node, tools = kind.node_container(cluster.name), built()
    assert node is not None
    assert tools is not None
    before = remains.docker_objects(NAME)
    (folder / "three").mkdir()
    with three_nodes.serving(NAME, node.image, tools.kind, folder / "three") as three:
        three.api.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name="theirs")))
        precious = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="precious"), data={"a": "b"})
        three.api.create_namespaced_config_map("theirs", precious)
        yield somebody(three, folder / "somebody", "harness")
        place.remove_state(f"@{three.context}")
    assert remains.left_on_docker(NAME, before) == []


def somebody(cluster: ThreeNodes, folder: Path, account: str, settings: str = "") -> Elsewhere:
    """Somebody with this service account, and these lines more of `contexts.toml`."""
    folder.mkdir()
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
        f'access_mode = "ReadWriteMany"\n{settings}[registry]\nurl = "{cluster.registry.host}/ml"\n'
        f'ca = "{cluster.registry.authority}"\n'
    )
    environ = {
        **ENVIRONMENT, "CI": "", "DOCKER_HOST": NOWHERE, "KUBECONFIG": str(_by_plugin(cluster, folder, account)),
        "HARNESS_CONFIG_DIR": str(folder / "allowed"), "HARNESS_SOURCES": "packages",
        "DOCKER_CONFIG": str(cluster.registry.log_in(folder / "docker")),
    }  # fmt: skip
    return Elsewhere(cluster, repository, environ, folder)


def grant(elsewhere: Elsewhere) -> None:
    """What an administrator does with what `doctor --rbac` prints."""
    printed = elsewhere("doctor", "--rbac")
    assert printed.returncode == 0, explained(printed)
    for manifest in yaml.safe_load_all(printed.stdout):
        try:
            utils.create_from_dict(elsewhere.cluster.api.api_client, manifest)
        except utils.FailToCreateError as error:
            if any(each.status != 409 for each in error.api_exceptions):
                raise


def _by_plugin(cluster: ThreeNodes, folder: Path, name: str) -> Path:
    """A kubeconfig whose login is that of a service account, told by a program."""
    account = client.V1ServiceAccount(metadata=client.V1ObjectMeta(name=name))
    cluster.api.create_namespaced_service_account("theirs", account)
    request = {"spec": {"audiences": [], "expirationSeconds": 14400}}
    token = cluster.api.create_namespaced_service_account_token(name, "theirs", request).status.token
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
