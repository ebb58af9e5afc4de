"""What a cluster's nodes can give to a task, and which of them do not work."""

from __future__ import annotations

from typing import Any

from doubles import Kubernetes, items

from harness.airflow.pods import nodes
from harness.airflow.pods.resources import Resources

GIB = 2**30


def node(name: str, memory: str, ready: str = "True", **others: str) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready, "message": "Kubelet stopped posting node status."}]
    allocatable = {"cpu": "4", "memory": memory, **others}
    return {"metadata": {"name": name}, "status": {"allocatable": allocatable, "conditions": conditions}}


def pod(namespace: str, on: str, memory: str, **labels: str) -> dict[str, Any]:
    container = {"name": "base", "resources": {"requests": {"cpu": "1", "memory": memory}}}
    spec = {"nodeName": on, "containers": [container]}
    return {"metadata": {"name": "p", "namespace": namespace, "labels": labels}, "spec": spec}


def cluster(*pods: dict[str, Any], ready: str = "True") -> Kubernetes:
    listed = [node("small", "8Gi", gpu="1"), node("large", "32Gi", ready)]
    version = {"metadata": {"name": "demo-2"}}
    return Kubernetes(
        {
            ("GET", "/api/v1/nodes"): items(*listed),
            ("GET", "/api/v1/namespaces"): items(version),
            ("GET", "/api/v1/pods"): items(*pods),
        }
    )


def test_each_node_counts_without_what_runs_on_it_for_good() -> None:
    api = cluster(
        pod("kube-system", "large", "2Gi"),
        pod("demo-1", "large", "1Gi"),  # the version's own control plane
        pod("demo-1", "large", "16Gi", task="True"),
        pod("demo-2", "large", "8Gi"),  # another version's
        pod("kube-system", "small", "1Gi"),
        pod("kube-system", "gone", "1Gi"),
    )
    assert nodes.rooms(api, "demo-1", "task=True") == (
        Resources(2.0, 29.0 * GIB),
        Resources(3.0, 7.0 * GIB, (("gpu", 1.0),)),
    )


def test_a_cluster_without_nodes_has_no_room() -> None:
    assert nodes.rooms(Kubernetes(), "demo-1", "task=True") == ()


def test_only_a_node_of_ours_is_a_container_to_be_started_again() -> None:
    lost = [nodes.lost_nodes(cluster(ready="False"), name) for name in ("harness", "@team")]
    assert [(each.name, each.hint) for (each,) in lost] == [
        ("large", "docker restart large"),
        ("large", "kubectl describe node large"),
    ]
