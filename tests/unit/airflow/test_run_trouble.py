"""What ends a run long before Airflow would end it: pods that can never start, and pools that can never take a task."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from run_samples import Running, followed, pod, task, waiting

from harness.airflow.autopsy.pod_trouble import trouble
from harness.airflow.pods.pods import Container, Pod, Reason, Resources
from harness.errors import CauseCode

HOPELESS = {
    "image": (
        pod("fit", node="n", containers=waiting("ErrImageNeverPull", "not present")),
        CauseCode.IMAGE_NOT_STARTABLE,
        "demo:abc",
    ),
    "no python": (
        pod("fit", node="n", phase="Failed", containers=(Container("base", ended=Reason("StartError")),)),
        CauseCode.IMAGE_NOT_STARTABLE,
        "does not start",
    ),
    "secret": (
        pod("fit", node="n", containers=waiting("CreateContainerConfigError", 'secret "s" not found')),
        CauseCode.POD_NOT_STARTED,
        'secret "s" not found',
    ),
    "too large": (
        pod("fit", unschedulable="1 Insufficient memory", requests=Resources(0.1, 64 * 2**30)),
        CauseCode.REQUEST_TOO_LARGE,
        "64Gi of memory, and the largest node has 2 CPU, 24Gi",
    ),
}


NODE = {
    "cpu": "2",
    "memory": "24Gi",
    "ephemeral-storage": "100Gi",
    "hugepages-1Gi": "0",
    "hugepages-2Mi": "0",
    "pods": "110",
}


@pytest.mark.parametrize(
    ("requests", "text", "hint"),
    [
        ({"nvidia.com/gpu": "1"}, "it requests 1 nvidia.com/gpu, and the largest node has 2 CPU", "no node"),
        ({"nvidia.com/gpu": "1"}, "0 nvidia.com/gpu", "take nvidia.com/gpu out of"),
        ({"ephemeral-storage": "200Gi"}, "24Gi of memory, 100Gi of ephemeral-storage", "lower the requests"),
        ({"hugepages-2Mi": "1Gi"}, "0 of hugepages-2Mi", "take hugepages-2Mi out of"),
    ],
)
def test_what_no_node_has_is_told_within_seconds(requests: dict[str, str], text: str, hint: str) -> None:
    (name,) = requests
    found = pod(
        "fit",
        unschedulable=f"0/1 nodes are available: 1 Insufficient {name}.",
        requests=Resources.of(requests),
    )
    running = Running([("running", [task("fit", "queued")], [found])], room=Resources.of(NODE))
    outcome, _, _, took_s = followed(running)
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.REQUEST_TOO_LARGE
    assert text in outcome.error.message
    assert hint in outcome.error.hint
    assert took_s <= 10


LARGEST = Resources.of(NODE)
WITH_GPU = Resources.of({"cpu": "8", "memory": "16Gi", "nvidia.com/gpu": "1"})


@pytest.mark.parametrize(
    "requests",
    [{"nvidia.com/gpu": "1"}, {"cpu": "6", "memory": "12Gi"}, {"cpu": "1", "memory": "20Gi"}],
    ids=str,
)
def test_what_any_node_can_hold_is_waited_for(requests: dict[str, str]) -> None:
    full = pod("fit", unschedulable="2 Insufficient x.", requests=Resources.of(requests))
    running = Running([("running", [task("fit", "queued")], [full])], nodes=(LARGEST, WITH_GPU))
    outcome, _, _, took_s = followed(running, timeout_s=30)
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.POD_NOT_STARTED
    assert took_s >= 30


@pytest.mark.parametrize(
    ("requests", "has", "hint"),
    [
        ({"cpu": "6", "memory": "20Gi"}, "has 2 CPU, 24Gi of memory for it", "lower the requests"),
        ({"nvidia.com/gpu": "4"}, "has 8 CPU, 16Gi of memory, 1 nvidia.com/gpu for it", "lower the requests"),
        ({"example.com/fpga": "1"}, "has 2 CPU, 24Gi of memory, 0 example.com/fpga", "take example.com/fpga"),
    ],
)
def test_what_no_single_node_can_hold_is_told(requests: dict[str, str], has: str, hint: str) -> None:
    found = pod("fit", unschedulable="2 Insufficient x.", requests=Resources.of(requests))
    running = Running([("running", [task("fit", "queued")], [found])], nodes=(LARGEST, WITH_GPU))
    outcome, _, _, _ = followed(running)
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.REQUEST_TOO_LARGE
    assert has in outcome.error.message
    assert hint in outcome.error.hint


def test_a_resource_that_others_hold_now_is_waited_for() -> None:
    requests = Resources.of({"cpu": "1", "ephemeral-storage": "10Gi", "example.com/fpga": "1"})
    room = Resources.of({**NODE, "example.com/fpga": "1"})
    full = pod("fit", unschedulable="1 Insufficient example.com/fpga.", requests=requests)
    outcome, _, _, _ = followed(
        Running([("running", [task("fit", "queued")], [full])], room=room), timeout_s=30
    )
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.POD_NOT_STARTED


@pytest.mark.parametrize(("found", "cause", "text"), HOPELESS.values(), ids=HOPELESS)
def test_a_pod_that_cannot_start_ends_the_run_within_seconds(found: Pod, cause: CauseCode, text: str) -> None:
    running = Running([("running", [task("fit", "queued")], [found])], room=Resources(2.0, 24 * 2**30))
    outcome, _, _, took_s = followed(running)
    assert outcome.error is not None
    assert outcome.error.cause is cause
    assert outcome.error.task_id == "fit"
    assert text in outcome.error.message
    assert took_s <= 10


def test_a_pod_that_no_node_may_take_is_given_a_moment_longer() -> None:
    selector = pod("fit", unschedulable="0/1 nodes are available: 1 node(s) didn't match node selector.")
    outcome, _, _, took_s = followed(Running([("running", [task("fit", "queued")], [selector])]))
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.POD_NOT_STARTED
    assert 20 <= took_s <= 21


def test_trouble_that_passes_is_no_trouble() -> None:
    bad = pod("fit", node="n", containers=waiting("ErrImagePull"))
    good = pod("fit", node="n", phase="Running")
    frames = [("running", [task("fit", "queued")], [bad])] * 8
    frames += [("running", [task("fit", "running")], [good])] * 8
    frames += [("running", [task("fit", "queued")], [bad])] * 8 + [("success", [], [])]
    outcome, _, _, _ = followed(Running(frames))
    assert outcome.succeeded


def test_waiting_for_room_is_patient_until_the_timeout() -> None:
    full = pod("fit", unschedulable="0/1 nodes are available: 1 Insufficient cpu.", requests=Resources(1.0))
    running = Running([("running", [task("fit", "queued")], [full])], room=Resources(2.0, 2**30))
    outcome, _, _, took_s = followed(running, timeout_s=90)
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.POD_NOT_STARTED
    assert "Insufficient cpu" in outcome.error.message
    assert took_s > 90


def test_a_volume_that_cannot_be_mounted_is_told_by_its_event() -> None:
    stuck = pod("fit", node="n", containers=waiting("ContainerCreating"))
    running = Running(
        [("running", [task("fit", "queued")], [stuck])],
        warnings={stuck.name: ('MountVolume.SetUp failed: configmap "x" not found',)},
    )
    outcome, _, _, took_s = followed(running)
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.POD_NOT_STARTED
    assert 'configmap "x" not found' in outcome.error.message
    assert 20 <= took_s < 22


def test_a_configmap_that_the_kubelet_has_not_heard_of_yet_is_waited_for() -> None:
    late = Container(
        "base",
        waiting=Reason(
            "CreateContainerConfigError",
            "failed to sync configmap cache: timed out waiting for the condition",
        ),
    )
    assert trouble(pod("fit", containers=(late,)), None) is None
    missing = replace(late, waiting=replace(late.waiting, message='configmap "x" not found'))
    assert trouble(pod("fit", containers=(missing,)), None) is not None


def test_a_pod_that_vanished_was_deleted() -> None:
    alive = pod("fit", node="n", phase="Running")
    frames = [
        ("running", [task("fit", "running")], [alive]),
        ("failed", [task("fit", "failed")], []),
    ]
    outcome, _, _, _ = followed(Running(frames))
    assert [entry.deleted for entry in outcome.pods] == [True]
    assert outcome.error is None


def test_a_process_that_ends_without_a_word_is_told_and_not_waited_for() -> None:
    ended = pod("fit", node="n", phase="Succeeded")
    outcome, _, _, took_s = followed(Running([("running", [task("fit", "running")], [ended])]))
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.TASK_FAILED
    assert "exit code 0 and told Airflow nothing" in outcome.error.message
    assert 20 <= took_s < 22


def test_a_pod_that_ended_before_airflow_was_asked_again_is_no_trouble() -> None:
    running, ended = pod("fit", node="n", phase="Running"), pod("fit", node="n", phase="Succeeded")
    frames = [
        ("running", [task("fit", "running")], [running]),
        *[("running", [task("fit", "running")], [ended])] * 9,
        ("success", [task("fit", "success")], [ended]),
    ]
    outcome, *_ = followed(Running(frames))
    assert outcome.succeeded


def test_the_pods_of_other_runs_are_no_pods_of_its_tasks_of_the_same_names() -> None:
    before = pod("fit", name="other-dag", dag_id="other", phase="Failed")
    triggered = pod("fit", name="other-run", run_id="triggered", phase="Running")
    outcome, told, _, _ = followed(
        Running([("failed", [task("fit", "failed")], [before, triggered])]),
    )
    assert outcome.pods == ()
    assert told == ["fit/1 failed -"]


def test_a_pod_that_ended_and_was_cleaned_up_was_not_deleted() -> None:
    ended = pod("fit", node="n", phase="Succeeded")
    outcome, _, _, _ = followed(
        Running([("running", [task("fit", "running")], [ended]), ("success", [task("fit", "success")], [])])
    )
    assert [entry.deleted for entry in outcome.pods] == [False]


@pytest.mark.parametrize(
    ("wanted", "cause", "text", "hint"),
    [
        (
            {"pool": "gpu"},
            CauseCode.TASK_FAILED,
            "task fit waits for pool 'gpu', which does not exist",
            "no pool but default_pool, endless",
        ),
        (
            {"pool_slots": 129},
            CauseCode.REQUEST_TOO_LARGE,
            "task fit waits for 129 slots of pool 'default_pool', which has 128",
            "pool_slots",
        ),
    ],
)
def test_a_pool_that_can_never_take_a_task(
    wanted: dict[str, Any], cause: CauseCode, text: str, hint: str
) -> None:
    running = Running([("running", [task("fit", "scheduled", **wanted), task("other", "running")], [])])
    outcome, _, _, took_s = followed(running)
    assert outcome.error is not None
    assert (outcome.error.cause, outcome.error.message, outcome.error.task_id) == (cause, text, "fit")
    assert hint in outcome.error.hint
    assert 15 <= took_s <= 16


def test_a_pool_that_is_full_is_waited_for() -> None:
    many = task("other", "scheduled", pool="endless", pool_slots=999)
    running = Running([("running", [task("fit", "scheduled", pool_slots=128), many], [])])
    outcome, _, _, _ = followed(running, timeout_s=60)
    assert outcome.error is not None
    assert outcome.error.cause is CauseCode.RUN_TIMEOUT
    assert running.asked_for_pools == 1


def test_a_task_that_is_scheduled_for_a_moment_is_no_reason_to_ask() -> None:
    frames = [("running", [task("fit", "scheduled", pool="gpu")], [])] * 20
    frames += [("running", [task("fit", "scheduled", pool="gpu", try_number=2)], [])] * 20
    running = Running([*frames, ("success", [], [])])
    assert followed(running)[0].succeeded
    assert running.asked_for_pools == 0


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("EvictionByEvictionAPI", CauseCode.POD_EVICTED),
        ("PreemptionByScheduler", CauseCode.POD_EVICTED),
        ("DeletionByTaintManager", CauseCode.NODE_NOT_READY),
    ],
)
def test_what_the_cluster_did_on_purpose_is_no_deletion_by_someone(reason: str, code: CauseCode) -> None:
    manifest = {
        "metadata": {"name": "p", "deletionTimestamp": "2026-11-22T19:42:50Z"},
        "spec": {"containers": [{"name": "base"}], "nodeName": "n1"},
        "status": {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason}]},
    }
    found = trouble(Pod.of(manifest))
    assert found is not None
    assert found.error.cause is code
    assert trouble(replace(Pod.of(manifest), phase="Succeeded")) is None


def test_a_scheduler_that_is_not_there_and_a_deadline_of_the_pods_own() -> None:
    lonely = trouble(pod("fit", scheduler="gpu-scheduler"))
    assert lonely is not None
    assert "it asks for the scheduler gpu-scheduler" in lonely.error.message
    late = trouble(pod("fit", phase="Failed", reason="DeadlineExceeded", node="n1"))
    assert late is not None
    assert late.error.cause is CauseCode.TASK_FAILED
    assert "activeDeadlineSeconds" in late.error.hint


def test_what_is_left_of_a_node() -> None:
    node = Resources.of({"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"})
    left = node.without(Resources.of({"cpu": "950m", "memory": "1Gi"})).without(Resources.of({"cpu": "3"}))
    assert str(left) == "0 CPU, 3Gi of memory, 1 nvidia.com/gpu"
    assert Resources().without(node) == Resources()
