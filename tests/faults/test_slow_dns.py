"""A cluster whose DNS takes three seconds for an answer: what the isolation receipt tells of the network is so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from command import explained, loaded, only_version
from kubernetes import client

from .broken.case import Broken, one, repository
from .conftest import Cluster
from .running import eventually

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
LOOKS_UP = """
import socket, time
began = time.monotonic()
socket.getaddrinfo("gateway.harness-system.svc.cluster.local.", 80, family=socket.AF_INET)
took_s = time.monotonic() - began
return {"took_s": took_s}
"""


@contextmanager
def relayed(cluster: Cluster) -> Iterator[None]:
    """A relay in the place of the cluster's DNS."""
    api = cluster.api
    (waiting, *_) = eventually(lambda: _blank(api), what="an Airflow that stands by")
    (real, *_) = api.list_namespaced_pod("kube-system", label_selector="k8s-app=kube-dns").items
    container = {
        "name": "relay", "image": waiting.spec.containers[0].image, "command": ["python", "-c", RELAY],
        "imagePullPolicy": "Never", "env": [{"name": "UPSTREAM", "value": real.status.pod_ip}],
    }  # fmt: skip
    relay = {"metadata": {"name": "relay", "labels": {"app": "relay"}}, "spec": {"containers": [container]}}
    api.create_namespaced_pod("kube-system", relay)
    before = api.read_namespaced_service(*DNS).spec
    try:
        eventually(lambda: _runs(api), what="the relay runs")
        _lead(api, {"app": "relay"}, 5353)
        yield
    finally:
        _lead(api, dict(before.selector), before.ports[0].target_port)
        api.delete_namespaced_pod("relay", "kube-system", grace_period_seconds=0)


def test_the_network_is_told_as_it_is(disposable: Cluster, tmp_path: Path, result: Path) -> None:
    """Where nothing is enforced, a name that takes long is no proof that somebody was kept out, nor the other way."""
    case = Broken("looks_up", one("looks_up", LOOKS_UP), None, toml='metrics = { task = "work" }')
    made = repository(tmp_path / "slow-dns", (case,))
    told = []
    prepared = disposable.harness(made.root, "up")
    assert prepared.returncode == 0, explained(prepared)
    for slow in (False, True):
        with relayed(disposable) if slow else nullcontext():
            done = disposable.harness(made.root, "test", "--json", result)
        assert done.returncode == 0, explained(done)
        version = only_version(loaded(result))
        assert (version["tests"][0]["metrics"]["took_s"]["value"] >= DELAY_S) is slow
        told += [each for each in version["receipt"]["checks"] if each["name"] == "NetworkPolicies"]
    assert told[0] == told[1]
    assert told[0]["verdict"] == "passed" or "does not enforce" in told[0]["message"]


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
