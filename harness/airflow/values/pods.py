"""Volumes, mounts and containers of a team's pods, as far as a version's namespace can have them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.airflow.pods.resources import parse_quantity
from harness.airflow.values.official import SECRETS

# What a namespace under the pod security standard `restricted` takes, and what needs nothing that is not there.
_OWN_KINDS = ("emptyDir", "downwardAPI")
_OF_HARNESS = (
    "tmp",
    "version",
    "ca-bundle",
    "python",
    "code-secrets",
    "passwords",
    "passwords-secret",
    "pod-template",
    "control-plane",
)
_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
CPU_LIMIT = "CPU is requested and never limited, so that times can be compared"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

Told = Iterator[tuple[str, str]]


def volume_problem(volume: Mapping[str, Any], config_maps: Mapping[str, object]) -> str:
    """Why a volume can't be had; empty when it can."""
    name = str(volume.get("name") or "")
    kinds = [key for key in volume if key != "name"]
    if not _NAME.fullmatch(name) or name in _OF_HARNESS:
        return (
            f"{name!r} is a name of harness's own"
            if name in _OF_HARNESS
            else "it has no name that Kubernetes takes"
        )
    if kinds == ["configMap"]:
        wanted = str((volume["configMap"] or {}).get("name") or "")
        return "" if wanted in config_maps else f"there is no ConfigMap {wanted} in `extraConfigMaps`"
    if kinds == ["secret"]:
        return SECRETS
    if len(kinds) == 1 and kinds[0] in _OWN_KINDS:
        return ""
    what = {"persistentVolumeClaim": "claims of volumes", "hostPath": "folders of nodes"}.get(
        kinds[0] if kinds else "", f"volumes of kind {kinds[0] if kinds else 'none'}"
    )
    return f"a version's namespace begins empty, and takes no {what}"


def mount_problem(mount: Mapping[str, Any], volumes: Sequence[Mapping[str, Any]]) -> str:
    """Why a mount can't be had; empty when it can."""
    if not str(mount.get("mountPath") or "").startswith("/"):
        return "it has no mountPath"
    named = {str(volume["name"]) for volume in volumes}
    return "" if mount.get("name") in named else f"there is no volume {mount.get('name')} that counts"


def container(
    given: Mapping[str, Any], key: str, volumes: Sequence[Mapping[str, Any]], told: list[tuple[str, str]]
) -> dict[str, Any] | None:
    """A further container without privileges; None where it can't run. What of it does not count is added to `told`."""
    name = str(given.get("name") or "")
    where = f"{key}[{name}]"
    if not _NAME.fullmatch(name) or not given.get("image"):
        told.append((where, "a container has a name and an image"))
        return None
    if name == "base":
        told.append((where, "`base` is the task's own container"))
        return None
    if (given.get("securityContext") or {}).get("privileged"):
        told.append((where, "no pod of a version has privileges"))
        return None
    foreign = [
        each
        for each in given.get("env") or ()
        if (each.get("valueFrom") or {}).keys() & {"secretKeyRef", "configMapKeyRef"}
    ]
    if foreign or given.get("envFrom"):
        told.append((where, f"its variables come from Secrets or ConfigMaps that are not there; {SECRETS}"))
        return None
    made = {
        field: value for field, value in given.items() if field not in {"securityContext", "volumeMounts"}
    }
    if given.get("securityContext"):
        told.append((f"{where}.securityContext", "it runs without privileges, as all pods of a version"))
    kept = []
    for mount in given.get("volumeMounts") or ():
        problem = mount_problem(mount, volumes)
        if problem:
            told.append((f"{where}.volumeMounts[{mount.get('name')}]", problem))
        else:
            kept.append(mount)
    return {**made, "securityContext": _RESTRICTED, **({"volumeMounts": kept} if kept else {})}


def resources(
    given: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Requests and limits over ours. A limit that would lie below its request is as high as that.

    Raises ValueError for what is no quantity.
    """
    found: dict[str, dict[str, Any]] = {
        kind: {**defaults[kind], **(given.get(kind) or {})} for kind in ("requests", "limits")
    }
    found["limits"].pop("cpu", None)
    for kind in found.values():
        for quantity in kind.values():
            parse_quantity(quantity)
    for name, limit in found["limits"].items():
        wanted = found["requests"].get(name)
        if wanted is None or parse_quantity(wanted) <= parse_quantity(limit):
            continue
        if name in (given.get("limits") or {}):  # a limit that is theirs, below a request that is ours
            found["requests"][name] = limit
        else:
            found["limits"][name] = wanted
    return found


def images(values: Mapping[str, Any]) -> tuple[str, ...]:
    """What the further containers of task pods run, by values of our chart."""
    worker = values.get("worker") or {}
    each = [*(worker.get("sidecars") or ()), *(worker.get("initContainers") or ())]
    return tuple(dict.fromkeys(str(container["image"]) for container in each))
