"""Which nodes take pods of ours, and what their manifests have of a context's settings."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from harness.cluster.existing.allow_list import Allowed
from harness.cluster.placement import KIND, Placement, Toleration

CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
GPU = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


def node(*taints: dict[str, str], unschedulable: bool = False, **marks: str) -> dict[str, Any]:
    return {"metadata": {"labels": marks}, "spec": {"taints": list(taints), "unschedulable": unschedulable}}


def test_a_taint_closes_a_node_unless_it_is_tolerated() -> None:
    assert KIND.takes(node())
    assert KIND.takes(node({"key": "a", "effect": "PreferNoSchedule"}))
    assert not KIND.takes(node(CONTROL_PLANE))
    assert not KIND.takes(node(unschedulable=True))
    tolerant = Placement(tolerations=(Toleration("gpu", value="yes"),))
    assert tolerant.takes(node(GPU))
    assert not tolerant.takes(node({**GPU, "value": "no"}))
    assert not tolerant.takes(node(GPU, CONTROL_PLANE))
    assert Placement(tolerations=(Toleration(operator="Exists"),)).takes(node(GPU, CONTROL_PLANE))


def test_a_selector_chooses_nodes() -> None:
    chosen = Placement(node_selector={"pool": "ml"})
    assert chosen.takes(node(pool="ml", zone="a"))
    assert not chosen.takes(node(pool="web"))


def test_what_pods_have_of_it() -> None:
    settings = Placement(
        node_selector={"pool": "ml"},
        tolerations=(Toleration("gpu", "Exists"),),
        priority_class="low",
        annotations={"sidecar.istio.io/inject": "false"},
    )
    assert settings.pod_spec() == {
        "nodeSelector": {"pool": "ml"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "priorityClassName": "low",
    }
    assert settings.pods()["annotations"] == {"sidecar.istio.io/inject": "false"}
    assert KIND.pod_spec() == {}


def test_it_is_read_from_an_entry_of_contexts_toml() -> None:
    entry = {
        "server": "https://x",
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "priority_class": "low",
    }
    expected = Placement(
        tolerations=(Toleration("gpu", "Exists"),),
        node_selector={},
        priority_class="low",
        annotations={},
        quota={},
    )
    assert Allowed.model_validate(entry).placement == expected


@pytest.mark.parametrize("wrong", [{"access_mode": "any"}, {"storage_class": "A b"}, {"unknown": 1}])
def test_what_is_no_setting_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Allowed.model_validate({"server": "https://x", **wrong})
