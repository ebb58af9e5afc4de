"""Pods that could not run: images, containers beside the task's own, quotas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from task_samples import BOOM, FAILED, POD, cause_of, error, log, raised

from harness.airflow.autopsy.pod_trouble import killed_sidecars, trouble
from harness.airflow.pods.pods import Container, Pod, Reason, Resources
from harness.airflow.rest.models import AuditEvent


def test_an_image_that_cannot_be_had() -> None:
    waiting = Container("base", waiting=Reason("ErrImageNeverPull", "not present"))
    cause = cause_of(pods=[replace(POD, phase="Pending", containers=(waiting,))])
    assert cause.code == "image_not_startable"
    assert "demo:abc" in cause.message


def with_containers(
    init: dict[str, Any] | None, *others: dict[str, Any], phase: str = "Failed", **spec: Any
) -> Pod:
    """A pod whose containers are in these states: one before the task's, the task's own, one beside it."""
    names = ["base", "exporter"][: len(others)]
    return Pod.of(
        {
            "metadata": {"name": POD.name, "annotations": {"task_id": "boom", "try_number": "1"}},
            "spec": {
                "nodeName": "n",
                "initContainers": [{"name": "fetch", "image": "team/fetch:2", **spec}],
                "containers": [
                    {"name": name, "image": image, "resources": {"limits": {"memory": limit}}}
                    for name, image, limit in (
                        ("base", "harness.local/demo:abc", "2Gi"),
                        ("exporter", "team/exporter:1", "64Mi"),
                    )
                ],
            },
            "status": {
                "phase": phase,
                "initContainerStatuses": [{"name": "fetch", "state": init}] if init else [],
                "containerStatuses": [
                    {"name": name, "state": state} for name, state in zip(names, others, strict=True)
                ],
            },
        }
    )


NOT_BEGUN = {"waiting": {"reason": "PodInitializing"}}


def test_an_init_container_that_failed() -> None:
    found = with_containers({"terminated": {"reason": "Error", "exitCode": 4}}, NOT_BEGUN)
    assert found.failed_init is not None
    said = "connecting\nno such bucket: features\n"
    cause = cause_of(pods=[found], log=said, audit=[mismatch("Pod failed because of None")])
    assert cause.code == "task_failed"
    assert cause.message == "task boom: init container fetch ended with exit code 4"
    assert "no such bucket: features" in cause.evidence


def test_an_init_container_that_did_its_work_or_stays_is_no_trouble() -> None:
    done = with_containers({"terminated": {"reason": "Completed", "exitCode": 0}}, {"running": {}})
    assert (done.failed_init, trouble(done)) == (None, None)
    ended = {"terminated": {"reason": "Error", "exitCode": 143}}
    sidecar = with_containers(ended, {"running": {}}, restartPolicy="Always")
    assert (sidecar.failed_init, trouble(sidecar)) == (None, None)


TOO_LARGE = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}


def test_a_container_beside_the_tasks_that_is_killed_is_not_the_task() -> None:
    for phase in ("Running", "Failed"):
        found = with_containers(None, {"running": {}}, TOO_LARGE, phase=phase)
        assert trouble(found) is None
        assert killed_sidecars(found) == (
            "container exporter beside it was killed for using more memory than its limit of 64Mi",
        )
        cause = cause_of(pods=[found], log=log(raised(error("ValueError", "bad shape", BOOM))))
        assert (cause.code, "bad shape" in cause.message) == ("task_failed", True)


def test_an_image_of_another_container_is_named_as_that_containers() -> None:
    pulling = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}
    found = trouble(with_containers(pulling, NOT_BEGUN, phase="Pending"))
    assert found is not None
    assert found.error.message.startswith(
        "the node cannot get image team/fetch:2 of container fetch: ImagePull"
    )
    assert "pod_override" in found.error.hint
    own = trouble(with_containers(None, pulling, {"running": {}}, phase="Pending"))
    assert own is not None
    assert own.error.message.startswith("the node cannot get image harness.local/demo:abc: ImagePullBackOff")
    assert own.error.hint == "run the command again: it loads what the node lacks"


def test_a_command_of_another_container_that_does_not_start() -> None:
    missing = {"terminated": {"reason": "StartError", "exitCode": 128, "message": "no such file"}}
    found = trouble(with_containers(missing, NOT_BEGUN))
    assert found is not None
    assert found.error.message == "image team/fetch:2 of container fetch does not start: no such file"
    assert "python" not in found.error.hint


def test_the_tasks_own_container_has_its_own_limit() -> None:
    found = with_containers(None, TOO_LARGE, {"running": {}})
    assert killed_sidecars(found) == ()
    assert cause_of(pods=[found]).message == "task boom: killed for using more memory than its limit of 2Gi"


def test_an_init_container_has_a_limit_of_its_own() -> None:
    limits = {"limits": {"memory": "1Gi"}}
    cause = cause_of(pods=[with_containers(TOO_LARGE, NOT_BEGUN, resources=limits)])
    assert cause.code == "task_out_of_memory"
    assert (
        cause.message
        == "task boom: init container fetch was killed for using more memory than its limit of 1Gi"
    )
    assert "`fetch`" in cause.hint


def mismatch(info: str) -> AuditEvent:
    text = f"The executor reported that the task instance finished with state failed. Extra info: {info}"
    return AuditEvent("state mismatch", "boom", -1, 1, text)


def test_a_quota_that_left_no_room_for_the_pod() -> None:
    info = '(403) Reason: Forbidden body: {"message":"pods \\"x\\" is forbidden: exceeded quota: version"}'
    cause = cause_of(replace(FAILED, started_at=None), audit=[mismatch(info)])
    assert cause.code == "quota_exceeded"


def test_a_pod_that_airflow_could_not_make() -> None:
    cause = cause_of(replace(FAILED, started_at=None), audit=[mismatch("(422) Reason: Unprocessable Entity")])
    assert cause.code == "pod_not_started"
    assert cause.message == "task boom was failed by Airflow: (422) Reason: Unprocessable Entity"


def test_a_pod_that_works_is_no_trouble() -> None:
    for phase in ("Pending", "Running", "Succeeded"):
        assert trouble(replace(POD, phase=phase)) is None
    small = replace(
        POD, phase="Pending", node="", unschedulable="1 Insufficient cpu", requests=Resources(1.0)
    )
    assert trouble(small, Resources(2.0, 2**30)) is None
    assert trouble(small, Resources(0.5, 2**30)) is not None


# What must not get out.


def test_other_tasks_events_are_not_this_ones() -> None:
    others = [replace(mismatch("x"), task_id="other"), replace(mismatch("x"), try_number=7)]
    assert cause_of(audit=others).message == "task boom failed and its log does not say why"
