"""One version's namespace and Airflow: made, awaited with a reason, and removed only when it is ours."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from doubles import Clock, Kubernetes, items

from harness.airflow import release
from harness.cluster.database import Credentials
from harness.errors import CauseCode, HarnessError

SPACE = "churn-01234567"
PATH = f"/api/v1/namespaces/{SPACE}"
PODS = f"{PATH}/pods"
WANTED = release.Release(
    namespace=SPACE,
    project="churn",
    commit="a" * 64,
    ref="feature/größer",
    tag="a" * 12,
    image="harness.local/churn:a",
    template="template_0",
    dags_folder="dags",
    base_url="http://churn.localhost:1",
)


OURS = {"metadata": {"labels": {"harness.local/created-by": "harness"}}}


class Server:
    """PostgreSQL that remembers which databases were made and dropped."""

    def __init__(self) -> None:
        self.created: list[tuple[str, str]] = []
        self.dropped: list[str] = []

    def create(self, database: str, template: str) -> Credentials:
        self.created.append((database, template))
        return Credentials(database, database, "data-base-pass")

    def drop(self, database: str) -> None:
        self.dropped.append(database)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(release, "time", clock)
    return clock


def pod(*containers: dict[str, Any], **status: object) -> dict[str, Any]:
    return items(
        {"metadata": {"name": "airflow-0"}, "status": {"containerStatuses": list(containers), **status}}
    )


def container(ready: bool = False, waiting: dict[str, str] | None = None) -> dict[str, Any]:
    state = {"waiting": waiting} if waiting else {"running": {}}
    return {"name": "airflow", "image": "harness.local/churn:a", "ready": ready, "state": state}


class TestMaking:
    def test_namespace(self) -> None:
        api = Kubernetes()
        release.create_namespace(api, WANTED)
        (made,) = api.requests
        marks, notes = made.body["metadata"]["labels"], made.body["metadata"]["annotations"]
        assert marks["harness.local/created-by"] == "harness"
        assert all(len(value) <= 63 for value in marks.values())
        assert notes["harness.local/ref"] == "feature/größer"

    def test_secrets_are_new_each_time_and_shown_nowhere(self) -> None:
        api, server = Kubernetes(), Server()
        logins = [release.prepare(api, WANTED, server) for _ in range(2)]
        assert server.created[0] == ("v_churn_01234567", "template_0")
        one, two = (each.body["stringData"] for each in api.asked("POST", f"{PATH}/secrets"))
        for name in ("fernet_key", "jwt_secret", "api_secret_key", "passwords.json"):
            assert one[name] != two[name]
        assert len(base64.urlsafe_b64decode(one["fernet_key"])) == 32
        assert logins[0].password in one["passwords.json"]
        assert logins[0].password not in repr(logins[0])

    def test_login_is_found_again(self) -> None:
        passwords = base64.b64encode(json.dumps({"harness": "pass"}).encode()).decode()
        api = Kubernetes({("GET", f"{PATH}/secrets/airflow"): {"data": {"passwords.json": passwords}}})
        assert release.login_of(api, SPACE) == release.Login("harness", "pass")

    def test_login_of_nothing(self) -> None:
        with pytest.raises(HarnessError, match="no version") as caught:
            release.login_of(Kubernetes(), SPACE)
        assert caught.value.cause is CauseCode.USAGE


class TestWaiting:
    def wait(self, api: Kubernetes) -> list[str]:
        seen: list[str] = []
        release.wait_ready(api, SPACE, deadline_s=10, on_change=seen.append)
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
        api.logs[f"{PODS}/airflow-0/log#airflow"] = "starting\nImportError: plugin"
        with pytest.raises(HarnessError, match="airflow does not start: ImportError: plugin") as caught:
            self.wait(api)
        assert caught.value.cause is CauseCode.DEPLOY_FAILED
        assert caught.value.evidence == ("starting", "ImportError: plugin")


class TestRemoving:
    def test_ours(self, clock: Clock) -> None:
        gone = Kubernetes()
        server, answers = Server(), [OURS, OURS, None]
        gone.answers["GET", PATH] = answers
        assert release.remove(gone, server, SPACE) is True
        assert PATH in [each.path for each in gone.asked("DELETE")]
        assert server.dropped == ["v_churn_01234567"]

    @pytest.mark.parametrize("marks", [{}, {"harness.local/created-by": "somebody"}])
    def test_not_what_is_not_ours(self, clock: Clock, marks: dict[str, str]) -> None:
        api, server = Kubernetes({("GET", PATH): {"metadata": {"labels": marks}}}), Server()
        with pytest.raises(HarnessError, match="was not made by harness") as caught:
            release.remove(api, server, SPACE)
        assert caught.value.cause is CauseCode.USAGE
        assert api.asked("DELETE") == []
        assert server.dropped == []

    def test_nothing(self, clock: Clock) -> None:
        server = Server()
        assert release.remove(Kubernetes(), server, SPACE) is False
        assert server.dropped == ["v_churn_01234567"]  # what a killed client may have left

    def test_one_that_does_not_go(self, clock: Clock) -> None:
        stuck = {**OURS, "status": {"conditions": [{"message": "finalizers remain"}]}}
        with pytest.raises(HarnessError, match="not gone after 5 s") as caught:
            release.remove(Kubernetes({("GET", PATH): stuck}), Server(), SPACE, deadline_s=5)
        assert caught.value.cause is CauseCode.CLUSTER_FAILED
        assert caught.value.evidence == ("finalizers remain",)
        assert 5 <= sum(clock.slept) < 6
