"""Commands that are stopped at any moment: what they began is cleaned up, or finished by the next one."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import scratch
from command import explained

from harness.cluster.kind import network
from harness.host import process

from .broken.case import Broken, one, repository
from .conftest import Cluster, official_client
from .running import BOUNDED_S, Running, eventually, running_pod

SLOW = Broken("slow", one("slow", "import time\ntime.sleep(120)"), None)
SIGNALS = {  # by the name of the project
    "interrupted": (signal.SIGINT,),
    "terminated": (signal.SIGTERM,),
    "interrupted-twice": (signal.SIGINT, signal.SIGINT),
}


@dataclass(frozen=True)
class Ended:
    """A command that was stopped while a task ran; `took_s` is from the last signal to its end."""

    root: Path
    namespace: str
    code: int
    said: str
    took_s: float


def interrupted(cluster: Cluster, root: Path, *signals: signal.Signals) -> Ended:
    """`harness test` in a repository of this name, which gets the signals, half a second apart, once its task runs."""
    made = repository(root, (SLOW,))
    # The official client can't be shared by threads.
    own = replace(cluster, api=official_client(cluster.name))
    with Running(made.root, ("test", "--name", cluster.name)) as running:
        namespace = running_pod(own, root.name).metadata.namespace
        for number in signals[:-1]:
            running.interrupt(number)
            time.sleep(0.5)
        at_s = running.interrupt(signals[-1])
        code, said = running.end()
        return Ended(made.root, namespace, code, said, time.monotonic() - at_s)


@pytest.fixture(scope="module")
def stopped(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Ended]]]:
    """Each in a version of its own, all at once."""
    with ThreadPoolExecutor(len(SIGNALS)) as pool:
        yield {
            name: pool.submit(interrupted, cluster, tmp_path_factory.mktemp("stopped") / name, *signals)
            for name, signals in SIGNALS.items()
        }


@pytest.mark.parametrize("name", ["interrupted", "terminated"])
def test_a_test_that_is_interrupted_removes_its_version(
    cluster: Cluster, stopped: dict[str, Future[Ended]], name: str
) -> None:
    ended = stopped[name].result()
    assert ended.code == 130, ended.said
    assert ended.took_s < BOUNDED_S
    assert "Traceback" not in ended.said
    eventually(
        lambda: ended.namespace not in cluster.versions(), what="its namespace is gone", deadline_s=60.0
    )


def test_the_second_interrupt_ends_at_once(cluster: Cluster, stopped: dict[str, Future[Ended]]) -> None:
    ended = stopped["interrupted-twice"].result()
    assert ended.code == 130, ended.said
    assert ended.took_s < 2.0
    gone = cluster.harness(ended.root, "down", ended.namespace)
    assert gone.returncode == 0 or ended.namespace not in cluster.versions(), explained(gone)


def test_two_ups_at_once(cluster: Cluster, tiny: scratch.Scratch) -> None:
    arguments = ("up", "--name", cluster.name)
    with Running(tiny.root, arguments) as first, Running(tiny.root, arguments) as second:
        for running in (first, second):
            code, said = running.end()
            assert code == 0, said


def test_after_the_node_restarted_up_and_test_pass(disposable: Cluster, tiny: scratch.Scratch) -> None:
    process.run(["docker", "restart", network.node_name(disposable.name)])
    for command in ("up", "test"):
        done = disposable.harness(tiny.root, command)
        assert done.returncode == 0, explained(done)
