"""SIGKILL after steps of `up` and of `test`, and a crash: the next command finishes or undoes what was begun."""

from __future__ import annotations

from pathlib import Path

import remains
import scratch
from command import Harness, explained

from harness.cluster import place
from harness.cluster.kind import kind
from harness.host import process

from .conftest import NAME, Cluster
from .helpers import programs_about
from .running import Running, eventually

OTHER = f"{NAME}-3"
PASSED, FAILED = "✓ ", "✗ "  # how the line of a step that has ended begins
MOST_STEPS = 20


def killed_after_each_step(cwd: Path, *arguments: str, every: int = 1) -> tuple[list[str], int, str]:
    """Run a command again and again, killed after its first step, its second and so on, until it gets to its end.

    `every`: 2 leaves out each other step.

    Returns the titles of the steps that it was killed after, and how the last one ended: exit code and output.
    """
    titles: list[str] = []
    for number in range(1, MOST_STEPS + 1, every):
        with Running(cwd, arguments) as running:
            ended = 0
            lines = []
            for line in running.process.stdout or ():
                lines.append(line)
                ended += line.startswith((PASSED, FAILED))
                if ended == number:
                    running.process.kill()
                    titles.append(line.removeprefix(PASSED).split("  ")[0])
                    break
            else:
                return titles, running.process.wait(timeout=60), "".join(lines)
            failed = [each for each in lines if each.startswith(FAILED)]
            assert not failed, f"after a kill that followed {titles[-2:]}: {''.join(lines)}"
    raise AssertionError(f"more than {MOST_STEPS} steps: {titles}")


def test_a_test_killed_after_several_of_its_steps(cluster: Cluster, tiny: scratch.Scratch) -> None:
    before = set(cluster.versions())
    files_before = set(remains.half_made())
    tiny.write("dags/notes.txt", "not committed, so the code is taken from the working tree\n")
    # What a killed client left holds its room on the cluster for a while, and so the next ones up.
    titles, code, said = killed_after_each_step(
        tiny.root, "test", "--keep", "never", "--name", cluster.name, every=3
    )
    assert code == 0, said
    assert "Traceback" not in said
    assert len(titles) >= 2, titles
    (tiny.root / "dags" / "notes.txt").unlink()
    collected = cluster.harness(tiny.root, "gc")
    assert collected.returncode == 0, explained(collected)
    eventually(
        lambda: set(cluster.versions()) <= before,
        what="what the killed commands left is gone",
        deadline_s=60.0,
    )
    assert set(remains.half_made()) <= files_before


def crash(name: str) -> str:
    """Leave a node as if the machine had gone down without notice; returns the container's id."""
    node = kind.node_name(name)
    process.run(["docker", "exec", node, "sh", "-c", "echo another > /var/lib/harness/boot-id"])
    process.run(["docker", "kill", node])
    return container_of(name)


def container_of(name: str) -> str:
    asked = ["docker", "container", "inspect", "--format", "{{.Id}}", kind.node_name(name)]
    return process.run(asked).stdout


def test_an_up_killed_after_each_of_its_steps_and_a_machine_that_crashed(
    disposable: Cluster, tiny: scratch.Scratch
) -> None:
    other = Harness(OTHER)
    before = remains.docker_objects(OTHER)
    files_before = set(remains.half_made())
    titles, code, said = killed_after_each_step(tiny.root, "up", "--name", OTHER)
    assert code == 0, said
    assert "Traceback" not in said
    assert any("kind cluster" in title for title in titles), titles
    first = crash(OTHER)
    again = other(tiny.root, "up")
    assert again.returncode == 0, explained(again)
    assert container_of(OTHER) != first, "what may be half-written was used"
    passed = other(tiny.root, "test", "--keep", "never")
    assert passed.returncode == 0, explained(passed)
    down = other(tiny.root, "down", "--force")
    assert down.returncode == 0, explained(down)
    assert remains.left_on_docker(OTHER, before) == []
    assert not place.state_folder(OTHER).exists()
    assert programs_about(OTHER) == []
    assert set(remains.half_made()) <= files_before
