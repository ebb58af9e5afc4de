"""The rules that keep people safe, on a real version."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import scratch
from command import Harness, explained, loaded, only_version
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from harness.cluster import place
from harness.cluster.running_cluster import attach
from harness.host import process

from .broken.case import Broken, one, repository
from .conftest import Cluster
from .helpers import Watcher
from .running import Running

ASKS_KUBERNETES = """
import os, ssl, urllib.request, urllib.error
assert not os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token"), "there is a token"
context = ssl._create_unverified_context()
try:
    urllib.request.urlopen("https://kubernetes.default.svc/api/v1/namespaces", context=context, timeout=5)
except urllib.error.HTTPError as error:
    assert error.code in (401, 403), error.code
except OSError:
    pass
else:
    raise AssertionError("a task can list namespaces")
return {"asked": 1}
"""


@pytest.fixture(scope="module")
def kept(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A version that passed and was kept, its repository, and the arguments of all programs that it took."""
    case = Broken(
        "asks_kubernetes", one("asks_kubernetes", ASKS_KUBERNETES), None, toml='metrics = { task = "work" }'
    )
    made = repository(tmp_path_factory.mktemp("safety") / "safety", (case,))
    file = made.root.parent / "result.json"
    config = Path.home() / ".kube" / "config"
    before = config.read_bytes() if config.exists() else None
    arguments = ("test", "--keep", "always", "--json", file, "--name", cluster.name)
    with Running(made.root, arguments) as running, Watcher(running.process.pid) as watcher:
        code, said = running.end()
    assert code == 0, said
    assert (config.read_bytes() if config.exists() else None) == before
    return made, only_version(loaded(file))["namespace"], watcher.seen


def test_task_pods_cannot_read_the_kubernetes_api(kept: Any) -> None:
    """The DAG itself tries; that it passed is the proof."""
    assert kept


def test_pod_security_restricted_is_enforced(cluster: Cluster, kept: Any) -> None:
    _, namespace, _ = kept
    privileged = client.V1Pod(
        metadata=client.V1ObjectMeta(name="privileged"),
        spec=client.V1PodSpec(
            containers=[
                client.V1Container(
                    name="x", image="x", security_context=client.V1SecurityContext(privileged=True)
                )
            ]
        ),
    )
    with pytest.raises(ApiException, match="violates PodSecurity"):
        cluster.api.create_namespaced_pod(namespace, privileged)


def test_no_secret_is_in_the_arguments_of_a_program(cluster: Cluster, kept: Any) -> None:
    _, namespace, seen = kept
    assert any("kubectl" in words for words in seen), "nothing was seen"
    secret = cluster.api.read_namespaced_secret("airflow", namespace)
    values = [base64.b64decode(each).decode() for each in secret.data.values()]
    passwords = [word for value in values if value.startswith("{") for word in json.loads(value).values()]
    logins = [
        value.partition("://")[2].partition(":")[2].partition("@")[0] for value in values if "://" in value
    ]
    assert [word[:3] for word in [*values, *passwords, *logins] if any(word in words for words in seen)] == []


def test_each_version_has_a_password_of_its_own(cluster: Cluster, kept: Any) -> None:
    made, namespace, _ = kept
    shown = cluster.harness(made.root, "ui", namespace, "--json")
    assert shown.returncode == 0, explained(shown)
    assert len(json.loads(shown.stdout)["password"]) >= 20


def test_no_secret_is_in_helms_values_or_releases(cluster: Cluster, kept: Any) -> None:
    _, namespace, _ = kept
    helm = attach(cluster.name).helm
    secret = cluster.api.read_namespaced_secret("airflow", namespace)
    words = {form for each in secret.data.values() for form in (each, base64.b64decode(each).decode())}
    for what in ("values", "manifest"):
        argv = [
            helm.program,
            "get",
            what,
            "airflow",
            "--namespace",
            namespace,
            "--kubeconfig",
            helm.kubeconfig,
        ]
        text = process.run(argv).stdout
        assert not [word for word in words if word in text]
        assert "passwords.json:" not in text


def test_the_kubeconfig_is_private_and_not_the_users(cluster: Cluster) -> None:
    path = place.state_folder(cluster.name) / "kubeconfig"
    assert path.stat().st_mode & 0o077 == 0
    assert Path.home() / ".kube" not in path.parents


@pytest.mark.parametrize("address", ["10.244.255.254", "10.96.255.254"], ids=["pod", "service"])
def test_what_is_sent_to_what_is_gone_stays_on_the_node(cluster: Cluster, kept: Any, address: str) -> None:
    """On the machine's network somebody else may have the address, and answer."""
    _, namespace, _ = kept
    (plane,) = cluster.pods(namespace, "app.kubernetes.io/component=control-plane")
    connect = f"import socket; socket.create_connection(('{address}', 80), 9)"
    said = cluster.run_in(plane, f'python -c "{connect}" 2>&1')
    assert "No route to host" in said or "Network is unreachable" in said


def test_down_leaves_what_is_not_ours(cluster: Cluster, kept: Any) -> None:
    made, _, _ = kept
    name = "somebody-elses"
    foreign = client.V1Namespace(metadata=client.V1ObjectMeta(name=name))
    cluster.api.create_namespace(foreign)
    try:
        refused = cluster.harness(made.root, "down", name)
        assert refused.returncode == 2, explained(refused)
        assert cluster.api.read_namespace(name).status.phase == "Active"
    finally:
        cluster.api.delete_namespace(name)


@pytest.mark.parametrize(
    "name", ["../../etc", "$(touch x)", "--kubeconfig=x", "a\nb", "n" * 300, "näme", ""], ids=repr
)
def test_hostile_names_of_clusters_are_refused(tiny: scratch.Scratch, name: str) -> None:
    done = Harness(name)(tiny.root, "status")
    assert done.returncode == 2, explained(done)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("version", ["../../etc", "$(touch x)", "a\nb", "v" * 300, "ünï"], ids=repr)
def test_hostile_names_of_versions_find_nothing(
    cluster: Cluster, tiny: scratch.Scratch, version: str
) -> None:
    for command in ("logs", "ui", "down"):
        done = cluster.harness(tiny.root, command, version)
        assert done.returncode == 2, explained(done)
        assert "Traceback" not in done.stderr
