"""What a kubelet has not measured is not told as nothing used."""

from __future__ import annotations

from typing import Any

from doubles import Kubernetes, items

from harness.engine.status import Usage, usage


def pod(namespace: str, *, memory: dict[str, int], nano_cores: int = 0) -> dict[str, Any]:
    return {"podRef": {"namespace": namespace}, "memory": memory, "cpu": {"usageNanoCores": nano_cores}}


def test_pods_are_added_and_what_is_not_measured_yet_is_left_out() -> None:
    summary = {
        "pods": [
            pod("a", memory={"workingSetBytes": 100}, nano_cores=5 * 10**8),
            pod("a", memory={"workingSetBytes": 50}, nano_cores=25 * 10**7),
            pod("b", memory={"workingSetBytes": 0}),
            pod("c", memory={}),
        ]
    }
    api = Kubernetes(
        {
            ("GET", "/api/v1/nodes"): items({"metadata": {"name": "n"}}),
            ("GET", "/api/v1/nodes/n/proxy/stats/summary"): summary,
        }
    )
    assert usage(api) == {"a": Usage(0.75, 150)}
