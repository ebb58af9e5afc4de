"""A cluster's own Docker network: what is on it, by which names, and what of it is mended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.cluster.kind.configuration import POD_SUBNET, SERVICE_SUBNET
from harness.host import process
from harness.host.docker.client import ASKING_S

_NETWORK_DEVICES = Path("/sys/class/net")

# Routes to the pods that are there are narrower. A pod's packet for a service has got the address of one of its pods
# before it is routed, one of the node itself afterwards.
_KEEP_PACKETS = """
ip route replace unreachable "$1"
if [ -z "$(ip rule show preference 101)" ]; then
  ip rule delete preference 100 2>/dev/null || true
  ip rule add preference 100 iif lo to "$2" lookup main
  ip rule add preference 101 to "$2" unreachable
fi
"""


def node_name(name: str) -> str:
    """The container that is the cluster's one node."""
    return f"{name}-control-plane"


def registry_name(name: str) -> str:
    """The container of the registry beside the cluster, if it has one."""
    return f"{name}-registry"


def network_name(name: str) -> str:
    """The cluster's own Docker network."""
    return name if name.startswith("harness") else f"harness-{name}"


def keep_packets(name: str) -> None:
    """Let nothing that is meant for the cluster's pods and services leave its node.

    By default that does for a moment, when a pod is gone or a service gets its first one, before Kubernetes has told
    the kernel all of it. In the machine's network nobody answers, so the sender waits for half a minute, or somebody
    else does: a 404 of theirs made Airflow give a task up. Now the sender is told at once, and tries again.
    """
    argv = ["docker", "exec", node_name(name), "sh", "-ec", _KEEP_PACKETS, "sh", POD_SUBNET, SERVICE_SUBNET]
    process.run(argv, check=False, timeout_s=ASKING_S)  # a kernel without such rules does as before


def remove_dead_links(name: str, image: str) -> None:
    """Cut what still links the stopped node to its network.

    A Docker that was killed leaves that to its successor, which fails to. The kernel keeps the link for minutes, until
    the old node's connections have timed out, and meanwhile packets for the new one, whose addresses are the same, go
    astray: the API server answers, and seconds later does not.
    """
    details = details_of(name)
    if details is None or details["Containers"]:
        return  # starting the node tells more; or somebody else is on it
    bridge = Path(_NETWORK_DEVICES, f"br-{details['Id'][:12]}", "brif")
    links = sorted(each.name for each in bridge.iterdir()) if bridge.is_dir() else []
    if links:  # in a container, as that needs root; one that goes by itself meanwhile is no failure
        argv = [
            "docker", "run", "--rm", "--pull", "never", "--network", "host", "--userns", "host",
            "--cap-add", "NET_ADMIN", "--entrypoint", "sh", image,
            "-c", 'for each; do ip link delete "$each"; done', "sh", *links,
        ]  # fmt: skip
        process.run(argv, check=False, timeout_s=ASKING_S)


def details_of(name: str) -> dict[str, Any] | None:
    """The cluster's network as Docker knows it, or None."""
    asked = process.run(["docker", "network", "inspect", network_name(name)], check=False, timeout_s=ASKING_S)
    if asked.returncode != 0:
        return None
    details: dict[str, Any] = json.loads(asked.stdout)[0]
    return details
