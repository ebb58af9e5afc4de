"""Pods as the cluster tells of them: what they ask for, and what they wait for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_samples import pod, waiting

from harness.airflow.pods.pods import Pod, Resources, parse_quantity, shown_bytes

MANIFEST = {
    "metadata": {
        "name": "good-fit-7h2k",
        "creationTimestamp": "2026-11-22T19:42:50Z",
        "annotations": {
            "dag_id": "good",
            "run_id": "harness-1",
            "task_id": "fit",
            "try_number": "2",
            "map_index": "3",
        },
    },
    "spec": {
        "nodeName": "harness-control-plane",
        "containers": [
            {"name": "sidecar", "image": "other:1"},
            {
                "name": "base",
                "image": "demo:abc",
                "resources": {
                    "requests": {"cpu": "100m", "memory": "256Mi"},
                    "limits": {"memory": "2Gi", "ephemeral-storage": "10Gi"},
                },
            },
        ],
    },
    "status": {
        "phase": "Failed",
        "containerStatuses": [
            {
                "name": "base",
                "image": "demo:abc",
                "imageID": "sha256:1234",
                "state": {
                    "terminated": {
                        "exitCode": 137,
                        "reason": "OOMKilled",
                        "startedAt": "2026-11-22T19:42:52Z",
                        "finishedAt": "2026-11-22T19:43:00Z",
                    }
                },
            }
        ],
    },
}


def test_reads_a_pod_from_the_clusters_json() -> None:
    found = Pod.of(MANIFEST)
    assert found.key == ("fit", 3, 2)
    assert (found.dag_id, found.run_id, found.node) == ("good", "harness-1", "harness-control-plane")
    assert found.base is not None
    assert (found.base.ended.reason, found.base.exit_code) == ("OOMKilled", 137)
    assert (found.image, found.image_id) == ("demo:abc", "sha256:1234")
    assert found.requests == Resources(0.1, 256 * 2**20)
    assert found.limits == Resources(None, 2 * 2**30, (("ephemeral-storage", 10 * 2.0**30),))
    assert found.ended
    assert not found.deleted
    assert found.started_at is not None
    assert found.ended_at is not None
    assert (found.ended_at - found.started_at).total_seconds() == 8


def test_a_pod_asks_for_what_its_containers_do_together() -> None:
    def container(name: str, **requests: str) -> dict[str, Any]:
        return {"name": name, "image": "demo:abc", "resources": {"requests": requests}}

    spec = {
        "initContainers": [
            container("fetch", cpu="3", **{"ephemeral-storage": "1Gi"}),
            container("proxy", memory="1Gi") | {"restartPolicy": "Always"},
            container("check", memory="2Gi"),
        ],
        "containers": [
            container("base", cpu="1", memory="256Mi", **{"nvidia.com/gpu": "1"}),
            container("exporter", cpu="500m", memory="256Mi", **{"nvidia.com/gpu": "1"}),
        ],
    }
    others = (("ephemeral-storage", 2.0**30), ("nvidia.com/gpu", 2.0))
    assert Pod.of(MANIFEST | {"spec": spec}).requests == Resources(3.0, 3.0 * 2**30, others)


def test_reads_a_pod_that_no_node_takes() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    status = {"phase": "Pending", "conditions": [condition]}
    spec = {"containers": [{"name": "base", "image": "demo:abc"}]}
    found = Pod.of(MANIFEST | {"spec": spec, "status": status})
    assert found.unschedulable == "0/1 nodes"
    assert found.base is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("250m", 0.25),
        ("2", 2.0),
        ("1.5Gi", 1.5 * 2**30),
        ("64Mi", 2**26),
        ("1G", 1e9),
        ("2e3", 2e3),
        (4, 4.0),
    ],
)
def test_quantities(text: str | int, number: float) -> None:
    assert parse_quantity(text) == number


@given(st.text())
def test_quantities_are_numbers_or_refused(text: str) -> None:
    try:
        assert parse_quantity(text) >= 0
    except ValueError:
        return


@given(st.integers(1, 2**50))
def test_shown_bytes_stay_close(number: int) -> None:
    assert parse_quantity(shown_bytes(number)) == pytest.approx(number, rel=0.01)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (
            pod("fit", phase="Pending", unschedulable="0/1 nodes: Insufficient cpu"),
            "0/1 nodes: Insufficient cpu",
        ),
        (pod("fit", phase="Pending", containers=waiting("ImagePullBackOff")), "ImagePullBackOff"),
        (pod("fit", phase="Pending", containers=waiting("ContainerCreating")), ""),
        (pod("fit", phase="Running"), ""),
    ],
)
def test_what_a_pod_waits_for(found: Pod, reason: str) -> None:
    assert found.waits_for == reason
