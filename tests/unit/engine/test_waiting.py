"""Who waits for somebody else says so: for another command on the cluster, and for the version to compare with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from doubles import Kubernetes

from harness.cluster.running_cluster import RunningCluster, locked
from harness.engine.testing import deployment
from harness.engine.testing.deployment import Deployment
from harness.engine.testing.plan import Request
from harness.engine.testing.version_test import VersionTest
from harness.host import cache
from harness.progress import Labelled, Progress, Silent, SilentStep, Step
from harness.project.secrets import Secrets
from harness.report.model import VersionResult


class Recorder(Silent):
    """What was shown, in order; `at` is told each line too."""

    def __init__(self, at: Callable[[str], None] = lambda _: None) -> None:
        self.lines: list[str] = []
        self._at = at

    def note(self, text: str) -> None:
        self.lines.append(text)
        self._at(text)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        self.lines.append(f"+ {title}")
        self._at(title)
        yield SilentStep()
        self.lines.append(f"- {title}")

    @contextmanager
    def waiting(self, title: str) -> Iterator[Step]:
        with self.step(title) as step:
            yield step


class TestClusterLock:
    TITLE = "waiting for the other `harness` on cluster churn"

    @pytest.fixture(autouse=True)
    def own_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv(cache.ROOT_VARIABLE, str(tmp_path))
        return tmp_path

    def test_free(self) -> None:
        progress = Recorder()
        with locked("churn", progress):
            pass
        assert progress.lines == []

    def test_held_by_another(self, own_cache: Path) -> None:
        free = threading.Event()
        progress = Recorder(lambda text: free.set() if text == self.TITLE else None)
        held = threading.Event()

        def other() -> None:
            with cache.locked(own_cache / "locks" / "churn"):
                held.set()
                assert free.wait(10)

        thread = threading.Thread(target=other)
        thread.start()
        assert held.wait(10)
        with locked("churn", progress):
            progress.note("in")
        thread.join(10)
        assert progress.lines == [
            "another `harness` works on cluster churn: waiting for it",
            f"+ {self.TITLE}",
            f"- {self.TITLE}",
            "in",
        ]


def a_trip(progress: Progress, ref: str = "head") -> VersionTest:
    found = VersionResult(ref=ref, commit="a" * 40)
    project = SimpleNamespace(configuration=None)
    plan = SimpleNamespace(found=found, project=project, secrets=Secrets())
    request = Request()
    parts = cast("tuple[Any, Any, Any, Any]", (plan, request, SimpleNamespace(), SimpleNamespace()))
    return VersionTest(*parts, progress)


class TestBase:
    def test_none(self) -> None:
        assert a_trip(Recorder())._runs_of(None) == {}

    def test_its_runs_are_waited_for_by_its_name(self) -> None:
        base = a_trip(Silent(), "main")
        progress = Recorder(lambda _: base.runs.set_result({"churn": []}))
        assert a_trip(progress)._runs_of(base) == {"churn": []}
        assert progress.lines == [
            "+ waiting for the runs of main",
            "- waiting for the runs of main",
        ]


def test_each_waiting_line_begins_with_its_label() -> None:
    progress = Recorder()
    with Labelled(progress, "main").waiting("asking"):
        pass
    assert progress.lines == ["+ main: asking", "- main: asking"]


def test_an_api_server_that_is_away_is_told_beside_whatever_step_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: dict[str, Any] = {}

    class Api:
        def __init__(self, *_: str, **options: Any) -> None:
            made.update(options)

        def wait_healthy(self, _deadline_s: float, _components: object, *, on_change: Any) -> None:
            on_change("its scheduler is not started")

    monkeypatch.setattr(deployment, "AirflowApi", Api)
    monkeypatch.setattr(deployment.control_plane, "wait_ready", lambda *_, **__: None)
    progress = Recorder()
    running = cast(
        "RunningCluster", SimpleNamespace(api=Kubernetes(), cluster=SimpleNamespace(gateway_port=1))
    )
    released = cast("Any", SimpleNamespace(namespace="churn-1", base_url="http://churn-1.localhost:1"))
    login = cast("Any", SimpleNamespace(username="u", password="p"))
    Deployment(running, Labelled(progress, "main"))._ready(released, login, SilentStep(), ())
    made["on_silence"]("Airflow's api-server has not answered for 5 s")
    assert progress.lines == ["  main: Airflow's api-server has not answered for 5 s"]
