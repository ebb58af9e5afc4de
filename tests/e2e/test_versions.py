"""Which code runs: an older commit beside the one checked out, and what is not committed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schema
from command import explained, loaded
from conftest import Cluster
from scratch import Scratch, tiny_model


@dataclass(frozen=True)
class Checkout:
    """What a user would notice of a repository that somebody worked in."""

    status: str
    head: str
    files: dict[str, str]

    @classmethod
    def of(cls, scratch: Scratch) -> Checkout:
        return cls(scratch.status(), scratch.git("symbolic-ref", "HEAD"), scratch.fingerprints())


def version_of(cluster: Cluster, scratch: Scratch, file: Path, *options: str) -> dict[str, Any]:
    """Run the test of a ref; returns the version's part of the document."""
    command = cluster.harness(scratch.root, "test", "--keep", "never", "--json", file, *options)
    assert command.returncode == 0, explained(command)
    document = loaded(file)
    assert schema.violations(document) == []
    (version,) = document["versions"]
    return version


def accuracy(version: dict[str, Any]) -> float:
    value: float = version["tests"][0]["metrics"]["accuracy"]["value"]
    return value


@pytest.fixture(scope="module")
def changed(tiny: Scratch) -> Scratch:
    """HEAD is checked out, one file is changed and one is new: each commit's code is somewhere else."""
    tiny.write(
        "dags/tiny_model.py", "from tiny_weights import WEIGHT\n" + tiny_model(0).replace("0", "WEIGHT")
    )
    tiny.write("dags/tiny_weights.py", "WEIGHT = 0.83\n")
    return tiny


def test_an_older_commit_gives_its_own_metrics_while_head_is_checked_out(
    cluster: Cluster, changed: Scratch, tmp_path: Path
) -> None:
    before = Checkout.of(changed)
    version = version_of(cluster, changed, tmp_path / "result.json", "--ref", "HEAD~1")
    assert accuracy(version) == 0.61
    assert version["ref"] == "HEAD~1"
    assert version["commit"] == changed.git("rev-parse", "HEAD~1")
    assert version["dirty"] is None
    assert Checkout.of(changed) == before


def test_a_dirty_tree_gives_the_metrics_of_what_is_not_committed(
    cluster: Cluster, changed: Scratch, tmp_path: Path
) -> None:
    before = Checkout.of(changed)
    assert before.status == "M dags/tiny_model.py\n?? dags/tiny_weights.py"
    version = version_of(cluster, changed, tmp_path / "result.json")
    assert accuracy(version) == 0.83
    assert version["commit"] == changed.git("rev-parse", "HEAD")
    assert version["image"]["name"].endswith(f":{version['commit'][:12]}-dirty-{version['dirty']}")
    assert Checkout.of(changed) == before
