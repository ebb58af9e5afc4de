"""What is removed, and what stays because somebody uses it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from doubles import items
from test_admission import Store

from harness.cluster import place
from harness.cluster.leases import DURATION_S, Leases
from harness.cluster.running_cluster import RunningCluster
from harness.engine import lifetime
from harness.engine.testing.testing import labels_of
from harness.progress import Labelled, Silent


class Cluster(Store):
    """Leases, and namespaces of versions."""

    def __init__(self, clock: list[datetime]) -> None:
        super().__init__(clock)
        self.namespaces: list[dict[str, Any]] = []
        self.patches: list[tuple[str, Any]] = []

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        if path == "/api/v1/namespaces":
            return items(*self.namespaces)
        if path.startswith("/api/v1/namespaces/"):
            self.patches.append((path.rpartition("/")[2], body))
            return body
        return super().request(method, path, body, **options)

    def add(self, name: str, state: str, *, age_s: float, left_s: float | None = None) -> None:
        now = datetime.now(UTC)
        notes = {
            "harness.local/state": state,
            "harness.local/created-at": (now - timedelta(seconds=age_s)).isoformat(),
        }
        if left_s is not None:
            notes["harness.local/expires-at"] = (now + timedelta(seconds=left_s)).isoformat()
        self.namespaces.append(
            {"metadata": {"name": name, "annotations": notes, "creationTimestamp": "2026-03-01T00:00:00Z"}}
        )


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster whose `remove` takes a version out of the list, and whose clock passes while one sleeps."""
    made = Cluster([datetime.now(UTC)])

    def remove(_api: object, _server: object, name: str, **_: object) -> None:
        made.namespaces = [each for each in made.namespaces if each["metadata"]["name"] != name]

    def sleep(seconds: float) -> None:
        made.clock[0] += timedelta(seconds=seconds)
        for beat in made.beats:  # type: ignore[attr-defined]
            beat()

    made.beats = []  # type: ignore[attr-defined]
    monkeypatch.setattr(lifetime.release, "remove", remove)
    monkeypatch.setattr(lifetime.time, "sleep", sleep)
    monkeypatch.setattr(lifetime, "Leases", lambda api: Leases(api, lambda: made.clock[0]))
    return made


def attached(cluster: Cluster) -> RunningCluster:
    return RunningCluster(
        cluster=place.Cluster("harness", Path("kubeconfig"), ("node",), 8080),
        api=cluster,
        helm=None,  # type: ignore[arg-type]
        server=None,  # type: ignore[arg-type]
        log=Path("log"),
    )


def names(cluster: Cluster) -> list[str]:
    return [each["metadata"]["name"] for each in cluster.namespaces]


class TestExpired:
    def test_what_is_over_goes(self, cluster: Cluster) -> None:
        cluster.add("over", "failed", age_s=3600, left_s=-1)
        cluster.add("left", "running", age_s=3600, left_s=-1)
        cluster.add("kept", "failed", age_s=3600, left_s=3600)
        lifetime.remove_expired(attached(cluster), Silent())
        assert names(cluster) == ["kept"]

    @pytest.mark.parametrize(("silent_s", "left"), [(0, ["used"]), (DURATION_S + 1, [])])
    def test_a_version_whose_client_lives_stays_whatever_its_clock_says(
        self, cluster: Cluster, silent_s: float, left: list[str]
    ) -> None:
        leases = Leases(cluster, lambda: cluster.clock[0])
        made = leases.make(cpu=0.3, memory_bytes=1.0, image="i", ref="r")
        leases.renew(replace(made, version="used"))
        cluster.add("used", "running", age_s=60, left_s=-3600)
        cluster.clock[0] += timedelta(seconds=silent_s)
        lifetime.remove_expired(attached(cluster), Silent())
        assert names(cluster) == left


class TestCollecting:
    def test_what_is_over_goes_and_what_is_kept_stays(self, cluster: Cluster) -> None:
        cluster.add("kept", "failed", age_s=3600, left_s=3600)
        cluster.add("over", "failed", age_s=3600, left_s=-1)
        cluster.add("usual", "passed", age_s=23 * 3600)
        cluster.add("too-old", "passed", age_s=25 * 3600)
        gone = lifetime.gc(attached(cluster), Silent())
        assert [each.namespace for each in gone] == ["too-old", "over"]
        assert names(cluster) == ["kept", "usual"]

    def test_older_than(self, cluster: Cluster) -> None:
        cluster.add("young", "failed", age_s=60, left_s=3600)
        cluster.add("old", "failed", age_s=7300, left_s=3600)
        lifetime.gc(attached(cluster), Silent(), older_than_s=7200)
        assert names(cluster) == ["young"]

    def test_a_version_whose_client_is_gone(self, cluster: Cluster) -> None:
        cluster.add("left", "running", age_s=DURATION_S + 20, left_s=500)
        lifetime.gc(attached(cluster), Silent())
        assert names(cluster) == []

    def test_a_claim_that_is_not_renewed_protects_until_it_expires(self, cluster: Cluster) -> None:
        leases = Leases(cluster, lambda: cluster.clock[0])
        made = leases.make(cpu=0.3, memory_bytes=1.0, image="i", ref="r")
        leases.renew(made.__class__(**{**made.__dict__, "version": "killed"}))
        cluster.add("killed", "running", age_s=300, left_s=500)
        started = cluster.clock[0]
        lifetime.gc(attached(cluster), Silent())
        assert names(cluster) == []
        assert (cluster.clock[0] - started).total_seconds() >= DURATION_S

    def test_a_version_whose_client_lives_stays_however_old_it_is(self, cluster: Cluster) -> None:
        leases = Leases(cluster, lambda: cluster.clock[0])
        made = leases.make(cpu=0.3, memory_bytes=1.0, image="i", ref="r")
        claim = leases.renew(made.__class__(**{**made.__dict__, "version": "used"}))
        cluster.beats.append(lambda: leases.renew(claim))  # type: ignore[attr-defined]
        cluster.add("used", "running", age_s=90_000, left_s=-5)
        started = cluster.clock[0]
        lifetime.gc(attached(cluster), Silent(), older_than_s=1)
        assert names(cluster) == ["used"]
        assert (cluster.clock[0] - started).total_seconds() < DURATION_S / 2


class TestAbandoned:
    def test_those_in_the_way_go_once_nobody_has_claimed_them_for_as_long_as_a_claim_lives(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now_s = [0.0]
        monkeypatch.setattr(lifetime.time, "monotonic", lambda: now_s[0])
        leases = Leases(cluster, lambda: cluster.clock[0])
        made = leases.make(cpu=0.3, memory_bytes=1.0, image="i", ref="r")
        claims = [replace(made, version="used")]
        for name, state in (
            ("used", "running"),
            ("left", "running"),
            ("kept", "failed"),
            ("back", "starting"),
        ):
            cluster.add(name, state, age_s=300, left_s=500)
        abandoned = lifetime.Abandoned(attached(cluster), Silent())
        assert not abandoned.remove(claims)
        now_s[0] = DURATION_S - 5
        assert not abandoned.remove([*claims, replace(made, version="back")])  # it was only slow
        now_s[0] = DURATION_S + 5
        assert abandoned.remove(claims)
        assert names(cluster) == ["used", "kept", "back"]
        assert not abandoned.remove(claims)


def test_a_version_in_use_is_renewed_now_and_then(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(lifetime.time, "monotonic", lambda: now_s[0])
    used = lifetime.Lifetime(cluster, "churn-1")
    for _ in range(30):
        used.renew()
        now_s[0] += 5
    assert [name for name, _ in cluster.patches] == ["churn-1"] * 3
    until = cluster.patches[0][1]["metadata"]["annotations"]["harness.local/expires-at"]
    assert datetime.fromisoformat(until) > datetime.now(UTC) + timedelta(minutes=9)


def test_labels_tell_versions_apart() -> None:
    class Plan:
        def __init__(self, ref: str) -> None:
            self.found = type("Found", (), {"ref": ref})

    refs = ["main", "main", "a-very-long-name-of-a-branch"]
    found = labels_of([Plan(ref) for ref in refs])  # type: ignore[misc]
    assert len(set(found)) == 3
    assert found[:2] == ["main", "main #2"]
    assert found[2].endswith("…")


def test_each_line_begins_with_its_label() -> None:
    told: list[str] = []

    class Progress(Silent):
        def note(self, text: str) -> None:
            told.append(text)

        def step(self, title: str) -> Any:
            told.append(title)
            return super().step(title)

    progress = Labelled(Progress(), "main")
    with progress.step("deploy"):
        progress.note("    train: success")
    assert told == ["main: deploy", "  main: train: success"]
