"""What versions share on a cluster: installed once, mended when needed, awaited with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from doubles import Clock, Kubernetes, items, refusal

from harness.cluster.place import Cluster
from harness.cluster.services import given_server, services
from harness.cluster.services.given_server import GivenServer
from harness.errors import CauseCode, HarnessError

SYSTEM = "/api/v1/namespaces/harness-system"
DEPLOYMENTS = "/apis/apps/v1/namespaces/harness-system/deployments"
DNS = "/api/v1/namespaces/kube-system/services/kube-dns"
OURS = Cluster("harness", Path("/nowhere"), ("node",), 30080)
IMAGES = {"postgresql": "system:1", "gateway": "system:1"}


def deployment(name: str, available: int | None = 1) -> dict[str, Any]:
    status = {} if available is None else {"availableReplicas": available}
    return {"metadata": {"name": name}, "spec": {"replicas": 1}, "status": status}


def pod(**status: object) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "status": {"phase": "Pending", **status}}


READY = items(deployment("postgres"), deployment("gateway"))


class Helm:
    """Remembers what it was told to install."""

    def __init__(self) -> None:
        self.upgrades: list[tuple[str, str, Mapping[str, Any]]] = []

    def upgrade(self, release: str, chart: Path, namespace: str, values: Mapping[str, Any]) -> None:
        assert (chart / "Chart.yaml").is_file()
        self.upgrades.append((release, namespace, values))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(services, "time", clock)
    return clock


class TestInstall:
    def api(self) -> Kubernetes:
        return Kubernetes({("GET", DNS): {"spec": {"clusterIP": "10.96.0.10"}}, ("GET", DEPLOYMENTS): READY})

    def test_once(self) -> None:
        api, helm = self.api(), Helm()
        assert services.install(api, helm, IMAGES, origin={"source": "packages"}, cluster=OURS) is True
        ((release, namespace, values),) = helm.upgrades
        assert (release, namespace) == ("cluster", "harness-system")
        assert values["gateway"]["resolver"] == "10.96.0.10"
        assert values["labels"]["harness.local/created-by"] == "harness"
        marker = api.requests[-1]  # last: who finds it finds everything
        assert marker.path == f"{SYSTEM}/configmaps/harness"
        assert marker.body["data"]["source"] == "packages"

        api.answers["GET", f"{SYSTEM}/configmaps/harness"] = marker.body
        assert services.recorded(api) == marker.body["data"]
        assert services.install(api, helm, IMAGES, origin={}, cluster=OURS) is False
        assert len(helm.upgrades) == 1

    @pytest.mark.parametrize("change", ["image", "unready"])
    def test_again_when_something_changed(self, change: str) -> None:
        api, helm = self.api(), Helm()
        services.install(api, helm, IMAGES, origin={}, cluster=OURS)
        api.answers["GET", f"{SYSTEM}/configmaps/harness"] = api.requests[-1].body
        if change == "unready":
            api.answers["GET", DEPLOYMENTS] = items(deployment("postgres"))
        images = {**IMAGES, "gateway": "system:2"} if change == "image" else IMAGES
        assert services.install(api, helm, images, origin={}, cluster=OURS) is True

    def test_the_password_is_made_once_and_stays_out_of_helm(self) -> None:
        api, helm = self.api(), Helm()
        services.install(api, helm, IMAGES, origin={}, cluster=OURS)
        (secret,) = api.asked("POST", f"{SYSTEM}/secrets")
        password = secret.body["stringData"]["password"]
        assert len(password) >= 32
        assert password not in str(helm.upgrades)
        api.answers["POST", f"{SYSTEM}/secrets"] = refusal(
            409
        )  # the data on the volume belongs to the old one
        assert services.install(api, helm, IMAGES, origin={}, cluster=OURS) is True

    def test_a_refused_password_is_no_success(self) -> None:
        api, helm = self.api(), Helm()
        api.answers["POST", f"{SYSTEM}/secrets"] = refusal(403)
        with pytest.raises(HarnessError, match="status 403"):
            services.install(api, helm, IMAGES, origin={}, cluster=OURS)
        assert helm.upgrades == []

    def test_a_given_server_that_refuses_is_told_at_once(self, clock: Clock) -> None:
        assert clock is not None
        api = self.api()
        status = {"name": "postgres", "ready": False, "restartCount": 1, "state": {}}
        api.answers["GET", DEPLOYMENTS] = items(deployment("postgres", 0), deployment("gateway"))
        api.answers["GET", f"{SYSTEM}/secrets/{given_server.LOGIN}"] = {"metadata": {"resourceVersion": "7"}}
        before, now = pod(containerStatuses=[status]), pod(containerStatuses=[status])
        before["metadata"]["annotations"] = {given_server.LOGIN_VERSION: "6"}
        now["metadata"]["annotations"] = {given_server.LOGIN_VERSION: "7"}
        now["status"]["containerStatuses"] = [{**status, "restartCount": 2}]
        api.answers["GET", f"{SYSTEM}/pods"] = items(before, now)
        api.logs[f"{SYSTEM}/pods/p/log#postgres"] = "psql: error: no such role\n"
        given = GivenServer("db", 5432, "main", "prefer")
        with pytest.raises(HarnessError) as caught:
            services.wait_ready(api, deadline_s=10, on_change=lambda _: None, given=given)
        assert caught.value.cause is CauseCode.DATABASE_FAILED
        expected = "PostgreSQL at db:5432/main?sslmode=prefer can't be used: psql: error: no such role"
        assert caught.value.message == expected

    def test_without_dns(self) -> None:
        with pytest.raises(HarnessError, match="no DNS") as caught:
            services.install(Kubernetes(), Helm(), IMAGES, origin={}, cluster=OURS)
        assert caught.value.cause is CauseCode.CLUSTER_FAILED

    def test_a_server_that_is_given_gets_no_pod_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DB", "postgresql://me:hush-hush@db:5432/main")
        api, helm = self.api(), Helm()
        given = services.keep_login(api, "DB")
        assert services.install(api, helm, IMAGES, origin={}, cluster=OURS, given=given) is True
        assert helm.upgrades[0][2]["postgresql"]["login"] == given_server.LOGIN
        assert not api.asked("POST", f"{SYSTEM}/secrets")  # no password of a server of ours
        assert "hush-hush" not in str(helm.upgrades)
        api.answers["GET", f"{SYSTEM}/configmaps/harness"] = api.requests[-1].body
        assert services.given(services.recorded(api)) == given
        with pytest.raises(HarnessError, match="one of its own is wanted") as caught:
            services.install(api, helm, IMAGES, origin={}, cluster=OURS)
        assert caught.value.cause is CauseCode.USAGE

        monkeypatch.delenv("DB")  # who comes later needs it no more
        api.answers["GET", f"{SYSTEM}/secrets/{given_server.LOGIN}"] = {"metadata": {"resourceVersion": "1"}}
        assert services.keep_login(api, "DB") == given

    def test_nobody_knows_the_login(self) -> None:
        with pytest.raises(HarnessError, match="variable NO_SUCH_VARIABLE is not set") as caught:
            services.keep_login(self.api(), "NO_SUCH_VARIABLE")
        assert caught.value.cause is CauseCode.SECRET_MISSING

    def test_an_unfinished_cluster_remembers_nothing(self) -> None:
        assert services.recorded(Kubernetes()) == {}


class TestWaiting:
    def test_until_ready(self, clock: Clock) -> None:
        starting = items(deployment("postgres", None), deployment("gateway"))
        states = [items(), items(deployment("postgres", None)), starting, starting, READY]
        api = Kubernetes({("GET", DEPLOYMENTS): states})
        seen: list[str] = []
        services.wait_ready(api, deadline_s=10, on_change=seen.append)
        assert seen == ["gateway is not there", "postgres: no pod yet"]  # each once
        assert len(clock.slept) == 4

    @pytest.mark.parametrize(
        ("listed", "reason"),
        [
            (items(), "no pod yet"),
            (items(pod()), "Pending"),
            (
                items(pod(conditions=[{"status": "False", "message": "0/1 nodes are available"}])),
                "0/1 nodes are available",
            ),
            (
                items(
                    pod(
                        containerStatuses=[
                            {
                                "name": "postgres",
                                "state": {"waiting": {"reason": "ErrImagePull", "message": "none"}},
                            }
                        ]
                    )
                ),
                "ErrImagePull none",
            ),
        ],
    )
    def test_not_for_ever(self, clock: Clock, listed: object, reason: str) -> None:
        down = items(deployment("postgres", 0), deployment("gateway"))
        api = Kubernetes({("GET", DEPLOYMENTS): down, ("GET", f"{SYSTEM}/pods"): listed})
        with pytest.raises(HarnessError) as caught:
            services.wait_ready(api, deadline_s=10, on_change=lambda _: None)
        assert caught.value.cause is CauseCode.CLUSTER_FAILED
        assert caught.value.message == f"the shared services were not ready within 10 s: postgres: {reason}"
        assert 10 <= sum(clock.slept) < 11

    def test_what_a_container_printed_last_is_told(self, clock: Clock) -> None:
        state = {"waiting": {"reason": "CrashLoopBackOff"}}
        broken = pod(
            containerStatuses=[{"name": "postgres", "ready": False, "restartCount": 1, "state": state}]
        )
        down = items(deployment("postgres", 0), deployment("gateway"))
        api = Kubernetes({("GET", DEPLOYMENTS): down, ("GET", f"{SYSTEM}/pods"): items(broken)})
        api.logs[f"{SYSTEM}/pods/p/log#postgres"] = "starting\ninitdb: permission denied\n"
        with pytest.raises(HarnessError) as caught:
            services.wait_ready(api, deadline_s=10, on_change=lambda _: None)
        assert caught.value.evidence[1:] == (
            "postgres printed: starting",
            "postgres printed: initdb: permission denied",
        )

    def test_without_last_words_the_reason_is_told(
        self, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_answer(*_: object, **__: str) -> str:
            raise HarnessError(CauseCode.CLUSTER_FAILED, "no answer")

        broken = pod(containerStatuses=[{"name": "postgres", "ready": False, "state": {}}])
        down = items(deployment("postgres", 0), deployment("gateway"))
        api = Kubernetes({("GET", DEPLOYMENTS): down, ("GET", f"{SYSTEM}/pods"): items(broken)})
        monkeypatch.setattr(api, "text", no_answer)
        with pytest.raises(HarnessError, match="the shared services were not ready within 10 s"):
            services.wait_ready(api, deadline_s=10, on_change=lambda _: None)

    def test_a_silent_cluster_is_not_waited_for(self, clock: Clock) -> None:
        api = Kubernetes({("GET", DEPLOYMENTS): HarnessError(CauseCode.CLUSTER_FAILED, "no answer")})
        with pytest.raises(HarnessError, match="no answer"):
            services.wait_ready(api, deadline_s=10, on_change=lambda _: None)
        assert clock.slept == []


def test_services_are_not_ready_before_names_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(services, "time", clock)
    ready = {"spec": {"replicas": 1}, "status": {"availableReplicas": 1}}
    ours = items(*({**ready, "metadata": {"name": name}} for name in ("postgres", "gateway")))
    dns = {"metadata": {"name": "coredns"}, "spec": {"replicas": 2}}
    api = Kubernetes(
        {
            ("GET", "/apis/apps/v1/namespaces/harness-system/deployments"): ours,
            ("GET", "/apis/apps/v1/namespaces/kube-system/deployments"): [
                items(dns),
                items({**dns, "status": {"availableReplicas": 1}}),
            ],
        }
    )
    seen: list[str] = []
    services.wait_ready(api, deadline_s=10, on_change=seen.append)
    assert seen == ["coredns: the cluster's DNS does not answer yet"]
