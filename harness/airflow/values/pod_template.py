"""A team's own pod template, taken apart: what of it can stand in ours, and what can't."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.airflow.values.official import IMAGE, NODES, TEMPLATED
from harness.airflow.values.work import Work, document

_NODES = ("nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "schedulerName", "priorityClassName",
          "runtimeClassName", "hostAliases", "nodeName", "priority")  # fmt: skip
_OF_HARNESS = "the template of harness says it"


def taken_apart(work: Work, key: str, text: object) -> bool:
    """Take over what a template of task pods adds to harness's; all else is told."""
    try:
        pod = document(str(text))
    except ValueError:
        pod = None
    if not isinstance(pod, Mapping) or not isinstance(pod.get("spec"), Mapping):
        return work.refuse(key, TEMPLATED if "{{" in str(text) else "it is no template of a pod")
    about = _table(work, f"{key}.metadata", pod.get("metadata"))
    for kind in ("annotations", "labels"):
        for name, value in _table(work, f"{key}.metadata.{kind}", about.get(kind)).items():
            work.metadata(f"{key}.metadata.{kind}.{name}", kind, str(name), value)
    spec: Mapping[str, Any] = pod["spec"]
    if "volumes" in spec:
        work.volumes(f"{key}.spec.volumes", spec["volumes"], everywhere=False)
    if "initContainers" in spec:
        work.containers(f"{key}.spec.initContainers", spec["initContainers"], "initContainers")
    containers = work.listed(f"{key}.spec.containers", spec.get("containers") or []) or []
    for container in containers:
        if container.get("name") == "base":
            _base(work, f"{key}.spec.containers[base]", container)
        else:
            work.containers(f"{key}.spec.containers", [container], "sidecars")
    for name in spec:
        if name not in {"volumes", "initContainers", "containers"}:
            work.refuse(f"{key}.spec.{name}", NODES if name in _NODES else _OF_HARNESS)
    return True


def _base(work: Work, key: str, container: Mapping[str, Any]) -> None:
    for name, value in container.items():
        each = f"{key}.{name}"
        if name == "name":
            continue
        if name == "image":
            work.refuse(each, IMAGE)
        elif name == "env":
            work.variables(each, value, work.task_environment)
        elif name == "envFrom":
            work.variables_from(each, value)
        elif name == "volumeMounts":
            work.mounts(each, value, everywhere=False)
        elif name == "resources" and isinstance(value, Mapping):
            for kind, quantities in value.items():
                for quantity, amount in (quantities or {}).items() if isinstance(quantities, Mapping) else ():
                    work.resource("worker", (str(kind), str(quantity)), amount)
        else:
            work.refuse(each, _OF_HARNESS)


def _table(work: Work, key: str, value: object) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        work.refuse(key, "it is no table")
    return value if isinstance(value, Mapping) else {}
