"""A cluster whose DNS takes three seconds for an answer: what the isolation receipt tells of the network is so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import scratch
from command import explained, loaded, only_version
from kubernetes import client

from .broken import Broken, one, repository
from .conftest import Cluster
from .running import Running, eventually, running_pod

pytestmark = pytest.mark.slow
DELAY_S = 3
DNS = ("kube-dns", "kube-system")
# Asks the real one at once, and gives its answer late.
RELAY = f"""\
import os, socket, threading, time

listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listener.bind(("0.0.0.0", 5353))


def answer(question, who):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
        upstream.settimeout(10)
        upstream.sendto(question, (os.environ["UPSTREAM"], 53))
        found = upstream.recv(4096)
    time.sleep({DELAY_S})
    listener.sendto(found, who)


while True:
    threading.Thread(target=answer, args=listener.recvfrom(4096), daemon=True).start()
"""
LOOKS_UP = f"""
import socket, time
began = time.monotonic()
socket.getaddrinfo("gateway.harness-system.svc.cluster.local.", 80, family=socket.AF_INET)
took_s = time.monotonic() - began
assert took_s >= {DELAY_S}, f"the DNS answered after {{took_s:.1f}} s"
time.sleep(8)
return {{"took_s": took_s}}
"""


@pytest.fixture
def slow_dns(disposable: Cluster, tmp_path: Path) -> Iterator[scratch.Scratch]:
    """A project whose image is on the node, and a relay in the place of the cluster's DNS."""
    case = Broken("looks_up", one("looks_up", LOOKS_UP), None, toml='metrics = { task = "work" }')
    made = repository(tmp_path / "slow-dns", (case,))
    prepared = disposable.harness(made.root, "up")
    assert prepared.returncode == 0, explained(prepared)
    api = disposable.api
    (waiting,) = eventually(lambda: _blank(api), what="an Airflow that stands by")
    image = waiting.spec.containers[0].image
    (real,) = api.list_namespaced_pod("kube-system", label_selector="k8s-app=kube-dns").items
    container = {
        "name": "relay", "image": image, "command": ["python", "-c", RELAY], "imagePullPolicy": "Never",
        "env": [{"name": "UPSTREAM", "value": real.status.pod_ip}],
    }  # fmt: skip
    relay = {"metadata": {"name": "relay", "labels": {"app": "relay"}}, "spec": {"containers": [container]}}
    api.create_namespaced_pod("kube-system", relay)
    eventually(lambda: _runs(api), what="the relay runs")
    before = api.read_namespaced_service(*DNS).spec
    _lead(api, {"app": "relay"}, 5353)
    try:
        yield made
    finally:
        _lead(api, dict(before.selector), before.ports[0].target_port)
        api.delete_namespaced_pod("relay", "kube-system", grace_period_seconds=0)


@pytest.mark.parametrize("enforced", [True, False])
def test_the_network_is_told_as_it_is(
    enforced: bool, slow_dns: scratch.Scratch, disposable: Cluster, result: Path
) -> None:
    with Running(slow_dns.root, ("test", "--json", result, "--name", disposable.name)) as running:
        pod = running_pod(disposable, "slow-dns")
        if not enforced:
            policies = client.NetworkingV1Api(disposable.api.api_client)
            policies.delete_collection_namespaced_network_policy(pod.metadata.namespace)
        code, said = running.end()
    assert code == 0, said
    version = only_version(loaded(result))
    assert version["tests"][0]["metrics"]["took_s"]["value"] >= DELAY_S
    (told,) = [each for each in version["receipt"]["checks"] if "etwork" in each["name"]]
    assert (told["verdict"] == "passed") is enforced, told
    assert ("not enforce" in str(told)) is not enforced, told


def _blank(api: client.CoreV1Api) -> list[Any] | None:
    selector = "app.kubernetes.io/component=control-plane"
    return api.list_pod_for_all_namespaces(label_selector=selector).items or None


def _runs(api: client.CoreV1Api) -> bool:
    return bool(api.read_namespaced_pod("relay", "kube-system").status.phase == "Running")


def _lead(api: client.CoreV1Api, selector: dict[str, str], port: int | str) -> None:
    """Let the DNS service lead to other pods; a moment later the node's rules do."""
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": port},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": port},
    ]
    patch = [
        {"op": "replace", "path": "/spec/selector", "value": selector},
        {"op": "replace", "path": "/spec/ports", "value": ports},
    ]
    api.patch_namespaced_service(*DNS, patch)
    time.sleep(2)
