"""A disposable cluster for what is done to clusters, made and removed by the product's own `up` and `down`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import remains
import scratch
from command import Harness, explained
from kubernetes import client, config
from kubernetes.stream import stream

from harness.cluster import place
from harness.errors import HarnessError
from harness.host.docker.client import connect

from .kept import Kept, plant

if TYPE_CHECKING:
    from .elsewhere import Elsewhere

NAME = "harness-faults"
# To work on these tests: a cluster that is there already, and that nothing is done to.
BORROWED = "HARNESS_FAULTS_CLUSTER"
FINDINGS = pytest.StashKey[list[str]]()


@dataclass(frozen=True)
class Cluster:
    """The cluster, the program for it, and the official client."""

    harness: Harness
    api: client.CoreV1Api
    disposable: bool

    @property
    def name(self) -> str:
        return self.harness.cluster

    def run_in(self, pod: Any, script: str) -> str:
        """What a shell in a pod prints."""
        return str(
            stream(
                self.api.connect_get_namespaced_pod_exec, pod.metadata.name, pod.metadata.namespace,
                command=["sh", "-c", script], stdout=True, stderr=True, stdin=False, tty=False,
            )
        )  # fmt: skip

    def versions(self) -> list[str]:
        """The namespaces of versions, the newest last."""
        found = self.api.list_namespace(label_selector="harness.local/role=version").items
        return [
            each.metadata.name for each in sorted(found, key=lambda each: each.metadata.creation_timestamp)
        ]

    def pods(self, namespace: str, selector: str = "") -> list[Any]:
        return list(self.api.list_namespaced_pod(namespace, label_selector=selector).items)


@pytest.fixture(scope="session", autouse=True)
def heeded_interrupts() -> Iterator[None]:
    """Commands heed Ctrl-C, also where a script started the suite in its background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def searched(request: pytest.FixtureRequest) -> Iterator[Kept]:
    """All that is written while the tests run, searched in the end for what was planted before them."""
    names = (f"{os.environ.get(BORROWED, NAME)}*", "@kind-harness-theirs-*")
    with pytest.MonkeyPatch.context() as patch:
        planted = plant(planting := {})
        for variable, value in planting.items():
            patch.setenv(variable, value)
        with Kept(place.state_folder(NAME).parent, *names, planted=planted) as kept:
            yield kept
    findings = kept.search()
    tell(request.config, str(findings))
    assert findings.found == ()
    assert findings.values or not findings.files, "no Secret of the clusters was ever read"


def tell(config: pytest.Config, findings: str) -> None:
    """Have it said in the end: by this process, or by the one that this one works for."""
    if hasattr(config, "workeroutput"):
        config.workeroutput["findings"] = findings
    config.stash.setdefault(FINDINGS, []).append(findings)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    if (findings := getattr(node, "workeroutput", {}).get("findings")) is not None:
        node.config.stash.setdefault(FINDINGS, []).append(findings)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was searched."""
    for findings in config.stash.get(FINDINGS, []):
        terminalreporter.write_line(f"{NAME}: {findings}")


def official_client(name: str) -> client.CoreV1Api:
    """A client of a cluster of ours, by the kubeconfig that `up` keeps."""
    return client.CoreV1Api(config.new_client_from_config(str(place.state_folder(name) / "kubeconfig")))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> scratch.Scratch:
    """A repository with a DAG of one task."""
    return scratch.tiny(tmp_path_factory.mktemp("faults-tiny") / "tiny")


@pytest.fixture(scope="session")
def cluster(tiny: scratch.Scratch) -> Iterator[Cluster]:
    """`harness up` for a cluster of these tests alone; in the end `harness down` leaves nothing of it."""
    borrowed = os.environ.get(BORROWED)
    harness = Harness(borrowed or NAME)
    try:
        connect().close()
    except HarnessError as error:
        pytest.fail(f"the fault tests need Docker: {error.message}\nhint: {error.hint}", pytrace=False)
    before = remains.docker_objects(NAME)
    if not borrowed:
        made = harness.watch(tiny.root, "up")
        if made.exit_code != 0:
            pytest.fail(f"`harness up` ended with {made.exit_code}:\n{made.text}", pytrace=False)
    yield Cluster(harness, official_client(harness.cluster), disposable=not borrowed)
    if borrowed:
        return
    removed = harness(tiny.root, "down", "--force")
    assert removed.returncode == 0, explained(removed)
    left = remains.left_on_docker(NAME, before)
    assert not left, f"`harness down` left {left}"
    assert not place.state_folder(NAME).exists()


@pytest.fixture(scope="session")
def elsewhere(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """A cluster of three nodes that harness did not make; its tests go on with what those before them left."""
    from .elsewhere import made

    with made(cluster, tmp_path_factory.mktemp("elsewhere")) as found:
        yield found


@pytest.fixture
def disposable(cluster: Cluster) -> Cluster:
    """The cluster, to be broken."""
    if not cluster.disposable:
        pytest.skip(f"{BORROWED} names a cluster that is not to be broken")
    return cluster


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """Where a command writes its result."""
    return tmp_path / "result.json"
