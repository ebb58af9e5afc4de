"""A control plane awaited: ready, slow, or hopeless, each told with its reason."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from doubles import Clock, Kubernetes, items

from harness.airflow.release import control_plane
from harness.errors import CauseCode, HarnessError
from harness.host import background

SPACE = "churn-01234567"
PATH = f"/api/v1/namespaces/{SPACE}"
PODS = f"{PATH}/pods"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(control_plane, "time", clock)
    return clock


def pod(*containers: dict[str, Any], **status: object) -> dict[str, Any]:
    return items(
        {"metadata": {"name": "airflow-0"}, "status": {"containerStatuses": list(containers), **status}}
    )


def container(ready: bool = False, waiting: dict[str, str] | None = None) -> dict[str, Any]:
    state = {"waiting": waiting} if waiting else {"running": {}}
    return {"name": "airflow", "image": "harness.local/churn:a", "ready": ready, "state": state}


class TestWaiting:
    def wait(self, api: Kubernetes) -> list[str]:
        seen: list[str] = []
        control_plane.wait_ready(api, SPACE, deadline_s=10, on_change=seen.append)
        return seen

    def test_until_ready(self, clock: Clock) -> None:
        states = [items(), pod(), pod(container()), pod(container()), pod(container(ready=True))]
        seen = self.wait(Kubernetes({("GET", PODS): states}))
        assert seen == ["no pod yet", "the pod is being started", "waiting for airflow"]

    def test_as_long_as_something_moves(self, clock: Clock) -> None:
        """Each state lasts nearly as long as the deadline: a busy machine is waited for."""
        began_s = clock.now_s
        states = [items(), pod(), pod(container()), pod(container(ready=True))]
        api = Kubernetes({("GET", PODS): lambda: states[min(3, int((clock.now_s - began_s) // 9))]})
        self.wait(api)
        assert sum(clock.slept) == pytest.approx(27, abs=1)

    @pytest.mark.parametrize(
        ("stuck", "reason"),
        [
            (items(), "no pod yet"),
            (
                pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "no room"}]),
                "no room",
            ),
            (pod(container()), "waiting for airflow"),
        ],
    )
    def test_not_when_nothing_moves(self, clock: Clock, stuck: object, reason: str) -> None:
        warning = {
            "metadata": {"creationTimestamp": "x"},
            "involvedObject": {"name": "p"},
            "message": "slow disk",
        }
        api = Kubernetes({("GET", PODS): stuck, ("GET", f"{PATH}/events"): items(warning)})
        with pytest.raises(HarnessError, match=f"made no progress for 10 s: {reason}") as caught:
            self.wait(api)
        assert caught.value.cause is CauseCode.DEPLOY_TIMEOUT
        assert caught.value.evidence == ("p: slow disk",)
        assert 10 <= sum(clock.slept) < 11

    def test_not_when_it_goes_in_circles(self, clock: Clock) -> None:
        states = [items(), pod(), pod(container())]
        turns = iter(range(10_000))
        api = Kubernetes({("GET", PODS): lambda: states[next(turns) % 3]})
        with pytest.raises(HarnessError, match="made no progress for 10 s"):
            self.wait(api)
        assert 10 <= sum(clock.slept) < 12

    def test_not_once_it_was_stopped(self, clock: Clock) -> None:
        """After Ctrl-C its namespace goes, and with it the pod that is waited for."""
        begun, ended = threading.Event(), list[str]()

        def asked() -> dict[str, Any]:
            begun.set()
            time.sleep(0.01)
            return items()

        def wait() -> None:
            try:
                control_plane.wait_ready(
                    Kubernetes({("GET", PODS): asked}), SPACE, deadline_s=1e6, on_change=lambda _: None
                )
            except HarnessError as error:
                ended.append(error.cause.code)

        def interrupted() -> None:
            with background.threads(1, lambda _: None) as pool:
                pool.submit(wait)
                assert begun.wait(10)
                raise KeyError

        with pytest.raises(KeyError):
            interrupted()
        assert ended == ["interrupted"]

    @pytest.mark.parametrize("reason", ["ErrImageNeverPull", "ImagePullBackOff", "InvalidImageName"])
    def test_not_for_an_image_that_is_not_there(self, clock: Clock, reason: str) -> None:
        api = Kubernetes(
            {("GET", PODS): pod(container(waiting={"reason": reason, "message": "not present"}))}
        )
        with pytest.raises(HarnessError, match=f"harness.local/churn:a: {reason} not present") as caught:
            self.wait(api)
        assert caught.value.cause is CauseCode.IMAGE_NOT_STARTABLE
        assert clock.slept == []

    def test_not_for_what_crashes(self, clock: Clock) -> None:
        api = Kubernetes({("GET", PODS): pod(container(waiting={"reason": "CrashLoopBackOff"}))})
        api.logs[f"{PODS}/airflow-0/log#airflow"] = "starting\nOSError: no room"
        with pytest.raises(HarnessError, match="airflow does not start: OSError: no room") as caught:
            self.wait(api)
        assert caught.value.cause is CauseCode.DEPLOY_FAILED
        assert caught.value.evidence == ("starting", "OSError: no room")

    def test_not_for_what_its_packages_crash(self, clock: Clock) -> None:
        api = Kubernetes({("GET", PODS): pod(container(waiting={"reason": "CrashLoopBackOff"}))})
        api.logs[f"{PODS}/airflow-0/log#airflow"] = "starting\nImportError: no name 'x' in pydantic"
        with pytest.raises(
            HarnessError, match="can't run with the packages of the lock: ImportError"
        ) as caught:
            self.wait(api)
        assert caught.value.cause is CauseCode.DEPENDENCIES_INCOMPATIBLE
