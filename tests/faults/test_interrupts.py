"""Commands that are stopped at any moment: what they began is cleaned up, or finished by the next one."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import remains
import scratch
from command import Harness, explained

from harness.cluster import place
from harness.cluster.kind import kind
from harness.host import process

from .broken import Broken, one, repository
from .conftest import NAME, Cluster
from .helpers import programs_about
from .running import Running, container_runs, eventually

BOUNDED_S = 40.0  # what an interrupted command may take to clean up
OTHER = f"{NAME}-2"
SLOW = Broken("slow", one("slow", "import time\ntime.sleep(120)"), None)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> scratch.Scratch:
    return repository(tmp_path_factory.mktemp("interrupts") / "slow", (SLOW,))


def running_task(cluster: Cluster, before: set[str]) -> str:
    """The version that came after `before`, once a task runs in it."""

    def look() -> str | None:
        for namespace in set(cluster.versions()) - before:
            if any(container_runs(pod) for pod in cluster.pods(namespace, "kubernetes_executor=True")):
                return namespace
        return None

    return eventually(look, what="a task runs")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_test_that_is_interrupted_removes_its_version(
    cluster: Cluster, slow: scratch.Scratch, number: signal.Signals
) -> None:
    before = set(cluster.versions())
    with Running(slow.root, ("test", "--name", cluster.name)) as running:
        namespace = running_task(cluster, before)
        at_s = running.interrupt(number)
        code, said = running.end()
    assert code == 130, said
    assert time.monotonic() - at_s < BOUNDED_S
    assert "Traceback" not in said
    eventually(lambda: namespace not in cluster.versions(), what="its namespace is gone", deadline_s=60.0)


def test_the_second_interrupt_ends_at_once(cluster: Cluster, slow: scratch.Scratch) -> None:
    before = set(cluster.versions())
    with Running(slow.root, ("test", "--name", cluster.name)) as running:
        namespace = running_task(cluster, before)
        running.interrupt()
        time.sleep(0.5)
        at_s = running.interrupt()
        code, said = running.end()
    assert code == 130, said
    assert time.monotonic() - at_s < 2.0
    gone = cluster.harness(slow.root, "down", namespace)
    assert gone.returncode == 0 or namespace not in cluster.versions(), explained(gone)


def test_two_ups_at_once(cluster: Cluster, tiny: scratch.Scratch) -> None:
    arguments = ("up", "--name", cluster.name)
    with Running(tiny.root, arguments) as first, Running(tiny.root, arguments) as second:
        for running in (first, second):
            code, said = running.end()
            assert code == 0, said


class TestOfAClusterItself:
    """On a cluster that is half made, or that was stopped."""

    @pytest.mark.parametrize("after_s", [4.0, 15.0])
    def test_an_up_that_is_interrupted_ends_soon_and_down_leaves_nothing(
        self, disposable: Cluster, tiny: scratch.Scratch, after_s: float
    ) -> None:
        other = Harness(OTHER)
        before = remains.docker_objects(OTHER)
        with Running(tiny.root, ("up", "--name", OTHER)) as running:
            time.sleep(after_s)
            at_s = running.interrupt()
            code, said = running.end()
        assert code == 130, said
        assert time.monotonic() - at_s < BOUNDED_S
        assert programs_about(OTHER) == []
        down = other(tiny.root, "down")
        assert down.returncode == 0, explained(down)
        assert remains.left_on_docker(OTHER, before) == []
        assert not place.state_folder(OTHER).exists()

    def test_after_the_node_restarted_up_and_test_pass(
        self, disposable: Cluster, tiny: scratch.Scratch, tmp_path: Path
    ) -> None:
        process.run(["docker", "restart", kind.node_name(disposable.name)])
        for command in ("up", "test"):
            done = disposable.harness(tiny.root, command)
            assert done.returncode == 0, explained(done)
