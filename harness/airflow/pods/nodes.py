"""The cluster's nodes: which of them work, and what each can give to one pod."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.airflow.pods.resources import Resources, requested_by
from harness.cluster import labels, place
from harness.cluster.api import KubernetesApi
from harness.cluster.kind import kind, network
from harness.errors import CauseCode, HarnessError

LOOK_EVERY_S = 5.0
ASKING_S = 5.0
# Longer than a kubelet takes from one sign of life to the next: a node that has just come back is not lost.
GRACE_S = 15.0


@dataclass(frozen=True)
class LostNode:
    """A node that does not work. `grace_s`: how long it may be so before it is believed."""

    name: str
    reason: str
    hint: str = "harness up"
    grace_s: float = GRACE_S


def lost_nodes(api: KubernetesApi, cluster: str) -> tuple[LostNode, ...]:
    """The nodes that are not ready, as the cluster says it, or as Docker does where that says nothing.

    `cluster`: its name; of one that isn't ours nobody but the cluster itself is asked.
    """
    try:
        nodes = api.request("GET", "/api/v1/nodes", timeout_s=ASKING_S)["items"] or ()
    except HarnessError:
        return _lost_container(cluster)
    found = []
    for item in nodes:
        conditions = {each["type"]: each for each in item["status"].get("conditions") or ()}
        ready = conditions.get("Ready") or {"status": "False", "message": "it never told of itself"}
        if ready["status"] != "True":
            name = item["metadata"]["name"]
            reason = str(ready.get("message") or ready.get("reason"))
            is_ours = place.context_of(cluster) is None
            hint = f"docker restart {name}" if is_ours else f"kubectl describe node {name}"
            found.append(LostNode(name, f"it is not ready: {reason}", hint))
    return tuple(found)


def _lost_container(cluster: str) -> tuple[LostNode, ...]:
    if place.context_of(cluster) is not None:
        return ()
    container, name = kind.node_container(cluster), network.node_name(cluster)
    if container is None:
        return (LostNode(name, "its container is gone"),)
    if container.status == "running":
        return ()
    # A container that restarts has ended for a moment; none is paused by itself.
    grace_s = 0.0 if container.status == "paused" else GRACE_S
    return (LostNode(name, f"Docker says that its container is {container.status}", grace_s=grace_s),)


def rooms(api: KubernetesApi, namespace: str, task_pods: str) -> tuple[Resources, ...]:
    """What each node can give to one task of `namespace` when no other version and no other task is there.

    That is what it has without what runs on it for good. `task_pods`: the selector of those that don't. The node with
    the most memory comes first.
    """
    left = {
        str(node["metadata"]["name"]): Resources.of(node["status"].get("allocatable"))
        for node in api.list("/api/v1/nodes")
    }
    versions = api.list("/api/v1/namespaces", labelSelector=f"{labels.SELECTOR},{labels.ROLE}!=shared")
    passing = {item["metadata"]["name"] for item in versions} - {namespace}
    key, value = task_pods.split("=")
    for pod in api.list("/api/v1/pods", fieldSelector="status.phase!=Succeeded,status.phase!=Failed"):
        metadata, node = pod["metadata"], pod["spec"].get("nodeName")
        is_task = metadata["namespace"] == namespace and (metadata.get("labels") or {}).get(key) == value
        if node in left and metadata["namespace"] not in passing and not is_task:
            left[node] = left[node].without(requested_by(pod["spec"]))
    return tuple(sorted(left.values(), key=lambda room: -(room.memory_bytes or 0.0)))


class NodeWatch:
    """Whether the nodes work that a run needs: asked now and then, and believed once it has lasted."""

    def __init__(
        self, ask: Callable[[], Sequence[LostNode]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._asked_s = float("-inf")
        self._lost: Sequence[LostNode] = ()
        self._since_s: dict[str, float] = {}

    def trouble(self) -> HarnessError | None:
        """A node that has not worked for some time; None also while nobody can tell."""
        now_s = self._clock()
        if now_s - self._asked_s >= LOOK_EVERY_S:
            self._asked_s = now_s
            try:
                self._lost = self._ask()
            except HarnessError:
                self._lost = ()
            self._since_s = {node.name: self._since_s.get(node.name, now_s) for node in self._lost}
        for node in self._lost:
            if now_s - self._since_s[node.name] >= node.grace_s:
                return HarnessError(
                    CauseCode.NODE_NOT_READY, f"node {node.name} was lost: {node.reason}", hint=node.hint
                )
        return None
