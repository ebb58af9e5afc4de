"""Task pods as the cluster tells of them, and what in one of them is beyond waiting."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from harness.airflow.pods.nodes import LostNode
from harness.airflow.pods.resources import NOTHING, Resources, parse_quantity, requested_by, shown_bytes

__all__ = [
    "UNTOLD",
    "Container",
    "Manifest",
    "Pod",
    "PodWatch",
    "Reason",
    "Resources",
    "parse_quantity",
    "peak_memory_bytes",
    "registry_is_away",
    "shown_bytes",
    "will_be_tried_again",
]

Manifest = Mapping[str, Any]
DEFAULT_SCHEDULER = "default-scheduler"

# What files/sitecustomize.py of the chart writes, after whatever the task's own code has written before.
_REGISTRY_AWAY = re.compile(
    r"connection refused|connection reset|i/o timeout|no route to host|TLS handshake timeout|unexpected EOF|: EOF"
    r"|deadline exceeded|50[234] (?:Bad Gateway|Service Unavailable|Gateway Timeout)|429 Too Many Requests",
    re.IGNORECASE,
)
_PEAK_MEMORY = re.compile(r'^\{"peak_memory_bytes": (?P<bytes>[1-9][0-9]{0,14})\}\s*\Z', re.MULTILINE)


def will_be_tried_again(message: str) -> bool:
    """Whether the kubelet only had not heard of a ConfigMap or Secret yet, which it asks for again by itself."""
    return "failed to sync" in message and "cache: timed out" in message


def registry_is_away(message: str) -> bool:
    """Whether an image could not be pulled since its registry did not answer: the kubelet tries again by itself."""
    return bool(_REGISTRY_AWAY.search(message))


def peak_memory_bytes(message: str) -> int | None:
    """What a task took of memory at most, from its container's termination message; None for any other message."""
    found = _PEAK_MEMORY.search(message)
    return int(found["bytes"]) if found else None


@dataclass(frozen=True)
class Reason:
    """Why something is as it is: Kubernetes' word for it, and a sentence."""

    reason: str = ""
    message: str = ""

    @classmethod
    def of(cls, told: Manifest) -> Reason:
        return cls(told.get("reason") or "", told.get("message") or "")


UNTOLD = Reason()


@dataclass(frozen=True)
class Container:
    """A container's latest state. `exit_code` is None until it has ended.

    `peak_memory_bytes`: the most that its largest process held, where its first process came to tell it.
    `is_init`: it ends before the task begins.
    """

    name: str
    image: str = ""
    image_id: str = ""
    waiting: Reason = UNTOLD
    ended: Reason = UNTOLD
    exit_code: int | None = None
    peak_memory_bytes: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    is_init: bool = False
    memory_limit_bytes: float | None = None

    @classmethod
    def of(cls, status: Manifest, spec: Manifest | None = None, *, is_init: bool = False) -> Container:
        """From its status and its part of the pod's spec. An init container that is restarted stays: a sidecar."""
        spec = spec or {}
        limits = Resources.of((spec.get("resources") or {}).get("limits"))
        state = status.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        started = (state.get("running") or {}).get("startedAt") or ended.get("startedAt")
        return cls(
            name=status["name"],
            image=status.get("image") or spec.get("image") or "",
            image_id=status.get("imageID") or "",
            waiting=Reason.of(waiting),
            ended=Reason.of(ended),
            exit_code=ended.get("exitCode"),
            peak_memory_bytes=peak_memory_bytes(ended.get("message") or ""),
            started_at=_time(started),
            ended_at=_time(ended.get("finishedAt")),
            is_init=is_init and spec.get("restartPolicy") != "Always",
            memory_limit_bytes=limits.memory_bytes,
        )


@dataclass(frozen=True)
class Pod:
    """A task's pod. `unschedulable` is the cluster's reason for placing it on no node."""

    name: str
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1
    try_number: int = 0
    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    unschedulable: str = ""
    node: str = ""
    image: str = ""
    containers: tuple[Container, ...] = ()
    requests: Resources = NOTHING  # of all its containers; `limits` are those of the task's own
    limits: Resources = NOTHING
    created_at: datetime | None = None
    deleted: bool = False
    uid: str = ""
    disruption: Reason = UNTOLD  # of what the cluster did to it on purpose
    scheduler: str = DEFAULT_SCHEDULER

    @classmethod
    def of(cls, manifest: Manifest) -> Pod:
        """From the API's JSON (a V1Pod: through ApiClient.sanitize_for_serialization)."""
        metadata, spec, status = manifest["metadata"], manifest["spec"], manifest.get("status") or {}
        notes = metadata.get("annotations") or {}
        base = next((entry for entry in spec["containers"] if entry["name"] == "base"), spec["containers"][0])
        resources = base.get("resources") or {}
        return cls(
            name=metadata["name"],
            dag_id=notes.get("dag_id", ""),
            run_id=notes.get("run_id", ""),
            task_id=notes.get("task_id", ""),
            map_index=int(notes.get("map_index", -1)),
            try_number=int(notes.get("try_number", 0)),
            phase=status.get("phase") or "Pending",
            reason=status.get("reason") or "",
            message=status.get("message") or "",
            unschedulable=_unschedulable(status),
            node=spec.get("nodeName") or "",
            image=base.get("image") or "",
            containers=tuple(_containers(spec, status)),
            requests=requested_by(spec),
            limits=Resources.of(resources.get("limits")),
            created_at=_time(metadata.get("creationTimestamp")),
            deleted=bool(metadata.get("deletionTimestamp")),
            uid=metadata.get("uid") or "",
            disruption=_disruption(status),
            scheduler=spec.get("schedulerName") or DEFAULT_SCHEDULER,
        )

    @property
    def key(self) -> tuple[str, int, int]:
        """Task, index and try that it was made for."""
        return self.task_id, self.map_index, self.try_number

    @property
    def base(self) -> Container | None:
        """The container that runs the task."""
        return next((container for container in self.containers if container.name == "base"), None)

    @property
    def failed_init(self) -> Container | None:
        """The container before the task's that ended in failure, so that the task never began."""
        return next(
            (container for container in self.containers if container.is_init and container.exit_code), None
        )

    @property
    def image_id(self) -> str:
        return self.base.image_id if self.base else ""

    @property
    def started_at(self) -> datetime | None:
        return self.base.started_at if self.base else None

    @property
    def ended_at(self) -> datetime | None:
        return self.base.ended_at if self.base else None

    @property
    def peak_memory_bytes(self) -> int | None:
        return self.base.peak_memory_bytes if self.base else None

    @property
    def waits_for(self) -> str:
        """Why it does not start, where that is out of the ordinary; else nothing."""
        if self.phase != "Pending" or self.deleted:
            return ""
        usual = {"", "ContainerCreating", "PodInitializing"}
        reasons = (container.waiting.reason for container in self.containers)
        return self.unschedulable or next((reason for reason in reasons if reason not in usual), "")

    @property
    def ended(self) -> bool:
        return self.phase in {"Succeeded", "Failed"}


class PodWatch(Protocol):
    """What following a run needs to know of the version's namespace and the cluster."""

    def pods(self) -> tuple[Pod, ...]:
        """The task pods that exist now."""

    def known_pods(self) -> tuple[Pod, ...]:
        """The task pods as the cluster last told of them."""

    def events(self, pod: str) -> tuple[str, ...]:
        """The messages of a pod's warnings, oldest first, such as a volume that cannot be mounted."""

    def rooms(self) -> Sequence[Resources]:
        """What each node can give to one task pod, the largest first; nothing when that is unknown."""

    def lost_nodes(self) -> Sequence[LostNode]:
        """The nodes that do not work."""


def _containers(spec: Manifest, status: Manifest) -> Iterator[Container]:
    for kind, is_init in (("initContainer", True), ("container", False)):
        specs = {entry["name"]: entry for entry in spec.get(f"{kind}s") or []}
        for entry in status.get(f"{kind}Statuses") or []:
            yield Container.of(entry, specs.get(entry["name"]), is_init=is_init)


def _unschedulable(status: Manifest) -> str:
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message") or condition.get("reason") or "no node takes it")
    return ""


def _disruption(status: Manifest) -> Reason:
    """https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions"""
    for condition in status.get("conditions") or []:
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return Reason.of(condition)
    return UNTOLD


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
