"""A registry beside a kind cluster: what Docker and the nodes are asked, and what of Docker's answers means."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from doubles import Kubernetes, Programs

from harness.cluster.kind import local_registry
from harness.errors import CauseCode, HarnessError
from harness.host.docker.client import REGISTRY_OF
from harness.host.process import Completed
from harness.image.registry.address import LocalRegistry

OURS = LocalRegistry("churn-registry", "running", 5001)
TAKEN = "driver failed programming external connectivity: Bind for 127.0.0.1:5001 failed: port is already allocated"


def container(status: str = "running", labels: dict[str, str] | None = None) -> str:
    """What `docker container inspect` prints of it."""
    details = {
        "Name": "/churn-registry",
        "State": {"Status": status},
        "Config": {
            "Image": "harness.local/registry:1",
            "Cmd": ["serve", "/etc/registry.yml"],
            "Labels": {REGISTRY_OF: "churn"} if labels is None else labels,
        },
        "HostConfig": {"PortBindings": {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "5001"}]}},
    }
    return json.dumps([details])


def docker(monkeypatch: pytest.MonkeyPatch, **answers: str | Completed) -> Programs:
    """Docker that answers by the second word."""
    asked = {
        "container": Completed((), 1, "", "No such container"),
        "image": '["/etc/registry.yml"]',
        **answers,
    }
    double = Programs(lambda argv: asked.get(argv[1], ""))
    monkeypatch.setattr(local_registry.process, "run", double.run)
    return double


class TestFind:
    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        docker(monkeypatch)
        assert local_registry.find("churn") is None

    @pytest.mark.parametrize("status", ["running", "exited"])
    def test_ours(self, monkeypatch: pytest.MonkeyPatch, status: str) -> None:
        docker(monkeypatch, container=container(status))
        found = local_registry.find("churn")
        assert found == LocalRegistry("churn-registry", status, 5001)
        assert (found.host, found.is_running) == ("localhost:5001", status == "running")

    @pytest.mark.parametrize("labels", [{}, {REGISTRY_OF: "other"}])
    def test_anothers_is_left_alone(self, monkeypatch: pytest.MonkeyPatch, labels: dict[str, str]) -> None:
        double = docker(monkeypatch, container=container(labels=labels), volume=Completed((), 1, "", "none"))
        with pytest.raises(HarnessError, match="was not made by harness"):
            local_registry.refuse_anothers("churn")
        assert local_registry.find("churn") is None, "who asks for no registry is not told of theirs"
        assert local_registry.delete("churn") is False
        assert not [argv for argv in double.commands if "rm" in argv]


class TestMake:
    @pytest.fixture(autouse=True)
    def ports(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(local_registry, "_free_ports", lambda: [5001, 5003])

    def test_on_this_machine_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        double = docker(monkeypatch)
        assert local_registry.make("churn", "harness.local/registry:1") == OURS
        (run,) = [argv for argv in double.commands if argv[1] == "run"]
        assert run[run.index("--publish") + 1] == "127.0.0.1:5001:5000"
        assert run[run.index("--network") + 1] == "harness-churn"
        assert run[-3:] == ("harness.local/registry:1", "serve", "/etc/registry.yml")

    def test_a_port_that_was_taken_meanwhile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def answer(argv: Sequence[str]) -> str | Completed:
            if argv[1] == "run" and "127.0.0.1:5001:5000" in argv:
                return Completed((), 125, "", TAKEN)
            return {"image": '["/etc/registry.yml"]', "container": container("created")}.get(argv[1], "")

        double = Programs(answer)
        monkeypatch.setattr(local_registry.process, "run", double.run)
        assert local_registry.make("churn", "image").port == 5003
        assert ("docker", "rm", "--force", "churn-registry") in double.commands, (
            "Docker leaves it, as created"
        )

    def test_anothers_of_that_name_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        conflict = 'Conflict. The container name "/churn-registry" is already in use'
        double = docker(
            monkeypatch, run=Completed((), 125, "", conflict), container=container(labels={}), volume=""
        )
        with pytest.raises(HarnessError, match="already in use"):
            local_registry.make("churn", "image")
        assert not [argv for argv in double.commands if "rm" in argv]

    @pytest.mark.parametrize("port", [None, 5001])
    def test_no_port_is_free(self, monkeypatch: pytest.MonkeyPatch, port: int | None) -> None:
        docker(monkeypatch, run=Completed((), 125, "", TAKEN))
        with pytest.raises(HarnessError) as caught:
            local_registry.make("churn", "image", port=port)
        assert caught.value.cause is CauseCode.CLUSTER_FAILED
        assert "sport = :5001" in caught.value.hint


def test_a_port_that_another_program_took(monkeypatch: pytest.MonkeyPatch) -> None:
    docker(monkeypatch, start=Completed((), 1, "", TAKEN))
    with pytest.raises(HarnessError, match=r"port 5001 .* is taken by something else") as caught:
        local_registry.start(LocalRegistry("churn-registry", "exited", 5001))
    assert "docker rm churn-registry && harness up --registry" in caught.value.hint


@pytest.mark.parametrize(("with_images", "goes"), [(True, True), (False, False)])
def test_its_images_go_unless_another_takes_its_place(
    monkeypatch: pytest.MonkeyPatch, with_images: bool, goes: bool
) -> None:
    double = docker(monkeypatch, container=container(), volume="churn\n")
    assert local_registry.delete("churn", with_images=with_images)
    assert (("docker", "volume", "rm", "churn-registry") in double.commands) is goes


def test_it_is_stopped_while_room_is_made_and_started_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(argv: Sequence[str]) -> str:
        if argv[1] == "run":
            raise HarnessError(CauseCode.CLUSTER_FAILED, "no space left")
        return container() if argv[1] == "container" else ""

    double = Programs(answer)
    monkeypatch.setattr(local_registry.process, "run", double.run)
    with pytest.raises(HarnessError):
        local_registry.collect(OURS)
    verbs = [argv[1] for argv in double.commands]
    assert verbs == ["container", "stop", "run", "start"]
    (run,) = [argv for argv in double.commands if argv[1] == "run"]
    assert run[-2:] == ("garbage-collect", "/etc/registry.yml")
    assert "--delete-untagged" not in run, "it takes the parts of images for several platforms"


def test_nodes_and_the_cluster_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    double, api = docker(monkeypatch), Kubernetes()
    local_registry.tell(OURS, ["churn-control-plane"], api)
    ((argv, hosts),) = double.calls
    assert argv[:4] == ("docker", "exec", "--interactive", "churn-control-plane")
    assert argv[-1] == "localhost:5001"
    assert hosts == '[host."http://churn-registry:5000"]\n'
    (told,) = api.asked("PATCH", "/api/v1/namespaces/kube-public/configmaps/local-registry-hosting")
    hosting: dict[str, Any] = json.loads(told.body["data"]["localRegistryHosting.v1"])
    assert hosting["host"] == "localhost:5001"
    assert hosting["hostFromContainerRuntime"] == "churn-registry:5000"
