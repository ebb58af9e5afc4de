"""How much room there is on the cluster for one more version, and how much a version needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.airflow.pods.pods import parse_quantity, shown_bytes
from harness.airflow.release import standby
from harness.cluster import labels
from harness.cluster.api import KubernetesApi
from harness.cluster.placement import KIND, Placement

# What a version takes while it is at work: a control plane and one task pod at least. Its pods request no more than
# that (charts/airflow/values.yaml), and less of the CPU: a version that rests needs hardly any. Further task pods
# wait for room in Kubernetes' own queue, so that versions share what is left.
CONTROL_PLANE_CPU, CONTROL_PLANE_MEMORY = "200m", "512Mi"
WORKER_CPU, WORKER_MEMORY = "100m", "256Mi"
MLFLOW_CPU, MLFLOW_MEMORY = "40m", "400Mi"  # its tracking server, where a test takes its metrics from there
# A control plane that starts keeps about one processor busy: 13 CPU seconds in 15.
CPUS_PER_START = 1


@dataclass(frozen=True)
class Room:
    """CPU in cores and memory in bytes."""

    cpu: float
    memory_bytes: float

    def __add__(self, other: Room) -> Room:
        return Room(self.cpu + other.cpu, self.memory_bytes + other.memory_bytes)

    def __sub__(self, other: Room) -> Room:
        return Room(self.cpu - other.cpu, self.memory_bytes - other.memory_bytes)

    def holds(self, need: Room) -> bool:
        """Whether `need` fits in; thousandths of a core that floats lose do not count."""
        return need.cpu <= self.cpu + 1e-6 and need.memory_bytes <= self.memory_bytes

    def __str__(self) -> str:
        return f"{max(0.0, self.cpu):.2g} CPU and {shown_bytes(max(0.0, self.memory_bytes))}"


NOTHING = Room(0.0, 0.0)
NEED = Room(
    parse_quantity(CONTROL_PLANE_CPU) + parse_quantity(WORKER_CPU),
    parse_quantity(CONTROL_PLANE_MEMORY) + parse_quantity(WORKER_MEMORY),
)


def need_of(*, mlflow: bool) -> Room:
    """What a version takes, with an MLflow server of its own or without."""
    return NEED + Room(parse_quantity(MLFLOW_CPU), parse_quantity(MLFLOW_MEMORY)) if mlflow else NEED


@dataclass(frozen=True)
class Capacity:
    """What the nodes can give, and what the pods of each namespace have been promised of it."""

    total: Room
    promised: Mapping[str, Room]
    cordoned: tuple[str, ...] = ()  # nodes that take no pods until somebody says so; not in `total`
    given: tuple[str, ...] = ()  # namespaces for versions, where none can be made
    taken: frozenset[str] = frozenset()  # those of them that are in use

    def free(self, claimed: Iterable[Room], versions: Iterable[str]) -> Room:
        """What is left beside `claimed`, which stands for all that the namespaces `versions` hold."""
        ours = set(versions)
        rest = self.total
        for namespace, room in self.promised.items():
            if namespace not in ours:
                rest -= room
        for room in claimed:
            rest -= room
        return rest

    def has_namespace(self, admitted: Iterable[str]) -> bool:
        """Whether a version can have a namespace beside `admitted`: names, empty where one has none yet."""
        if not self.given:
            return True
        names = list(admitted)
        return len(self.taken | {name for name in names if name}) + names.count("") < len(self.given)

    @property
    def starts(self) -> int:
        """How many versions may start at the same time."""
        return max(1, int(self.total.cpu + 1e-6) // CPUS_PER_START)


def capacity(api: KubernetesApi, placement: Placement = KIND) -> Capacity:
    """Ask the cluster. A control plane that stands by does not count: the next version takes it.

    Nodes count that pods of ours may go to, by their taints and by what `placement` selects, with all that is on them.
    """
    nodes = api.list("/api/v1/nodes")
    running = api.list("/api/v1/pods", fieldSelector="status.phase!=Succeeded,status.phase!=Failed")
    waiting = api.list("/api/v1/namespaces", labelSelector=f"{labels.ROLE}={standby.ROLE}")
    ignored = {item["metadata"]["name"] for item in waiting}
    total, others = NOTHING, set()
    for node in nodes:
        if placement.takes(node):
            total += _room(node["status"].get("allocatable"))
        elif not node["spec"].get("unschedulable"):
            others.add(node["metadata"]["name"])
    promised: dict[str, Room] = {}
    for pod in running:
        namespace = pod["metadata"]["namespace"]
        if namespace not in ignored and pod["spec"].get("nodeName") not in others:
            promised[namespace] = promised.get(namespace, NOTHING) + requests(pod["spec"])
    cordoned = tuple(node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable"))
    given = placement.namespaces
    taken = [] if not given else api.list("/api/v1/namespaces", labelSelector=labels.SELECTOR)
    return Capacity(
        total, promised, cordoned, given, frozenset(each["metadata"]["name"] for each in taken) & set(given)
    )


def requests(spec: Mapping[str, Any]) -> Room:
    """What a pod is promised: its containers together, or its largest init container, and its overhead."""
    together = NOTHING
    for container in spec["containers"]:
        together += _requested(container)
    for container in spec.get("initContainers") or []:
        room = _requested(container)
        together = Room(max(together.cpu, room.cpu), max(together.memory_bytes, room.memory_bytes))
    return together + _room(spec.get("overhead"))


def _requested(container: Mapping[str, Any]) -> Room:
    return _room((container.get("resources") or {}).get("requests"))


def _room(quantities: Mapping[str, str] | None) -> Room:
    found = quantities or {}
    return Room(parse_quantity(found.get("cpu", 0)), parse_quantity(found.get("memory", 0)))
