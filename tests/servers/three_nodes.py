"""A cluster of three nodes that harness did not make and whose Docker it is not to use, with a registry beside it.

Made by kind from the node image that is there. What such a cluster has elsewhere is done here by hand: routes between
the nodes' pods, an authority that the nodes trust, and a volume that several nodes can have at the same time.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from docker_registry import DockerRegistry
from docker_registry import serving as registry_serving
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from harness.cluster.kind.configuration import configuration
from harness.host import process

SHARED = "shared"  # the storage class of volumes that all nodes have
FOLDER_ON_NODE = "/shared"
_CNI = "/etc/cni/net.d/10-harness.conflist"
# containerd looks for authorities where it is told to, and is started again by the node when it ends.
_TRUST = (
    r"""printf "\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/etc/containerd/certs.d'\n" """
    ">>/etc/containerd/config.toml; kill $(pidof containerd)"
)


@dataclass(frozen=True)
class ThreeNodes:
    """The cluster: its nodes' containers, the address of its API server, and an administrator's kubeconfig."""

    name: str
    kubeconfig: Path
    server: str
    nodes: tuple[str, ...]
    api: client.CoreV1Api
    registry: DockerRegistry

    @property
    def context(self) -> str:
        return f"kind-{self.name}"


@contextmanager
def serving(name: str, image: str, kind: Path, folder: Path) -> Iterator[ThreeNodes]:
    """A cluster of `image`'s nodes, on a Docker network of its own; gone with the block."""
    network = {"KIND_EXPERIMENTAL_DOCKER_NETWORK": name}
    kubeconfig = folder / "config"
    about: list[str | Path] = ["--name", name, "--kubeconfig", kubeconfig]
    process.run(["docker", "network", "create", name])
    try:
        details = json.loads(process.run(["docker", "network", "inspect", name]).stdout)[0]
        gateway = details["IPAM"]["Config"][0]["Gateway"]
        with registry_serving(folder / "registry", gateway) as registry:
            made = configuration(name, image)
            made["nodes"] = _nodes(made["nodes"], image, folder, registry)
            (folder / "kind.json").write_text(json.dumps(made))
            argv: list[str | Path] = [
                kind,
                "create",
                "cluster",
                *about,
                "--config",
                folder / "kind.json",
                "--wait",
                "0s",
            ]
            process.run(argv, env=network, timeout_s=400)
            server = _lead_to_its_own_address(name, kubeconfig)
            api = client.CoreV1Api(config.new_client_from_config(str(kubeconfig), context=f"kind-{name}"))
            nodes = tuple(each.metadata.name for each in api.list_node().items)
            _connect(api)
            with _volumes(api, folder / "shared"):
                yield ThreeNodes(name, kubeconfig, server, nodes, api, registry)
    finally:
        process.run([kind, "delete", "cluster", *about], env=network, check=False, timeout_s=120)
        process.run(["docker", "network", "rm", name], check=False)


def _nodes(made: Any, image: str, folder: Path, registry: DockerRegistry) -> list[dict[str, Any]]:
    """One for the control plane and two for work, which trust the registry's authority and share a folder."""
    hosts = folder / "certs.d" / registry.host
    hosts.mkdir(parents=True)
    (hosts / "ca.pem").write_bytes(registry.authority.read_bytes())
    (hosts / "hosts.toml").write_text(
        f'server = "https://{registry.host}"\n[host."https://{registry.host}"]\n'
        f'  capabilities = ["pull", "resolve"]\n  ca = "/etc/containerd/certs.d/{registry.host}/ca.pem"\n'
    )
    (folder / "shared").mkdir()
    mounts = [
        {"hostPath": str(folder / "certs.d"), "containerPath": "/etc/containerd/certs.d", "readOnly": True},
        {"hostPath": str(folder / "shared"), "containerPath": FOLDER_ON_NODE},
    ]
    (first,) = made
    patches = first["kubeadmConfigPatches"]
    return [
        {"role": role, "image": image, "extraMounts": mounts, "kubeadmConfigPatches": patches}
        for role in ("control-plane", "worker", "worker")
    ]


def _lead_to_its_own_address(name: str, kubeconfig: Path) -> str:
    """Let the context lead to the node itself, as to a cluster elsewhere, and not to a port of this machine."""
    inspect = [
        "docker", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        f"{name}-control-plane",
    ]  # fmt: skip
    server = f"https://{process.run(inspect).stdout.strip()}:6443"
    document = yaml.safe_load(kubeconfig.read_text())
    for each in document["clusters"]:
        each["cluster"]["server"] = server
    kubeconfig.write_text(yaml.safe_dump(document))
    return server


def _connect(api: client.CoreV1Api) -> None:
    """Give each node the range of its own pods, and the way to those of the others."""
    until = time.monotonic() + 60
    while not all(each.spec.pod_cidr for each in api.list_node().items):
        assert time.monotonic() < until, "not every node has a range for its pods"
        time.sleep(0.5)
    nodes = {
        each.metadata.name: (each.spec.pod_cidr, each.status.addresses[0].address)
        for each in api.list_node().items
    }
    for name, (own, _) in nodes.items():
        others = [
            f"ip route replace {cidr} via {address}"
            for other, (cidr, address) in nodes.items()
            if other != name
        ]
        script = "; ".join([f"sed -i s,10.244.0.0/24,{own}, {_CNI}", *others])
        process.run(["docker", "exec", name, "sh", "-ec", f"{script}; {_TRUST}"])


@contextmanager
def _volumes(api: client.CoreV1Api, folder: Path) -> Iterator[None]:
    """Make what claims of the class `shared` ask for, and remove what nobody claims any more."""
    client.StorageV1Api(api.api_client).create_storage_class(
        {"metadata": {"name": SHARED}, "provisioner": "tests/shared", "volumeBindingMode": "Immediate"}
    )
    ended = threading.Event()

    def provide() -> None:
        while not ended.wait(0.3):
            with suppress(ApiException, OSError):
                for claim in api.list_persistent_volume_claim_for_all_namespaces().items:
                    if claim.spec.storage_class_name == SHARED and claim.status.phase == "Pending":
                        _provide(api, claim, folder)
                for volume in api.list_persistent_volume().items:
                    if volume.spec.storage_class_name == SHARED and volume.status.phase == "Released":
                        api.delete_persistent_volume(volume.metadata.name)

    thread = threading.Thread(target=provide, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _provide(api: client.CoreV1Api, claim: Any, folder: Path) -> None:
    name = f"shared-{claim.metadata.uid}"
    (folder / name).mkdir(exist_ok=True)
    (folder / name).chmod(0o777)
    reference = {
        "namespace": claim.metadata.namespace,
        "name": claim.metadata.name,
        "uid": claim.metadata.uid,
    }
    api.create_persistent_volume(
        {
            "metadata": {"name": name},
            "spec": {
                "storageClassName": SHARED,
                "accessModes": claim.spec.access_modes,
                "capacity": claim.spec.resources.requests,
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **reference},
                "hostPath": {"path": f"{FOLDER_ON_NODE}/{name}"},
            },
        }
    )
