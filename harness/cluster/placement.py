"""What a cluster that isn't ours asks of all that harness puts on it: where pods go, and what volumes are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

PULL_SECRET = "registry"  # noqa: S105 the login of the registry, in each namespace of ours
NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Toleration:
    """A taint that pods put up with, in Kubernetes' own words."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: int | None = None  # noqa: N815  as Kubernetes spells it

    def tolerates(self, taint: dict[str, Any]) -> bool:
        """Whether a pod with it may go to a node with this taint."""
        if self.effect and self.effect != taint.get("effect"):
            return False
        if self.operator == "Exists":
            return self.key is None or self.key == taint.get("key")
        return self.key == taint.get("key") and (self.value or "") == (taint.get("value") or "")


@dataclass(frozen=True)
class Placement:
    """Settings of a context, by the same names as in contexts.toml; all of them may be left out."""

    storage_class: str = ""
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce"
    node_selector: Mapping[str, str] = field(default_factory=lambda: NONE)
    tolerations: tuple[Toleration, ...] = ()
    priority_class: str = ""
    pull_secrets: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=lambda: NONE)
    quota: Mapping[str, str] = field(default_factory=lambda: NONE)
    namespaces: tuple[str, ...] = ()

    @property
    def on_one_node(self) -> bool:
        """Whether a version's pods must go to one node, since no other may have its volume at the same time."""
        return self.access_mode == "ReadWriteOnce"

    def takes(self, node: dict[str, Any]) -> bool:
        """Whether pods of ours may go to this node."""
        spec, marks = node.get("spec") or {}, (node.get("metadata") or {}).get("labels") or {}
        if spec.get("unschedulable") or not self.node_selector.items() <= marks.items():
            return False
        closing = [
            each for each in spec.get("taints") or () if each.get("effect") in {"NoSchedule", "NoExecute"}
        ]
        return all(any(one.tolerates(taint) for one in self.tolerations) for taint in closing)

    def pods(self) -> dict[str, Any]:
        """What every pod's manifest has of it, as the charts name it."""
        return {
            "nodeSelector": dict(self.node_selector),
            "tolerations": [
                {key: value for key, value in vars(each).items() if value is not None}
                for each in self.tolerations
            ],
            "priorityClassName": self.priority_class,
            "annotations": dict(self.annotations),
        }

    def pod_spec(self) -> dict[str, Any]:
        """The same for the spec of a pod that no chart makes."""
        found = self.pods()
        del found["annotations"]
        return {key: value for key, value in found.items() if value}


KIND = Placement(storage_class="standard")  # of a cluster that kind made
