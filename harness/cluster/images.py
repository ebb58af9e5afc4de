"""Images on a cluster: put on its nodes, or pulled by them from a registry that they were pushed to."""

from __future__ import annotations

import json
from collections.abc import Callable

from harness.cluster.api import KubernetesApi
from harness.cluster.place import Cluster
from harness.cluster.placement import PULL_SECRET
from harness.host.docker import registry_login
from harness.image.node import load_on, pull_on
from harness.image.oci import Image
from harness.image.registry.push import push


def bring(cluster: Cluster, image: Image, *, on_change: Callable[[str], None] = lambda _: None) -> int:
    """Make the cluster be able to run the image; returns the bytes that were sent.

    Raises HarnessError: IMAGE_LOAD_FAILED, DISK_FULL; LOGIN_FAILED where a registry refuses.
    """
    if cluster.registry is not None:
        return push(image, cluster.registry, on_change=on_change)
    if cluster.local_registry is not None:
        registry = cluster.local_registry.address
        pushed_bytes = push(image, registry, on_change=on_change)
        on_change(f"the node pulls it from {registry.host}")
        pull_on(image, registry.reference(image), cluster.nodes)
        return pushed_bytes
    return load_on(image, cluster.nodes, on_change=on_change)


def name_on(cluster: Cluster, image: Image) -> str:
    """What the cluster's pods call the image by."""
    return cluster.registry.reference(image) if cluster.registry is not None else image.reference


def where(cluster: Cluster) -> str:
    """Where images are brought, in a word."""
    return "registry" if cluster.registry is not None else "node"


def pull_login(cluster: Cluster) -> str:
    """What the cluster logs in to the registry with, as Docker's configuration has it; empty without a login."""
    login = registry_login.find(cluster.registry.host) if cluster.registry is not None else None
    if cluster.registry is None or login is None:
        return ""
    return json.dumps({"auths": {registry_login.name_of(cluster.registry.host): login.entry()}})


def pull_secrets(cluster: Cluster, login: str) -> list[str]:
    """The names of the Secrets that pods of ours pull with, in their own namespaces; `login` as of `pull_login`."""
    given = [PULL_SECRET] if login else []
    return list(dict.fromkeys([*given, *cluster.placement.pull_secrets]))


def pod_spec(cluster: Cluster) -> dict[str, object]:
    """What the spec of every pod of ours has, for one that no chart makes."""
    secrets = [{"name": name} for name in pull_secrets(cluster, pull_login(cluster))]
    return {**cluster.placement.pod_spec(), **({"imagePullSecrets": secrets} if secrets else {})}


def give_login(api: KubernetesApi, namespace: str, login: str, labels: dict[str, str]) -> None:
    """Make or renew the Secret that pods of a namespace pull with; nothing where there is no login."""
    if login:
        api.apply(
            f"/api/v1/namespaces/{namespace}/secrets/{PULL_SECRET}",
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": PULL_SECRET, "labels": labels},
                "type": "kubernetes.io/dockerconfigjson",
                "stringData": {".dockerconfigjson": login},
            },
        )
