"""The addresses inside a cluster, as it tells them: of its pods, its services and its nodes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from contextlib import suppress

from harness.cluster.api import KubernetesApi, KubernetesError, Manifest

LINK_LOCAL = "169.254.0.0/16"  # where clouds tell machines who they are, with keys for what these may do
_SERVICES = "/apis/networking.k8s.io/v1/servicecidrs"
_DNS = "/api/v1/namespaces/kube-system/services/kube-dns"


def inside(api: KubernetesApi) -> tuple[str, ...]:
    """The IPv4 ranges that nobody but the cluster itself has business in, the same ones always in the same order."""
    nodes = api.list("/api/v1/nodes")
    found = {LINK_LOCAL, *_services(api), *_pods(nodes)}
    for node in nodes:
        for each in node.get("status", {}).get("addresses") or ():
            if each["type"] == "InternalIP":
                found.add(str(each["address"]))
    ranges = [each for each in map(_network, found) if each is not None]
    return tuple(str(each) for each in ipaddress.collapse_addresses(ranges))


def _pods(nodes: Iterable[Manifest]) -> Iterator[str]:
    """The range that the nodes' own parts were cut from, as far as a /16 tells it."""
    for node in nodes:
        for each in node.get("spec", {}).get("podCIDRs") or ():
            part = _network(str(each))
            if part is not None:
                yield str(part.supernet(new_prefix=16) if part.prefixlen > 16 else part)


def _services(api: KubernetesApi) -> Iterator[str]:
    """As the cluster lists them; before Kubernetes 1.33 what lies around its DNS."""
    listed: list[str] = []
    with suppress(KubernetesError):  # who may not list them
        listed = [cidr for each in api.list(_SERVICES) for cidr in each["spec"].get("cidrs") or ()]
    if listed:
        yield from listed
        return
    dns = None
    with suppress(KubernetesError):  # who may not see it
        dns = api.get(_DNS)
    address = _network(str(dns["spec"].get("clusterIP"))) if dns else None
    if address is not None:
        yield str(address.supernet(new_prefix=16))


def _network(text: str) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:  # of IPv6, or a name
        return None
