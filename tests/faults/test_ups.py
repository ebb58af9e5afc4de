"""An `up` that is interrupted, or killed after steps of its, and a machine that crashed: on clusters of their own."""

from __future__ import annotations

import time

import pytest
import remains
import scratch
from command import Harness, explained

from harness.cluster import place
from harness.cluster.kind import kind, network
from harness.engine.up import origin
from harness.host import process
from harness.host.sources.choice import Sources

from .conftest import NAME
from .helpers import programs_about
from .running import ALL, BOUNDED_S, Running, killed_after
from .samples import drawn, sampled

INTERRUPTED, KILLED = f"{NAME}-2", f"{NAME}-3"
# An early step and a late one: each `up` goes on where the one before it was killed.
SAMPLE = drawn("steps of up", (1, 2, 3), (4, 5))


@pytest.mark.parametrize("after_s", sampled("interrupt of up", [4.0, 15.0]))
def test_an_up_that_is_interrupted_ends_soon_and_down_leaves_nothing(
    tiny: scratch.Scratch, after_s: float
) -> None:
    other = Harness(INTERRUPTED)
    before = remains.docker_objects(INTERRUPTED)
    with Running(tiny.root, ("up", "--name", INTERRUPTED)) as running:
        time.sleep(after_s)
        at_s = running.interrupt()
        code, said = running.end()
    assert code == 130, said
    assert time.monotonic() - at_s < BOUNDED_S
    assert programs_about(INTERRUPTED) == []
    down = other(tiny.root, "down")
    assert down.returncode == 0, explained(down)
    assert remains.left_on_docker(INTERRUPTED, before) == []
    assert not place.state_folder(INTERRUPTED).exists()


def crash(name: str) -> str:
    """Leave a node as if the machine had gone down without notice; returns the container's id."""
    node = network.node_name(name)
    if is_made_from_packages(name):
        process.run(["docker", "exec", node, "sh", "-c", "echo another > /var/lib/harness/boot-id"])
    process.run(["docker", "kill", node])
    return container_of(name)


def is_made_from_packages(name: str) -> bool:
    """Whether the node is one that we build, which waits for no write: a crash makes it useless, but not kind's own."""
    return origin.made_from(kind.node_container(name)) is Sources.PACKAGES


def container_of(name: str) -> str:
    asked = ["docker", "container", "inspect", "--format", "{{.Id}}", network.node_name(name)]
    return process.run(asked).stdout


@pytest.mark.parametrize("steps", [SAMPLE, pytest.param(ALL, marks=pytest.mark.slow)], ids=str)
def test_an_up_killed_after_its_steps_and_a_machine_that_crashed(
    tiny: scratch.Scratch, steps: tuple[int, ...]
) -> None:
    other = Harness(KILLED)
    before = remains.docker_objects(KILLED)
    files_before = set(remains.half_made())
    titles, code, said = killed_after(tiny.root, steps, "up", "--name", KILLED)
    assert code == 0, said
    assert "Traceback" not in said
    assert len(titles) >= 2, titles
    assert steps != ALL or any("kind cluster" in title for title in titles), titles
    is_lost = is_made_from_packages(KILLED)
    first = crash(KILLED)
    again = other(tiny.root, "up")
    assert again.returncode == 0, explained(again)
    assert (container_of(KILLED) != first) == is_lost, "what may be half-written was used"
    passed = other(tiny.root, "test", "--keep", "never")
    assert passed.returncode == 0, explained(passed)
    down = other(tiny.root, "down", "--force")
    assert down.returncode == 0, explained(down)
    assert remains.left_on_docker(KILLED, before) == []
    assert not place.state_folder(KILLED).exists()
    assert programs_about(KILLED) == []
    assert set(remains.half_made()) <= files_before
