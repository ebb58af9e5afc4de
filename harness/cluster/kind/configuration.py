"""What kind is told to make a cluster of."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from harness.cluster.kind import encryption
from harness.host import cache, process
from harness.host.docker.client import ASKING_S
from harness.image.node import CACHE_ON_NODE

GATEWAY_NODE_PORT = 30080
POD_SUBNET = "10.244.0.0/16"
SERVICE_SUBNET = "10.96.0.0/16"
KIND_LABEL = "io.x-k8s.kind.cluster"  # on its containers: the cluster's name


def configuration(
    name: str, image: str, encrypted_with: Path | None = None, *, mounts_cache: bool = True
) -> dict[str, object]:
    """A cluster of one node, in kind's own format; `image` is the node's.

    `encrypted_with`: the folder on this machine with what its API server encrypts Secrets with; None where Docker can't
    give it to the node. `mounts_cache`: the node reads large layers from this machine's cache; else all is sent to it.
    """
    mounts = {str(cache.root()): CACHE_ON_NODE} if mounts_cache else {}
    if encrypted_with is not None:
        mounts[str(encrypted_with)] = encryption.FOLDER_ON_NODE
    kubelet = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "oomScoreAdj": 0,
        "maxOpenFiles": _open_files(),
        "maxPods": 250,
        "serializeImagePulls": False,
        # How much a task has in /tmp, a volume, is looked at after one to two of these: by default after two minutes.
        "volumeStatsAggPeriod": "10s",
    }
    if not _has_systemd(image):
        kubelet["cgroupDriver"] = "cgroupfs"
    return {
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "kind": "Cluster",
        "name": name,
        "networking": {
            "apiServerAddress": "127.0.0.1",
            "podSubnet": POD_SUBNET,
            "serviceSubnet": SERVICE_SUBNET,
        },
        "nodes": [
            {
                "role": "control-plane",
                "image": image,
                "extraPortMappings": [
                    {"containerPort": GATEWAY_NODE_PORT, "hostPort": 0, "listenAddress": "127.0.0.1"}
                ],
                "extraMounts": [
                    {"hostPath": here, "containerPath": there, "readOnly": True}
                    for here, there in mounts.items()
                ],
                "kubeadmConfigPatches": [
                    json.dumps(kubelet),
                    *([json.dumps(encryption.api_server())] if encrypted_with is not None else []),
                ],
            }
        ],
    }


def _has_systemd(image: str) -> bool:
    """Whether a node's first process is systemd, as in kind's own images; those we build have none."""
    argv = ["docker", "image", "inspect", "--format", "{{.Config.Entrypoint}}", image]
    asked = process.run(argv, check=False, timeout_s=ASKING_S)
    return asked.returncode != 0 or "/sbin/init" in asked.stdout


def _open_files() -> int:
    """The kubelet's limit, no higher than what this machine lets it raise its own to."""
    most = 1_000_000
    if sys.platform != "linux":  # the node is in a virtual machine, with the usual limit
        return most
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return most if hard == resource.RLIM_INFINITY else min(most, hard)
