"""What answers in the place of Kubernetes, and what is not there to answer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from doubles import Clock

from harness.cluster.api import KubernetesApi
from harness.cluster.existing import port_forward
from harness.cluster.place import Cluster
from harness.errors import CauseCode, HarnessError

SERVER = "https://k8s.example.com:6443"


def answering(data: bytes) -> KubernetesApi:
    """An API whose server answers each request with this."""
    answer = SimpleNamespace(status=200, data=data)
    connections = SimpleNamespace(request=lambda *_, **__: answer)
    login = SimpleNamespace(connections=connections, headers=dict)
    api = KubernetesApi.__new__(KubernetesApi)
    api._login = SimpleNamespace(server=SERVER, current=lambda: login, may_be_renewed=False)  # type: ignore[assignment]
    return api


def test_a_page_in_place_of_an_answer_is_told() -> None:
    with pytest.raises(HarnessError, match="is no API server of Kubernetes") as caught:
        answering(b"<html>Log in to the network</html>").list("/api/v1/nodes")
    assert caught.value.cause is CauseCode.CLUSTER_FAILED
    assert caught.value.hint == 'export NO_PROXY="$NO_PROXY,"k8s.example.com'
    assert caught.value.evidence == ("<html>Log in to the network</html>",)


def test_an_answer_of_nothing_lists_nothing() -> None:
    assert answering(b"").list("/api/v1/nodes") == []


def test_a_port_forward_that_cannot_be_started_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spawn(*_: object, **__: object) -> None:
        raise HarnessError(CauseCode.TOOL_MISSING, "there is no program `kubectl` on this machine")

    clock = Clock()
    monkeypatch.setattr(port_forward, "time", clock)
    monkeypatch.setattr(port_forward.process, "spawn", spawn)
    monkeypatch.setattr(port_forward._Forward, "_answers", lambda _: False)
    cluster = Cluster("@team", tmp_path / "a folder" / "kubeconfig", (), 1, forwarded=True)
    with (
        pytest.raises(HarnessError, match=r"did not answer at 127\.0\.0\.1:1: there is no program") as caught,
        port_forward.held(cluster, Path("kubectl")),
    ):
        pass
    assert sum(clock.slept) < 10
    assert caught.value.hint == f"harness up; rm '{tmp_path}/a folder/port'"
