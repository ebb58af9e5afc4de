"""Versions at once: overlap, isolation, the difference between two, and what a killed client leaves."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import remains
import scratch
from command import ENVIRONMENT, PROGRAM, explained, loaded
from conftest import Cluster
from observer import Observer
from scratch import Scratch

from harness.airflow.release.release import database_name
from harness.host import process

TOML = """\
[tests.several]
dag = "several"
conf = { seed = 7 }
timeout = "10m"
metrics = { task = "evaluate" }
[tests.several.gates.accuracy]
min = 0.3
better = "higher"
max_regression = 0.05
"""
DAG = """\
from airflow.sdk import dag, get_current_context, task


@dag(dag_id="several", schedule=None)
def several():
    @task(multiple_outputs=False)
    def evaluate():
        import random
        import time

        from several_model import ACCURACY, LUCK, SLEEP

        seed = get_current_context()["dag_run"].conf["seed"]
        time.sleep(SLEEP)
        shared, own = random.Random(seed), random.Random(1000 * LUCK + seed)
        return {"accuracy": ACCURACY + shared.uniform(-0.02, 0.02) + own.uniform(-0.01, 0.01)}

    evaluate()


several()
"""
MODELS = {
    "main": (0.80, 1, 0),
    "better": (0.85, 2, 0),
    "worse": (0.60, 3, 0),
    "same": (0.801, 4, 0),
    "sleepy": (0.82, 5, 45),
    "sleepier": (0.83, 6, 45),
}


def model(accuracy: float, luck: int, sleep_s: int) -> str:
    return f"ACCURACY, LUCK, SLEEP = {accuracy}, {luck}, {sleep_s}\n"


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """A branch for each model, and one whose model can't be imported."""
    made = scratch.empty(tmp_path_factory.mktemp("several") / "several")
    (made.root / "dags").mkdir()
    (made.root / "dags" / "requirements.lock").write_bytes(
        (scratch.CHECKOUT / "dags" / "requirements.lock").read_bytes()
    )
    made.write("harness.toml", TOML)
    made.write("dags/several.py", DAG)
    made.write("dags/several_model.py", model(*MODELS["main"]))
    made.commit("main")
    for name, parts in MODELS.items():
        if name != "main":
            made.git("checkout", "--quiet", "-b", name, "main")
            made.write("dags/several_model.py", model(*parts))
            made.commit(name)
    made.git("checkout", "--quiet", "-b", "broken", "main")
    made.write("dags/several_model.py", "raise RuntimeError('no model')\n")
    made.commit("broken")
    made.git("checkout", "--quiet", "main")
    return made


def by_ref(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {version["ref"]: version for version in document["versions"]}


def overlapping(spans: Iterable[tuple[datetime, datetime]]) -> int:
    """How many versions had pods that ran at the same time."""
    known = list(spans)
    return max((sum(first <= start < last for first, last in known) for start, _ in known), default=0)


@pytest.fixture(scope="module")
def asked(
    cluster: Cluster, several: Scratch, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], process.Completed, list[tuple[datetime, datetime]]]:
    file = tmp_path_factory.mktemp("several-results") / "result.json"
    refs = ["main", "better", "sleepy", "sleepier", "broken"]
    options = [word for ref in refs for word in ("--ref", ref)]
    with Observer(cluster.kubeconfig, cluster.helm) as observer:
        done = cluster.harness(several.root, "test", *options, "--keep", "never", "--json", file)
    document = loaded(file)
    namespaces = {version["namespace"] for version in document["versions"]}
    return document, done, [span for name, span in observer.spans.items() if name in namespaces]


class TestSeveralVersionsAtOnce:
    def test_each_has_its_own_verdict_and_its_own_model(self, asked: Any) -> None:
        document, done, _ = asked
        assert done.returncode == 1, explained(done)
        versions = by_ref(document)
        assert versions["broken"]["tests"][0]["cause"]["code"] == "task_failed"
        assert "no model" in versions["broken"]["tests"][0]["cause"]["message"]
        for ref in ("main", "better", "sleepy", "sleepier"):
            assert versions[ref]["cause"] is None, explained(done)
            value = versions[ref]["tests"][0]["metrics"]["accuracy"]["value"]
            assert value == pytest.approx(MODELS[ref][0], abs=0.03)
        assert len({version["namespace"] for version in document["versions"]}) == 5

    def test_at_least_three_overlap(self, asked: Any) -> None:
        assert overlapping(asked[2]) >= 3

    def test_each_line_of_progress_says_whose_it_is(self, asked: Any) -> None:
        _, done, _ = asked
        for ref in ("main", "better", "sleepy", "sleepier", "broken"):
            assert f" {ref}: Airflow of" in done.stderr, explained(done)

    def test_receipts_were_exercised_and_passed(self, asked: Any) -> None:
        receipts = {version["ref"]: version["receipt"] for version in asked[0]["versions"]}
        assert {receipt["verdict"] for receipt in receipts.values()} <= {"passed", "not exercised"}
        exercised = [
            {check["name"] for check in receipt["checks"] if check["verdict"] == "passed"}
            for receipt in receipts.values()
        ]
        # One that ends while the others still start finds no files of theirs; of the two that sleep, the first to end
        # finds the other at work.
        everything = {"image of each task pod", "Variable harness_canary", "database row", "database role"}
        assert any(names >= everything | {"XCom", "artifact"} for names in exercised)

    def test_no_claim_is_left(self, asked: Any, cluster: Cluster) -> None:
        listed = cluster.kind.kubectl("get", "leases", "--namespace", "harness-system", "--output", "name")
        assert "version-" not in listed


class TestDifference:
    def test_a_worse_model_fails_by_name_and_the_second_time_is_quick(
        self, cluster: Cluster, several: Scratch, tmp_path: Path
    ) -> None:
        started_s = time.monotonic()
        first = cluster.harness(several.root, "diff", "main", "worse", "--json", tmp_path / "1.json")
        between_s = time.monotonic()
        again = cluster.harness(several.root, "diff", "main", "worse", "--json", tmp_path / "2.json")
        took_s, again_s = between_s - started_s, time.monotonic() - between_s
        for done, name in ((first, "1.json"), (again, "2.json")):
            assert done.returncode == 1, explained(done)
            versions = by_ref(loaded(tmp_path / name))
            assert [versions[ref]["role"] for ref in ("main", "worse")] == ["base", "head"]
            metric = versions["worse"]["tests"][0]["metrics"]["accuracy"]
            assert metric["verdict"] == "failed"
            assert metric["base"] == versions["main"]["tests"][0]["metrics"]["accuracy"]["value"]
            assert metric["value"] < metric["base"] - 0.05
            for task in versions["worse"]["tests"][0]["tasks"]:
                assert task["base_duration_s"] is not None
                assert task["peak_memory_bytes"] > 50e6
                assert task["base_peak_memory_bytes"] > 50e6
            assert "accuracy" in done.stdout.splitlines()[-1]
        assert again_s < took_s / 2
        assert by_ref(loaded(tmp_path / "2.json"))["main"]["tests"][0]["kept_at"]

    def test_a_difference_below_the_noise_is_said_to_be_one(
        self, cluster: Cluster, several: Scratch, tmp_path: Path
    ) -> None:
        done = cluster.harness(
            several.root, "diff", "main", "same", "--repeat", "3", "--json", tmp_path / "r.json"
        )
        assert done.returncode == 0, explained(done)
        test = by_ref(loaded(tmp_path / "r.json"))["same"]["tests"][0]
        low, high = test["metrics"]["accuracy"]["interval"]
        assert low <= 0 <= high
        assert test["metrics"]["accuracy"]["within_noise"]
        assert [each["seed"] for each in test["repetitions"]] == [7, 8, 9]
        assert "less than the noise: accuracy" in done.stdout


class Background:
    """A `harness test` that runs beside the test."""

    def __init__(self, cluster: Cluster, several: Scratch, *options: str | Path) -> None:
        argv = [str(word) for word in (PROGRAM, "test", *options, "--name", cluster.harness.cluster)]
        self.process = process.spawn(tuple(argv), stdin=False, env=ENVIRONMENT, cwd=several.root, merge=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line.decode(errors="replace").rstrip())

    def ended(self) -> int:
        self.process.wait(timeout=600)
        self._reader.join(timeout=10)
        return self.process.returncode


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


def test_a_row_that_was_changed_by_hand_fails_that_versions_receipt_alone(
    cluster: Cluster, several: Scratch, tmp_path: Path
) -> None:
    asked = Background(
        cluster,
        several,
        "--ref",
        "sleepy",
        "--ref",
        "sleepier",
        "--keep",
        "never",
        "--json",
        tmp_path / "r.json",
    )
    namespace = running(cluster, several, "sleepy")
    database = database_name(namespace)
    remains.psql(cluster.kind, database, "UPDATE harness_canary SET token = 'changed'")
    assert asked.ended() == 4, "\n".join(asked.lines)
    versions = by_ref(loaded(tmp_path / "r.json"))
    assert versions["sleepy"]["cause"]["code"] == "isolation_failed"
    assert "harness_canary" in versions["sleepy"]["cause"]["message"]
    assert database in versions["sleepy"]["cause"]["message"]
    assert versions["sleepier"]["cause"] is None
    assert versions["sleepier"]["receipt"]["verdict"] != "failed"


def test_what_a_killed_client_left_is_collected_while_another_works_on(
    cluster: Cluster, several: Scratch, tmp_path: Path
) -> None:
    killed = Background(cluster, several, "--ref", "sleepy")
    doomed = running(cluster, several, "sleepy")
    other = Background(cluster, several, "--ref", "better", "--keep", "never", "--json", tmp_path / "r.json")
    os.killpg(killed.process.pid, signal.SIGKILL)
    collected = cluster.harness(several.root, "gc")
    assert collected.returncode == 0, explained(collected)
    assert doomed in collected.stderr
    assert cluster.left_of_version(doomed) == set()
    assert other.ended() == 0, "\n".join(other.lines)
    assert loaded(tmp_path / "r.json")["verdict"] == "passed"
    assert killed.ended() == -signal.SIGKILL


@pytest.fixture(scope="module")
def kept(cluster: Cluster, several: Scratch, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The namespace of a version that stays on the cluster for three hours."""
    file = tmp_path_factory.mktemp("kept") / "result.json"
    options = ["--ref", "better", "--keep", "always", "--ttl", "3h", "--json", file]
    done = cluster.harness(several.root, "test", *options)
    assert done.returncode == 0, explained(done)
    (version,) = loaded(file)["versions"]
    return str(version["namespace"])


def test_a_database_that_was_opened_to_others_fails_their_receipt(
    cluster: Cluster, several: Scratch, kept: str, tmp_path: Path
) -> None:
    opened = database_name(kept)
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


def test_an_older_version_goes_when_asked_for(cluster: Cluster, several: Scratch, kept: str) -> None:
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
