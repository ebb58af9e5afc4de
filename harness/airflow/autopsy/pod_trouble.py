"""What is wrong with a pod, as the cause it stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from harness.airflow.pods.pods import (
    DEFAULT_SCHEDULER,
    UNTOLD,
    Container,
    Pod,
    Resources,
    registry_is_away,
    shown_bytes,
    will_be_tried_again,
)
from harness.errors import CauseCode, HarnessError
from harness.image.build import DOMAIN

_IMAGE_REASONS = frozenset(
    {
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_CREATE_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_START_REASONS = frozenset({"StartError", "ContainerCannotRun"})
_NODE_REASONS = frozenset(
    {
        "DeletionByPodGC",
        "DeletionByTaintManager",
        "NodeAffinity",
        "NodeLost",
        "NodeShutdown",
        "Shutdown",
        "Terminated",
    }
)
_EVICTIONS = frozenset({"EvictionByEvictionAPI", "PreemptionByScheduler"})
_OWN_LIMIT = (
    "exceeds the total limit of containers",
    "exceeded its local ephemeral storage limit",
    "exceeds the limit",
)
_MISSING_SOURCE = re.compile(r"(?:secret|configmap|persistentvolumeclaim) \"[^\"]+\" not found")
_WAIT_FOR_ROOM = ("Insufficient", "Too many pods")

MEMORY_HINT = "raise the task's memory limit (pod_override of container `base`), or give it less data"
SHARED_MEMORY_HINT = (
    "a pod's /dev/shm holds 64 MiB, on every Kubernetes: give tasks an emptyDir with `medium: Memory` there, by "
    "workers.extraVolumes and extraVolumeMounts of [airflow] values or by executor_config; PyTorch's DataLoader takes "
    "none with num_workers=0"
)
RUN_AGAIN_HINT = "run the test again; give the task retries if that may happen"
SOURCES_HINT = "check the Secrets, ConfigMaps and volumes that the task's pod_override names"
SOON_S = 5.0
LATER_S = 20.0
AWAY_S = 120.0  # for a registry to come back, and the kubelet to ask it again, which it does ever more rarely


@dataclass(frozen=True)
class Trouble:
    """A pod that will not do its work. `grace_s`: how long it may look like this before it is believed."""

    error: HarnessError
    grace_s: float = SOON_S


def trouble(pod: Pod, room: Resources | None = None, events: Iterable[str] = ()) -> Trouble | None:
    """What is wrong with a pod; None when it works, has worked, or waits for room that will come.

    `room` is what the node that suits the pod best can give to it, `events` the pod's warnings.
    """
    return (
        _evicted(pod)
        or _disrupted(pod)
        or _out_of_memory(pod)
        or next((found for container in pod.containers if (found := _container(container, pod))), None)
        or _not_placed(pod, room)
        or _not_seen(pod)
        or _deleted(pod)
        or _not_admitted(pod)
        or _stuck(pod, tuple(events))
    )


def silent_end() -> Trouble:
    """Of a pod that has ended well, while Airflow takes its task for running: it would wait for minutes."""
    return _trouble(
        CauseCode.TASK_FAILED,
        "its process ended with exit code 0 and told Airflow nothing, as os._exit(0) does",
        "return from the task instead; a process that it starts by fork must end by itself, too",
        LATER_S,
    )


def _evicted(pod: Pod) -> Trouble | None:
    if pod.reason in {"Evicted", "Preempting", "Preempted"}:
        if any(text in pod.message for text in _OWN_LIMIT):
            return _trouble(
                CauseCode.TASK_STORAGE_LIMIT,
                f"its pod was evicted for its own disk use: {pod.message}",
                "write less to the pod's disk, or give the task a larger ephemeral-storage limit",
            )
        return _trouble(
            CauseCode.POD_EVICTED,
            f"its pod was evicted for the sake of node {pod.node}: {pod.message}",
            "harness status, then harness down VERSION; or free memory and disk on this machine",
        )
    if pod.reason in _NODE_REASONS:
        return _trouble(
            CauseCode.NODE_NOT_READY,
            f"node {pod.node} was lost: {pod.message or pod.reason}",
            "harness doctor",
        )
    return None


def _disrupted(pod: Pod) -> Trouble | None:
    """What the cluster did to it on purpose, or its own deadline."""
    disruption = pod.disruption if pod.phase != "Succeeded" else UNTOLD
    reason, told = disruption.reason, disruption.message
    if reason in _EVICTIONS:
        message = f"its pod was evicted from node {pod.node}: {told or reason}"
        return _trouble(CauseCode.POD_EVICTED, message, RUN_AGAIN_HINT, LATER_S)
    if reason in _NODE_REASONS:
        return _trouble(
            CauseCode.NODE_NOT_READY, f"node {pod.node} was lost: {told or reason}", "harness up", LATER_S
        )
    if pod.reason == "DeadlineExceeded":
        return _trouble(
            CauseCode.TASK_FAILED,
            "its pod was ended: it ran for longer than the activeDeadlineSeconds of its own pod_override",
            "raise activeDeadlineSeconds in the task's pod_override, or give it less to do",
        )
    return None


def _out_of_memory(pod: Pod) -> Trouble | None:
    """Of the task's own container, or of one before it. What happens beside the task does not end it."""
    first = pod.failed_init
    if first is not None and _was_too_large(first):
        return _trouble(
            CauseCode.TASK_OUT_OF_MEMORY,
            f"init container {first.name} was {_killed(first.memory_limit_bytes)}",
            f"raise the memory limit of container `{first.name}` in the task's pod_override, or give it less data",
        )
    if pod.base is None or not _was_too_large(pod.base):
        return None
    return _trouble(CauseCode.TASK_OUT_OF_MEMORY, _killed(pod.limits.memory_bytes), MEMORY_HINT)


def killed_sidecars(pod: Pod) -> tuple[str, ...]:
    """Containers beside the task's that were killed: of interest where the task has failed."""
    return tuple(
        f"container {entry.name} beside it was {_killed(entry.memory_limit_bytes)}"
        for entry in pod.containers
        if entry.name != "base" and not entry.is_init and _was_too_large(entry)
    )


def _was_too_large(container: Container) -> bool:
    return container.ended.reason == "OOMKilled"


def _killed(limit: float | None) -> str:
    return "killed for using more memory than its limit" + (f" of {shown_bytes(limit)}" if limit else "")


def _container(container: Container, pod: Pod) -> Trouble | None:
    own, image = container.name == "base", container.image or pod.image
    named = "" if own else f" of container {container.name}"
    if container.waiting.reason in _IMAGE_REASONS:
        return _trouble(
            CauseCode.IMAGE_NOT_STARTABLE,
            f"the node cannot get image {image}{named}: "
            f"{container.waiting.reason} {container.waiting.message}",
            "run the command again: it loads what the node lacks"
            if image.startswith(f"{DOMAIN}/") or (own and "@sha256:" in image)
            else f"docker pull {image}: what this Docker has, the node gets; or mend its name in the pod_override",
            AWAY_S if registry_is_away(container.waiting.message) else SOON_S,
        )
    if container.waiting.reason in _CREATE_REASONS and not will_be_tried_again(container.waiting.message):
        return _trouble(
            CauseCode.POD_NOT_STARTED,
            f"its container{'' if own else f' {container.name}'} cannot be made: "
            f"{container.waiting.reason} {container.waiting.message}",
            SOURCES_HINT,
        )
    if container.is_init and container.exit_code and container.ended.reason not in _START_REASONS:
        return _trouble(
            CauseCode.TASK_FAILED,
            f"init container {container.name} ended with exit code {container.exit_code}",
            "check that container in the task's pod_override: the task begins once it has ended with 0",
        )
    if container.ended.reason in _START_REASONS:
        return _trouble(
            CauseCode.IMAGE_NOT_STARTABLE,
            f"image {image}{named} does not start: {container.ended.message or container.ended.reason}",
            "check the task's pod_override, and that `python` is on the image's PATH"
            if own
            else "check that container's image and command in the task's pod_override",
        )
    return None


def _not_placed(pod: Pod, room: Resources | None) -> Trouble | None:
    if not pod.unschedulable or pod.node:
        return None
    if room is not None and not pod.requests.fits(room):
        has = room.restricted_to(pod.requests)
        missing = [name for name, number in has.others if not number]
        return _trouble(
            CauseCode.REQUEST_TOO_LARGE,
            f"it requests {pod.requests}, and the largest node has {has} for it",
            f"take {' and '.join(missing)} out of the task's executor_config: no node of the cluster has any"
            if missing
            else "lower the requests in the task's executor_config, or use a larger machine",
        )
    if "not-ready" in pod.unschedulable or "unreachable" in pod.unschedulable:
        return _trouble(CauseCode.NODE_NOT_READY, pod.unschedulable, "harness doctor", LATER_S)
    if any(text in pod.unschedulable for text in _WAIT_FOR_ROOM):
        return None
    return _trouble(
        CauseCode.POD_NOT_STARTED,
        f"no node takes its pod: {pod.unschedulable}",
        "check nodeSelector, affinity, tolerations and volumes of the task's pod_override",
        LATER_S,
    )


def _not_seen(pod: Pod) -> Trouble | None:
    if pod.node or pod.unschedulable or pod.phase != "Pending" or pod.scheduler == DEFAULT_SCHEDULER:
        return None
    message = f"nobody gives its pod a node: it asks for the scheduler {pod.scheduler}"
    hint = "take schedulerName out of the task's pod_override"
    return _trouble(CauseCode.POD_NOT_STARTED, message, hint, LATER_S)


def _deleted(pod: Pod) -> Trouble | None:
    if not pod.deleted or pod.phase == "Succeeded":
        return None
    message = f"its pod {pod.name} was deleted by someone else"
    return _trouble(CauseCode.POD_DELETED, message, RUN_AGAIN_HINT, LATER_S)


def _not_admitted(pod: Pod) -> Trouble | None:
    if pod.phase != "Failed" or pod.containers or not pod.reason:
        return None
    return _trouble(
        CauseCode.POD_NOT_STARTED,
        f"node {pod.node} refused its pod: {pod.reason} {pod.message}",
        "run the test again",
    )


def _stuck(pod: Pod, events: tuple[str, ...]) -> Trouble | None:
    if pod.phase != "Pending" or not pod.node or not events:
        return None
    missing = next((text for text in reversed(events) if _MISSING_SOURCE.search(text)), None)
    if missing is not None:
        return _not_starting(missing, SOURCES_HINT, LATER_S, events)
    return _not_starting(events[-1], "harness status", 3 * LATER_S, events)


def _not_starting(reason: str, hint: str, grace_s: float, events: tuple[str, ...]) -> Trouble:
    return _trouble(CauseCode.POD_NOT_STARTED, f"its pod does not start: {reason}", hint, grace_s, events)


def _trouble(
    code: CauseCode, message: str, hint: str, grace_s: float = SOON_S, evidence: tuple[str, ...] = ()
) -> Trouble:
    return Trouble(HarnessError(code, message.strip(), hint=hint, evidence=evidence), grace_s)
