"""The kind cluster's configuration, and what Docker's answers about its node mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from doubles import Clock, Programs

from harness.cluster import place
from harness.cluster.kind import kind, network
from harness.cluster.kind.configuration import POD_SUBNET, SERVICE_SUBNET
from harness.cluster.kind.node_image.program import Tools
from harness.errors import CauseCode, HarnessError
from harness.host.docker import client as docker_client
from harness.host.process import Completed

TOOLS = Tools(Path("/tools/kind"), Path("/tools/helm"), Path("/tools/kubectl"))
ENTRYPOINTS = {
    "harness.local/node:1": "[/usr/local/bin/entrypoint]",
    "kindest/node:v1": "[/usr/local/bin/entrypoint /sbin/init]",
}
NETWORK = json.dumps([{"Id": "0123456789abcdef", "Containers": {}}])
PORT = {"30080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "41234"}]}


def node(status: str = "running", labels: dict[str, str] | None = None, ports: object = PORT) -> str:
    """What `docker container inspect` prints."""
    marks = {"io.x-k8s.kind.cluster": "churn"} if labels is None else labels
    return json.dumps(
        [
            {
                "Name": "/churn-control-plane",
                "State": {"Status": status},
                "Config": {"Image": "harness.local/node:1", "Labels": marks or None},
                "HostConfig": {"PortBindings": ports},
            }
        ]
    )


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(place.STATE_VARIABLE, str(tmp_path))
    return tmp_path / "clusters/churn"


def programs(monkeypatch: pytest.MonkeyPatch, **answers: str | Completed) -> Programs:
    """Docker that answers `docker container …` and the like by the second word."""
    missing = Completed((), 1, "", "Error: No such container: churn-control-plane")

    def answer(argv: Sequence[str]) -> str | Completed:
        return answers.get(argv[1], {"container": missing, "network": NETWORK}.get(argv[1], ""))

    double = Programs(answer)
    monkeypatch.setattr(kind.process, "run", double.run)
    return double


class TestNode:
    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        programs(monkeypatch)
        assert kind.node_container("churn") is None

    def test_running(self, monkeypatch: pytest.MonkeyPatch) -> None:
        programs(monkeypatch, container=node())
        expected = kind.NodeContainer("running", "harness.local/node:1", 41234)
        assert kind.node_container("churn") == expected

    @pytest.mark.parametrize("ports", [None, {}, {"30080/tcp": None}, {"6443/tcp": [{"HostPort": "1"}]}])
    def test_without_a_gateway(self, monkeypatch: pytest.MonkeyPatch, ports: object) -> None:
        programs(monkeypatch, container=node(ports=ports))
        found = kind.node_container("churn")
        assert found is not None
        assert found.gateway_port is None

    @pytest.mark.parametrize("labels", [{}, {"io.x-k8s.kind.cluster": "other"}, {"maintainer": "x"}])
    def test_somebody_elses_container(self, monkeypatch: pytest.MonkeyPatch, labels: dict[str, str]) -> None:
        double = programs(monkeypatch, container=node(labels=labels))
        for ask in (kind.node_container, kind.find, kind.delete):
            with pytest.raises(HarnessError, match="is no kind node") as caught:
                ask("churn")
            assert caught.value.cause is CauseCode.CLUSTER_FAILED
        assert all("rm" not in words for words in double.commands)

    def test_a_docker_that_hangs_is_no_missing_cluster(self, monkeypatch: pytest.MonkeyPatch) -> None:
        programs(monkeypatch, container=Completed((), -15, "", "stopped after 30 s", timed_out=True))
        monkeypatch.setattr(docker_client, "connect", lambda: None)
        with pytest.raises(
            HarnessError, match="did not tell of the container churn-control-plane within 30 s"
        ):
            kind.node_container("churn")


class TestFind:
    def test_running_with_a_kubeconfig(self, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
        programs(monkeypatch, container=node())
        assert kind.find("churn") is None  # another machine's or another user's: no way in
        state.mkdir(parents=True)
        (state / "kubeconfig").touch()
        assert kind.find("churn") == place.Cluster(
            "churn", state / "kubeconfig", ("churn-control-plane",), 41234
        )

    @pytest.mark.parametrize("status", ["exited", "paused", "created"])
    def test_stopped(self, monkeypatch: pytest.MonkeyPatch, state: Path, status: str) -> None:
        programs(monkeypatch, container=node(status))
        state.mkdir(parents=True)
        (state / "kubeconfig").touch()
        assert kind.find("churn") is None


class TestDelete:
    def test_everything_goes(self, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
        double = programs(monkeypatch, container=node())
        state.mkdir(parents=True)
        assert kind.delete("churn") is True
        assert ("docker", "rm", "--force", "--volumes", "churn-control-plane") in double.commands
        assert ("docker", "network", "rm", "harness-churn") in double.commands
        assert not state.exists()

    def test_what_a_killed_command_asked_of_docker_is_waited_for(
        self, monkeypatch: pytest.MonkeyPatch, state: Path
    ) -> None:
        looks = iter([kind.NodeContainer(kind.GOING, "", None)] * 3)
        monkeypatch.setattr(kind, "node_container", lambda _: next(looks, None))
        monkeypatch.setattr(kind.time, "sleep", lambda _: None)
        double = programs(monkeypatch)
        assert kind.delete("churn") is True
        assert not [argv for argv in double.commands if argv[:2] == ("docker", "rm")]

    def test_nothing_is_there(self, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
        programs(monkeypatch, network=Completed((), 1, "", "no such network"))
        assert kind.delete("churn") is False


class TestCreate:
    def create(
        self, monkeypatch: pytest.MonkeyPatch, lines: Sequence[str] = (), image: str = "harness.local/node:1"
    ) -> tuple[dict[str, Any], list[str]]:
        """Make a cluster with a kind that prints `lines`; what it was told, and what happened in which order."""
        told: dict[str, Any] = {}
        order: list[str] = []
        monkeypatch.setenv("HARNESS_CACHE_DIR", str(place.state_folder("churn").parent / "cache"))

        def stream(argv: Sequence[str | Path], *, on_line: Any, env: dict[str, str], **_: Any) -> None:
            told.update(argv=[str(word) for word in argv], env=env)
            told["configuration"] = json.loads(Path(argv[argv.index("--config") + 1]).read_text())
            Path(argv[argv.index("--kubeconfig") + 1]).touch()
            for line in lines:
                on_line(line)

        def run(argv: Sequence[str | Path], **_: Any) -> Completed:
            if "image" in argv:  # as Docker prints an entrypoint
                entrypoint = ENTRYPOINTS.get(image)
                return Completed((), 0 if entrypoint else 1, entrypoint or "", "")
            if "chattr" in argv:
                order.append("SPREAD")
                return Completed((), 1, "", "chattr: Operation not supported")
            return Completed((), 0, "{}" if "view" in argv else node(), "")

        monkeypatch.setattr(kind.process, "stream", stream)
        monkeypatch.setattr(kind.process, "run", run)
        told["cluster"] = kind.create(
            "churn", image, TOOLS,
            on_line=order.append, on_node=lambda: order.append("NODE"), log=Path("log"),
        )  # fmt: skip
        return told, order

    def test_configuration(self, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
        told, _ = self.create(monkeypatch)
        configuration = told["configuration"]
        assert configuration["name"] == "churn"
        assert configuration["networking"] == {
            "apiServerAddress": "127.0.0.1",
            "podSubnet": "10.244.0.0/16",
            "serviceSubnet": "10.96.0.0/16",
        }
        (only,) = configuration["nodes"]
        assert only["extraPortMappings"] == [
            {"containerPort": 30080, "hostPort": 0, "listenAddress": "127.0.0.1"}
        ]
        for mount in only["extraMounts"]:
            assert mount["readOnly"] is True
            assert Path(mount["hostPath"]).is_dir(), "or Docker would make it, for root"
        kubelet = json.loads(only["kubeadmConfigPatches"][0])
        assert kubelet["kind"] == "KubeletConfiguration"
        assert kubelet["failCgroupV1"] is False
        assert kubelet["oomScoreAdj"] == 0
        assert kubelet["volumeStatsAggPeriod"] == "10s"
        assert 0 < kubelet["maxOpenFiles"] <= 1_000_000

    @pytest.mark.parametrize(
        ("image", "driver"),
        [("harness.local/node:1", "cgroupfs"), ("kindest/node:v1", None), ("not/there:yet", None)],
    )
    def test_the_cgroup_driver_is_the_images(
        self, monkeypatch: pytest.MonkeyPatch, state: Path, image: str, driver: str | None
    ) -> None:
        told, _ = self.create(monkeypatch, image=image)
        kubelet = json.loads(told["configuration"]["nodes"][0]["kubeadmConfigPatches"][0])
        assert kubelet.get("cgroupDriver") == driver

    def test_its_own_network_and_kubeconfig(self, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
        told, _ = self.create(monkeypatch)
        assert told["env"]["KIND_EXPERIMENTAL_DOCKER_NETWORK"] == "harness-churn"
        assert told["cluster"].kubeconfig == state / "kubeconfig"
        assert (state / "kubeconfig").stat().st_mode & 0o077 == 0
        assert sorted(path.name for path in state.iterdir()) == ["encryption", "kind.json", "kubeconfig"]

    def test_secrets_are_encrypted_with_a_key_of_the_clusters_own(
        self, monkeypatch: pytest.MonkeyPatch, state: Path
    ) -> None:
        keys = []
        for _ in range(2):
            told, _ = self.create(monkeypatch)
            (node,) = told["configuration"]["nodes"]
            (mount,) = [each for each in node["extraMounts"] if each["hostPath"] == str(state / "encryption")]
            cluster = json.loads(node["kubeadmConfigPatches"][1])
            (argument,) = cluster["apiServer"]["extraArgs"]
            assert argument["name"] == "encryption-provider-config"
            on_node = Path(argument["value"])
            assert str(on_node.parent) == mount["containerPath"]
            file = state / "encryption" / on_node.name
            assert file.stat().st_mode & 0o077 == 0
            (resources,) = json.loads(file.read_text())["resources"]
            assert resources["resources"] == ["secrets"]
            (provider,) = resources["providers"]
            keys.append(provider["secretbox"]["keys"][0]["secret"])
        assert keys[0] != keys[1]

    def test_the_node_takes_images_once_while_kind_goes_on(
        self, monkeypatch: pytest.MonkeyPatch, state: Path
    ) -> None:
        lines = [" • Preparing nodes 📦  ...", " ✓ Preparing nodes 📦", " • Writing configuration 📜  ...",
                 " ✓ Writing configuration 📜", " • Starting control-plane 🕹️  ..."]  # fmt: skip
        _, order = self.create(monkeypatch, lines)
        assert order.count("NODE") == 1
        marks = [
            order.index(each) for each in ("Preparing nodes", "SPREAD", "NODE", "Starting control-plane")
        ]
        assert marks == sorted(marks), "layers are spread from the first one on"


class TestAnswering:
    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        clock = Clock()
        monkeypatch.setattr(kind, "time", clock)
        self.status = "running"
        monkeypatch.setattr(kind, "node_container", lambda _: kind.NodeContainer(self.status, "i", 1))
        return clock

    def test_it_is_waited_for(self, clock: Clock) -> None:
        cluster, told = Answering(after=3), list[str]()
        kind.wait_answering(cluster, deadline_s=10, on_change=told.append)
        assert cluster.asked == 4
        assert told == ["the API server does not answer"] * 3
        assert sum(clock.slept) < 1

    def test_not_for_ever(self, clock: Clock) -> None:
        with pytest.raises(HarnessError, match="was not ready within 10 s") as caught:
            kind.wait_answering(Answering(after=1000), deadline_s=10)
        assert caught.value.cause is CauseCode.CLUSTER_FAILED
        assert caught.value.message.endswith("the API server does not answer")
        assert "connection refused" in caught.value.evidence
        assert 10 <= sum(clock.slept) < 11

    def test_not_where_the_node_has_ended(self, clock: Clock) -> None:
        self.status = "exited"
        with pytest.raises(HarnessError, match="the node of cluster churn stopped") as caught:
            kind.wait_answering(Answering(after=1000), deadline_s=10)
        assert "docker logs" in (caught.value.hint or "")
        assert clock.slept == []


class Answering:
    """A cluster whose API server answers after so many requests."""

    name, node = "churn", "churn-control-plane"

    def __init__(self, after: int) -> None:
        self.after, self.asked = after, 0

    def api(self) -> Answering:
        return self

    def text(self, path: str) -> str:
        assert path == "/readyz"
        self.asked += 1
        if self.asked <= self.after:
            raise HarnessError(
                CauseCode.CLUSTER_FAILED, "the API server does not answer", evidence=["connection refused"]
            )
        return "ok"


def test_packets_for_pods_and_services_stay_on_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    double = programs(monkeypatch, exec="")
    network.keep_packets("churn")
    ((argv, _),) = double.calls
    assert list(argv[:3]) == ["docker", "exec", "churn-control-plane"]
    assert list(argv[-2:]) == ["10.244.0.0/16", "10.96.0.0/16"]


def test_the_clusters_ranges_are_the_same_wherever_they_are_written() -> None:
    """The node image hands out pods' addresses; the chart closes both ranges to task pods."""
    root = Path(__file__).parents[3]
    pods, services = map(IPv4Network, (POD_SUBNET, SERVICE_SUBNET))
    (conflist,) = (root / "harness/cluster/kind/node_image/files/etc/cni/net.d").glob("*.conflist")
    plugin = json.loads(conflist.read_text())["plugins"][0]
    ((handed_out,),) = plugin["ipam"]["ranges"]
    assert IPv4Network(handed_out["subnet"]).subnet_of(pods)
    values = yaml.safe_load((root / "charts/airflow/values.yaml").read_text())
    closed = [IPv4Network(each) for each in values["networkPolicy"]["insideCIDRs"]]
    for inside in (pods, services):
        assert any(inside.subnet_of(each) for each in closed)


class TestStart:
    """What a Docker that was killed left of the old node answers for the new one: it goes first."""

    @pytest.fixture(autouse=True)
    def devices(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        bridge = tmp_path / "br-0123456789ab" / "brif"
        bridge.mkdir(parents=True)
        monkeypatch.setattr(network, "_NETWORK_DEVICES", tmp_path)
        return bridge

    @staticmethod
    def started(double: Programs, status: str = "exited") -> list[list[str]]:
        kind.start("churn", kind.NodeContainer(status, "harness.local/node:1", 1))
        return [list(call) for call, _ in double.calls]

    def test_dead_links_are_cut(self, monkeypatch: pytest.MonkeyPatch, devices: Path) -> None:
        for link in ("veth2", "veth1"):
            (devices / link).touch()
        looked, cut, start = self.started(programs(monkeypatch))
        assert looked == ["docker", "network", "inspect", "harness-churn"]
        assert cut[:3] == ["docker", "run", "--rm"]
        assert cut[-2:] == ["veth1", "veth2"]
        assert start == ["docker", "start", "churn-control-plane"]

    def test_there_are_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = self.started(programs(monkeypatch))
        assert [call[1] for call in calls] == ["network", "start"]

    def test_somebody_else_is_on_the_network(self, monkeypatch: pytest.MonkeyPatch, devices: Path) -> None:
        (devices / "veth1").touch()
        used = json.dumps([{"Id": "0123456789abcdef", "Containers": {"1": {}}}])
        calls = self.started(programs(monkeypatch, network=used))
        assert [call[1] for call in calls] == ["network", "start"]

    def test_without_the_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = self.started(programs(monkeypatch, network=Completed((), 1, "", "No such network")))
        assert [call[1] for call in calls] == ["network", "start"]

    def test_paused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.started(programs(monkeypatch), "paused") == [["docker", "unpause", "churn-control-plane"]]
