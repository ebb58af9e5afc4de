"""The ranges inside a cluster: those that it tells, whatever it is."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest
from doubles import Kubernetes, items

from harness.cluster import ranges
from harness.cluster.kind.configuration import POD_SUBNET, SERVICE_SUBNET

DNS = {"spec": {"clusterIP": "10.96.0.10"}}


def node(address: str, *pods: str) -> dict[str, Any]:
    addresses = [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": "node"}]
    return {"spec": {"podCIDRs": list(pods)}, "status": {"addresses": addresses}}


def cluster(*nodes: Any, services: tuple[str, ...] = (), dns: Any = None) -> Kubernetes:
    found = items({"spec": {"cidrs": list(services)}}) if services else items()
    answers: dict[tuple[str, str], Any] = {
        ("GET", "/api/v1/nodes"): items(*nodes),
        ("GET", "/apis/networking.k8s.io/v1/servicecidrs"): found,
    }
    if dns:
        answers["GET", "/api/v1/namespaces/kube-system/services/kube-dns"] = dns
    return Kubernetes(answers)


def test_ours() -> None:
    found = ranges.inside(cluster(node("172.20.0.2", "10.244.0.0/24"), services=(SERVICE_SUBNET,)))
    assert set(found) == {POD_SUBNET, SERVICE_SUBNET, "172.20.0.2/32", ranges.LINK_LOCAL}


def test_another_with_several_nodes_and_both_families() -> None:
    nodes = [node(f"10.0.0.{each}", f"192.168.{each}.0/26", f"fd00:{each}::/64") for each in (1, 2)]
    found = ranges.inside(cluster(*nodes, node("fd00::1"), services=("172.30.0.0/17", "fd01::/108")))
    assert set(found) == {"192.168.0.0/16", "172.30.0.0/17", "10.0.0.1/32", "10.0.0.2/32", ranges.LINK_LOCAL}


def test_an_older_one_is_told_by_its_dns() -> None:
    assert "10.96.0.0/16" in ranges.inside(cluster(node("172.20.0.2"), dns=DNS))


@pytest.mark.parametrize(
    "api", [cluster(), cluster({"metadata": {}}), cluster(dns={"spec": {"clusterIP": "None"}})]
)
def test_one_that_tells_little(api: Kubernetes) -> None:
    assert ranges.inside(api) == (ranges.LINK_LOCAL,)


def test_whatever_a_company_has_beside_them_is_open() -> None:
    found = ranges.inside(cluster(node("172.20.0.2", "10.244.0.0/24"), services=(SERVICE_SUBNET,)))
    warehouse = IPv4Network("10.97.3.4/32")
    assert not any(warehouse.subnet_of(IPv4Network(each)) for each in found)


def test_the_order_is_always_the_same() -> None:
    nodes = [node(f"10.0.0.{each}", "10.244.0.0/24") for each in (1, 5, 9)]
    assert ranges.inside(cluster(*nodes)) == ranges.inside(cluster(*reversed(nodes)))
