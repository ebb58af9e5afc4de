"""One real cluster for all end-to-end tests, made and removed by the product's own `up` and `down`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import branches
import pytest
import remains
import scratch
from command import Harness, explained, loaded
from main_job import MainJob
from observer import Observer
from pytest_kind import KindCluster

from harness.cluster import place
from harness.cluster.kind import kind, sourcing
from harness.cluster.services import services
from harness.errors import HarnessError
from harness.host.docker.client import connect

NAME = "harness-test"


@dataclass(frozen=True)
class Cluster:
    """The cluster as the product made it, held through pytest-kind."""

    harness: Harness
    kind: KindCluster
    kubeconfig: Path
    helm: Path

    @property
    def helm_list(self) -> list[str]:
        return [
            str(self.helm), "list", "--all-namespaces", "--output", "json",
            "--kubeconfig", str(self.kubeconfig),
        ]  # fmt: skip

    def of_version(self, namespace: str) -> set[str]:
        """The kinds of things that are there of a version right now."""
        return remains.of_version(self.kind, self.helm_list, namespace)

    def left_of_version(self, namespace: str) -> set[str]:
        """The kinds of things that stay after a version was removed."""
        return remains.of_version_in_the_end(self.kind, self.helm_list, namespace)


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> scratch.Scratch:
    """A repository with the sample pipeline, and all else that is in this checkout."""
    return scratch.checkout(tmp_path_factory.mktemp("pipeline") / "sample")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> scratch.Scratch:
    """A repository with a DAG of one task, and two commits whose models differ."""
    return scratch.tiny(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> scratch.Scratch:
    """A repository with a branch for each of several models."""
    return branches.repository(tmp_path_factory.mktemp("several") / "several")


@pytest.fixture(scope="session")
def cluster(
    request: pytest.FixtureRequest, pipeline: scratch.Scratch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """`harness up`; at the end `harness down`, unless `--keep-cluster` is given."""
    try:
        connect().close()
    except HarnessError as error:
        pytest.fail(f"the end-to-end tests need Docker: {error.message}\nhint: {error.hint}", pytrace=False)
    harness = Harness(NAME)
    before = remains.docker_objects(NAME)
    made = harness.watch(pipeline.root, "up")
    if made.exit_code != 0:
        pytest.fail(f"`harness up` ended with {made.exit_code}:\n{made.text}", pytrace=False)
    yield _attached(harness, tmp_path_factory.mktemp("pytest-kind"))
    if request.config.getoption("keep_cluster"):
        return
    removed = harness(pipeline.root, "down", "--force")
    assert removed.returncode == 0, explained(removed)
    left = remains.left_on_docker(NAME, before)
    assert not left, f"`harness down` left {left}"
    assert not place.state_folder(NAME).exists()


def _attached(harness: Harness, folder: Path) -> Cluster:
    found = kind.find(NAME)
    assert found is not None, f"`harness up` passed, and there is no cluster {NAME}"
    tools = sourcing.present_tools(services.recorded(found.api()))
    assert tools is not None
    with contextlib.chdir(folder):  # the class makes a folder where it is
        held = KindCluster(NAME, found.kubeconfig, kind_path=tools.kind, kubectl_path=tools.kubectl)
    names = held.kubectl("config", "view", "--output", "jsonpath={.clusters[*].name}")
    assert names == f"kind-{NAME}"
    held.create()  # finds it and connects
    return Cluster(harness, held, found.kubeconfig, tools.helm)


@pytest.fixture(scope="session")
def main_job(
    cluster: Cluster, pipeline: scratch.Scratch, tmp_path_factory: pytest.TempPathFactory
) -> MainJob:
    """What a terminal, four reports and an observer tell of it."""
    folder = tmp_path_factory.mktemp("results")
    files: list[str | Path] = []
    for option, name in (("json", "json"), ("junit", "xml"), ("markdown", "md"), ("html", "html")):
        files += [f"--{option}", folder / f"result.{name}"]
    with Observer(cluster.kubeconfig, cluster.helm) as observer:
        command = cluster.harness(pipeline.root, "test", "--keep", "never", *files)
    assert command.returncode == 0, explained(command)
    document = loaded(folder / "result.json")
    namespace = document["versions"][0]["namespace"]
    pods = [pod for pod in observer.pods.values() if pod.namespace == namespace]
    return MainJob(command, folder, document, pods, observer.releases)
