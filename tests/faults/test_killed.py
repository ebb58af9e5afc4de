"""SIGKILL after steps of a test: the next command finishes or undoes what was begun."""

from __future__ import annotations

import pytest
import remains
import scratch
from command import explained

from .conftest import Cluster
from .running import ALL, eventually, killed_after
from .samples import drawn

# An early step and a late one.
SAMPLE = drawn("steps of test", (1, 2, 3), (4, 5))


@pytest.mark.parametrize("steps", [SAMPLE, pytest.param(ALL, marks=pytest.mark.slow)], ids=str)
def test_a_test_killed_after_its_steps(
    cluster: Cluster, tiny: scratch.Scratch, steps: tuple[int, ...]
) -> None:
    before = set(cluster.versions())
    files_before = set(remains.half_made())
    tiny.write("dags/notes.txt", "not committed, so the code is taken from the working tree\n")
    # What a killed client left holds its room on the cluster for a while, and so the next ones up.
    titles, code, said = killed_after(tiny.root, steps, "test", "--keep", "never", "--name", cluster.name)
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
