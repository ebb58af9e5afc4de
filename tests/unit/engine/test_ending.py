"""What becomes of a version after its verdict: told before it goes, kept or removed, and what fails of that."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from doubles import Kubernetes

from harness.cluster.place import Cluster
from harness.cluster.running_cluster import RunningCluster
from harness.engine.testing import ending as endings
from harness.engine.testing import version_test as version_tests
from harness.engine.testing.deployment import Deployment
from harness.engine.testing.ending import Ending
from harness.engine.testing.plan import Keep, Request
from harness.engine.testing.version_test import VersionTest
from harness.errors import CauseCode, HarnessError
from harness.progress import Silent
from harness.project.secrets import Secrets
from harness.report.model import Cause, VersionResult

STAYS = HarnessError(CauseCode.CLUSTER_FAILED, "namespace main-1 was not gone", hint="harness down main-1")
FAILED = Cause(code="task_failed", message="task train failed")


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def ending(keep: Keep = "on-failure", progress: Silent | None = None) -> Ending:
    cluster = Cluster("harness", Path("kubeconfig"), (), 8080)
    running = RunningCluster(cluster=cluster, api=Kubernetes({}), helm=None, server=None, log=Path("log"))  # type: ignore[arg-type]
    progress = progress or Silent()
    parts = Deployment(running, progress), progress, None, lambda: None
    return Ending(running, Request(keep=keep), "main", cast("Any", SimpleNamespace(leases=None)), *parts)


def result(cause: Cause | None = None, namespace: str | None = "main-1") -> VersionResult:
    return VersionResult(ref="main", commit="a" * 40, namespace=namespace, cause=cause)


@pytest.fixture(autouse=True)
def removed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr(
        endings.release, "remove", lambda _api, _server, namespace, **_: names.append(namespace)
    )
    monkeypatch.setattr(endings.lifetime, "remove_images", lambda *_: None)
    return names


@pytest.mark.parametrize(
    ("keep", "cause", "kept"),
    [
        ("never", FAILED, False),
        ("on-failure", None, False),
        ("on-failure", FAILED, True),
        ("always", None, True),
    ],
)
def test_whether_it_stays_is_known_with_the_verdict(keep: Keep, cause: Cause | None, kept: bool) -> None:
    assert ending(keep).foreseen(result(cause)).kept is kept
    assert ending(keep).foreseen(result(cause, namespace=None)).kept is False


def test_one_that_passed_goes(removed: list[str]) -> None:
    found = ending().run(result())
    assert removed == ["main-1"]
    assert "remove_s" in found.phases
    assert found.cause is None


def test_a_removal_that_fails_is_the_cause_of_a_version_without_any(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise STAYS

    monkeypatch.setattr(endings.release, "remove", refuse)
    found = ending().run(result())
    assert (found.cause, found.kept) == (Cause.of(STAYS), True)
    notes = Notes()
    found = ending("never", notes).run(result(FAILED))
    assert (found.cause, found.kept) == (FAILED, True)
    assert notes.lines == ["main-1 was not removed: namespace main-1 was not gone. Next: harness down main-1"]


def a_version_test() -> VersionTest:
    project = SimpleNamespace(configuration=None, name="main")
    plan = SimpleNamespace(found=result(namespace=None), project=project, secrets=Secrets())
    parts = cast("tuple[Any, ...]", (plan, Request(), SimpleNamespace(), SimpleNamespace()))
    return VersionTest(*parts, Silent())


def test_the_result_is_known_before_the_version_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    version_test = a_version_test()
    monkeypatch.setattr(VersionTest, "_run", lambda *_: result())

    class Stays(Ending):
        def run(self, found: VersionResult) -> VersionResult:
            assert version_test.known.result(timeout=0) == found
            return found.model_copy(update={"kept": True})

    monkeypatch.setattr(version_tests, "Ending", Stays)
    assert version_test.run().kept
    assert not version_test.known.result(timeout=0).kept


def test_whoever_waits_for_a_verdict_learns_that_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    version_test = a_version_test()

    def broken(*_: object) -> VersionResult:
        raise KeyError("a bug")

    monkeypatch.setattr(VersionTest, "_run", broken)
    with pytest.raises(KeyError):
        version_test.run()
    with pytest.raises(KeyError):
        version_test.known.result(timeout=0)
