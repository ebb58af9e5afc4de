"""The cluster itself, and what commands say that can't do what they are asked for."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from command import Harness, explained
from conftest import NAME, Cluster
from scratch import Scratch

from harness.cluster.running_cluster import attach
from harness.cluster.services import database
from harness.errors import HarnessError
from harness.host import process


def _state(cluster: Cluster) -> dict[str, object]:
    """What would differ if anything had been made anew or changed."""
    node = json.loads(process.run(["docker", "container", "inspect", f"{NAME}-control-plane"]).stdout)[0]
    system = "--namespace=harness-system"
    pods = cluster.kind.kubectl("get", "pods", system, "--output=jsonpath={.items[*].metadata.uid}")
    marker = cluster.kind.kubectl("get", "configmap", "harness", system, "--output=jsonpath={.metadata.uid}")
    # Not those of a namespace that is going: `up` leaves it to the cluster to end what it gave up.
    active = cluster.kind.kubectl(
        "get",
        "namespaces",
        "--field-selector=status.phase=Active",
        "--output=jsonpath={.items[*].metadata.name}",
    ).split()
    releases = json.loads(process.run(cluster.helm_list).stdout)
    return {
        "node": (node["Id"], node["State"]["StartedAt"]),
        "pods": sorted(pods.split()),
        "marker": marker,
        "releases": sorted(
            (each["namespace"], each["name"], each["revision"])
            for each in releases
            if each["namespace"] in active
        ),
        "kubeconfig": cluster.kubeconfig.read_bytes(),
    }


def test_up_again_changes_nothing(cluster: Cluster, pipeline: Scratch) -> None:
    # Tests of other projects may have taken or pushed out what stands by for this one.
    assert cluster.harness(pipeline.root, "up").returncode == 0
    before = _state(cluster)
    command = cluster.harness(pipeline.root, "up", "--json")
    assert command.returncode == 0, explained(command)
    assert _state(cluster) == before
    assert json.loads(command.stdout)["cluster"] == NAME
    assert "there already" in command.stderr


def test_listeners_on_the_host_are_on_the_loopback_address_alone(cluster: Cluster) -> None:
    node = json.loads(process.run(["docker", "container", "inspect", f"{NAME}-control-plane"]).stdout)[0]
    bindings = [each for ports in node["NetworkSettings"]["Ports"].values() for each in ports or []]
    assert {each["HostIp"] for each in bindings} == {"127.0.0.1"}


def test_the_cluster_has_a_network_of_its_own_and_a_private_kubeconfig(cluster: Cluster) -> None:
    node = json.loads(process.run(["docker", "container", "inspect", f"{NAME}-control-plane"]).stdout)[0]
    assert list(node["NetworkSettings"]["Networks"]) == [NAME]
    assert cluster.kubeconfig.stat().st_mode & 0o077 == 0
    assert cluster.kubeconfig != Path.home() / ".kube" / "config"


def test_a_database_that_is_not_there_is_told_without_waiting_for_the_server(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slept(_seconds: float) -> None:
        raise AssertionError("the server is there")

    server = attach(NAME).server
    monkeypatch.setattr(database, "time", SimpleNamespace(monotonic=time.monotonic, sleep=slept))
    with pytest.raises(HarnessError, match='database "absent" does not exist'):
        server.query("SELECT 1;", "absent")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("test", "--ref", "mian"), ("mian", "`main`")),
        (("test", "tinny"), ("'tinny'", f"harness test --name {NAME} tiny")),
    ],
    ids=["ref", "test"],
)
def test_an_unknown_name_is_a_usage_error_with_near_ones(
    cluster: Cluster, tiny: Scratch, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    command = cluster.harness(tiny.root, *arguments)
    assert command.returncode == 2, explained(command)
    assert all(part in command.stdout + command.stderr for part in parts), explained(command)
    assert "Traceback" not in command.stderr


@pytest.mark.parametrize("command", ["test", "status", "logs", "ui"])
def test_without_a_cluster_the_hint_is_up(cluster: Cluster, tiny: Scratch, command: str) -> None:
    absent = Harness("harness-absent")
    completed = absent(tiny.root, command)
    assert completed.returncode == 3, explained(completed)
    assert "hint: harness up --name harness-absent" in completed.stdout + completed.stderr


def test_down_without_a_cluster_passes(cluster: Cluster, tiny: Scratch) -> None:
    completed = Harness("harness-absent")(tiny.root, "down")
    assert completed.returncode == 0, explained(completed)
    assert "there was none" in completed.stderr


@pytest.mark.parametrize("command", ["up", "test"])
def test_without_docker_the_hint_is_the_doctor(tiny: Scratch, tmp_path: Path, command: str) -> None:
    completed = Harness("harness-absent")(tiny.root, command, DOCKER_HOST=f"unix://{tmp_path}/no.sock")
    assert completed.returncode == 3, explained(completed)
    assert "harness doctor" in completed.stdout + completed.stderr
