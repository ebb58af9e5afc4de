"""Versions at once: overlap, isolation, and the difference between two."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from branches import MODELS
from command import explained, loaded
from conftest import Cluster
from observer import Observer
from scratch import Scratch

from harness.host import process


@dataclass(frozen=True)
class Compared:
    """A `harness diff`, its versions by ref, and how long it took."""

    done: process.Completed
    versions: dict[str, dict[str, Any]]


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


@pytest.fixture(scope="module")
def compared(
    cluster: Cluster, several: Scratch, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Compared]:
    """Two comparisons with the same base, of which the second finds what the first one measured."""
    folder = tmp_path_factory.mktemp("compared")

    def diff(head: str, *options: str) -> Compared:
        file = folder / f"{head}.json"
        done = cluster.harness(several.root, "diff", "main", head, *options, "--json", file)
        return Compared(done, by_ref(loaded(file)))

    return {"same": diff("same", "--repeat", "3"), "worse": diff("worse")}


class TestDifference:
    def test_a_worse_model_fails_by_name_and_its_base_is_not_run_again(
        self, compared: dict[str, Compared]
    ) -> None:
        worse = compared["worse"]
        assert worse.done.returncode == 1, explained(worse.done)
        assert [worse.versions[ref]["role"] for ref in ("main", "worse")] == ["base", "head"]
        (base,), (head,) = (worse.versions[ref]["tests"] for ref in ("main", "worse"))
        metric = head["metrics"]["accuracy"]
        assert metric["verdict"] == "failed"
        assert metric["base"] == base["metrics"]["accuracy"]["value"]
        assert metric["value"] < metric["base"] - 0.05
        for task in head["tasks"]:
            assert task["base_duration_s"] is not None
            assert task["peak_memory_bytes"] > 50e6
            assert task["base_peak_memory_bytes"] > 50e6
        assert "accuracy" in worse.done.stdout.splitlines()[-1]
        assert base["kept_at"]
        assert not base["phases"]

    def test_a_difference_below_the_noise_is_said_to_be_one(self, compared: dict[str, Compared]) -> None:
        same = compared["same"]
        assert same.done.returncode == 0, explained(same.done)
        test = same.versions["same"]["tests"][0]
        low, high = test["metrics"]["accuracy"]["interval"]
        assert low <= 0 <= high
        assert test["metrics"]["accuracy"]["within_noise"]
        assert [each["seed"] for each in test["repetitions"]] == [7, 8, 9]
        metric = test["metrics"]["accuracy"]
        assert (metric["answer"], metric["pairs"]) == ("not_worse", 3)
        assert "accuracy: not worse in 3 pairs" in same.done.stdout
