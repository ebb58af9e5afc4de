"""What is done to a version or to its client harms nobody else: a row, a killed client, an opened database."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import remains
from command import ENVIRONMENT, PROGRAM, explained, loaded, only_version
from conftest import Cluster
from scratch import Scratch

from harness.airflow.release.release import database_name
from harness.host import process


@dataclass(frozen=True)
class Ended:
    """A command that ran beside others: its exit code, what it said, and its result, if it lived to write one."""

    code: int
    said: str
    file: Path

    @property
    def version(self) -> dict[str, Any]:
        return only_version(loaded(self.file))


class Background:
    """A `harness test` that runs beside the test."""

    def __init__(self, cluster: Cluster, several: Scratch, file: Path, *options: str) -> None:
        argv = (PROGRAM, "test", *options, "--json", file, "--name", cluster.harness.cluster)
        self.file = file
        self.process = process.spawn(
            tuple(map(str, argv)), stdin=False, env=ENVIRONMENT, cwd=several.root, merge=True
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line.decode(errors="replace").rstrip())

    def ended(self) -> Ended:
        self.process.wait(timeout=600)
        self._reader.join(timeout=10)
        return Ended(self.process.returncode, "\n".join(self.lines), self.file)


def running(cluster: Cluster, several: Scratch, ref: str) -> str:
    """The namespace of a version once a task pod of it runs."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        listed = json.loads(cluster.harness(several.root, "status", "--json").stdout)["versions"]
        for version in listed:
            if version["ref"] == ref and version["state"] == "running":
                pods = cluster.kind.kubectl(
                    "get", "pods", "--namespace", version["namespace"],
                    "--selector", "kubernetes_executor=True", "--output", "jsonpath={.items[*].status.phase}",
                )  # fmt: skip
                if "Running" in pods:
                    return str(version["namespace"])
        time.sleep(1.0)
    raise AssertionError(f"no task of {ref} ran")


@dataclass(frozen=True)
class Harmed:
    """Three clients at once: one's row is changed by hand, one is killed, and one works on and keeps its version."""

    changed: Ended
    changed_database: str
    killed: Ended
    collected: process.Completed
    doomed: str
    left_of_doomed: set[str]
    other: Ended

    @property
    def kept(self) -> str:
        return str(self.other.version["namespace"])


@pytest.fixture(scope="module")
def harmed(cluster: Cluster, several: Scratch, tmp_path_factory: pytest.TempPathFactory) -> Harmed:
    folder = tmp_path_factory.mktemp("harmed")
    changed = Background(cluster, several, folder / "changed.json", "--ref", "sleepy", "--keep", "never")
    killed = Background(cluster, several, folder / "killed.json", "--ref", "doomed")
    database = database_name(running(cluster, several, "sleepy"))
    remains.psql(cluster.kind, database, "UPDATE harness_canary SET token = 'changed'")
    doomed = running(cluster, several, "doomed")
    kept = ("--ref", "better", "--keep", "always", "--ttl", "3h")
    other = Background(cluster, several, folder / "other.json", *kept)
    os.killpg(killed.process.pid, signal.SIGKILL)
    collected = cluster.harness(several.root, "gc")
    left = cluster.left_of_version(doomed)
    return Harmed(changed.ended(), database, killed.ended(), collected, doomed, left, other.ended())


def test_a_row_that_was_changed_by_hand_fails_that_versions_receipt_alone(harmed: Harmed) -> None:
    assert harmed.changed.code == 4, harmed.changed.said
    cause = harmed.changed.version["cause"]
    assert cause["code"] == "isolation_failed"
    assert "harness_canary" in cause["message"]
    assert harmed.changed_database in cause["message"]
    assert harmed.other.version["cause"] is None
    assert harmed.other.version["receipt"]["verdict"] != "failed"


def test_what_a_killed_client_left_is_collected_while_another_works_on(harmed: Harmed) -> None:
    assert harmed.killed.code == -signal.SIGKILL
    assert harmed.collected.returncode == 0, explained(harmed.collected)
    assert harmed.doomed in harmed.collected.stderr
    assert harmed.left_of_doomed == set()
    assert harmed.other.code == 0, harmed.other.said
    assert loaded(harmed.other.file)["verdict"] == "passed"


def test_a_database_that_was_opened_to_others_fails_their_receipt(
    cluster: Cluster, several: Scratch, harmed: Harmed, tmp_path: Path
) -> None:
    opened = database_name(harmed.kept)
    remains.psql(cluster.kind, "postgres", f"GRANT CONNECT ON DATABASE {opened} TO PUBLIC")
    try:
        done = cluster.harness(
            several.root, "test", "--ref", "main", "--keep", "never", "--json", tmp_path / "r.json"
        )
    finally:
        remains.psql(cluster.kind, "postgres", f"REVOKE CONNECT ON DATABASE {opened} FROM PUBLIC")
    assert done.returncode == 4, explained(done)
    (version,) = loaded(tmp_path / "r.json")["versions"]
    assert version["cause"]["code"] == "isolation_failed"
    assert version["cause"]["message"].endswith(f"database role: it could connect to {opened}")
    assert [check["name"] for check in version["receipt"]["checks"] if check["verdict"] == "failed"] == [
        "database role"
    ]


def test_an_older_version_goes_when_asked_for(cluster: Cluster, several: Scratch, harmed: Harmed) -> None:
    kept = harmed.kept
    listed = json.loads(cluster.harness(several.root, "status", "--json").stdout)["versions"]
    (shown,) = [each for each in listed if each["namespace"] == kept]
    left = datetime.fromisoformat(shown["expires_at"]) - datetime.fromisoformat(shown["created_at"])
    assert 3 * 3600 <= left.total_seconds() < 3 * 3600 + 900
    assert shown["memory_bytes"] is None or shown["memory_bytes"] > 0
    assert cluster.harness(several.root, "gc").returncode == 0
    assert "namespace" in cluster.of_version(kept)
    gone = cluster.harness(several.root, "gc", "--older-than", "1s")
    assert kept in gone.stderr
    assert cluster.left_of_version(kept) == set()
