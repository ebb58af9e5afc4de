"""A version's task pods, asked of the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from harness.airflow.pods import nodes
from harness.airflow.pods.pods import Pod, Resources
from harness.cluster.api import KubernetesApi
from harness.cluster.watch import WatchedItems

TASK_PODS = "kubernetes_executor=True"
SILENCE_S = 3600.0  # a task may say nothing for long
PODS_TIMEOUT_S = 10.0  # asked again and again: an answer that takes longer is as good as none


@dataclass(frozen=True)
class ClusterPods:
    """The PodWatch of one version's namespace."""

    api: KubernetesApi
    namespace: str
    cluster: str  # kind's name of it
    _watched: WatchedItems | None = None

    @contextmanager
    def watched(self) -> Iterator[ClusterPods]:
        """The same, that is told of changes in the meantime: `known_pods` asks nobody."""
        with closing(WatchedItems(self.api, self._path("pods"), labelSelector=TASK_PODS)) as items:
            yield replace(self, _watched=items)

    def pods(self) -> tuple[Pod, ...]:
        """The task pods that exist now."""
        query = {"labelSelector": TASK_PODS}
        found = self.api.request("GET", self._path("pods"), query=query, timeout_s=PODS_TIMEOUT_S)
        return tuple(Pod.of(item) for item in found["items"] or ())

    def known_pods(self) -> tuple[Pod, ...]:
        """The task pods as the cluster last told of them: a moment old where they are watched."""
        if self._watched is None:
            return self.pods()
        return tuple(Pod.of(item) for item in self._watched.items())

    def events(self, pod: str) -> tuple[str, ...]:
        """The messages of a pod's warnings, oldest first."""
        found = self.api.list(self._path("events"), fieldSelector=f"involvedObject.name={pod},type=Warning")
        found.sort(key=lambda item: item.get("lastTimestamp") or item["metadata"]["creationTimestamp"])
        return tuple(str(item.get("message", "")) for item in found)

    def rooms(self) -> tuple[Resources, ...]:
        """What each node can give to one task pod, the largest first."""
        return nodes.rooms(self.api, self.namespace, TASK_PODS)

    def lost_nodes(self) -> tuple[nodes.LostNode, ...]:
        """The nodes that do not work."""
        return nodes.lost_nodes(self.api, self.cluster)

    def log(self, pod: str, container: str, *, tail_lines: int) -> str:
        """The last lines of a container's log; empty while there is none."""
        path = self._path(f"pods/{pod}/log")
        return self.api.text(path, container=container, tailLines=str(tail_lines)) or ""

    def follow_log(self, pod: str, container: str) -> Iterator[str]:
        """The lines of a container's log from its beginning, as they are written, until it ends."""
        path = self._path(f"pods/{pod}/log")
        yield from self.api.lines(path, timeout_s=SILENCE_S, container=container, follow="true")

    def component_log(self, component: str, *, tail_lines: int) -> str:
        """What one component of the control plane logged among its last lines; empty while there is nothing."""
        found = self.api.list(self._path("pods"), labelSelector="app.kubernetes.io/component=control-plane")
        text = (
            self.log(found[-1]["metadata"]["name"], "control-plane", tail_lines=tail_lines) if found else ""
        )
        mark = f"[{component}] "
        return "\n".join(line.removeprefix(mark) for line in text.split("\n") if line.startswith(mark))

    def start_triggerer(self) -> None:
        """Start the process that deferred tasks wait in; nothing happens when it runs."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/triggerer"
        self.api.patch(path, {"spec": {"replicas": 1}})

    def _path(self, kind: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/{kind}"
