"""What becomes of a request whose cluster goes away before any version has begun."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.engine.testing import testing
from harness.engine.testing.plan import Request
from harness.errors import CauseCode, HarnessError
from harness.progress import Silent
from harness.report.model import Result


def test_a_cluster_that_goes_away_before_any_version_is_the_results_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise HarnessError(
            CauseCode.CLUSTER_FAILED, "the cluster's API server does not answer", hint="harness up"
        )

    running = SimpleNamespace(
        cluster=SimpleNamespace(forwarded=False), server=SimpleNamespace(kubectl=Path("k"))
    )
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(testing, "plans", lambda *_: ([], []))
    monkeypatch.setattr(testing, "attach", lambda *_, **__: running)
    monkeypatch.setattr(testing.port_forward, "held", lambda *_: nullcontext())
    monkeypatch.setattr(testing, "remove_expired", lambda *_: None)
    monkeypatch.setattr(testing, "_all", gone)
    told: list[Result] = []
    result = testing.test(tmp_path, Request(cluster="foo"), Silent(), on_verdict=told.append)
    assert result == told[0]
    assert result.exit_code == 4
    assert result.cause is not None
    assert (result.cause.code, result.cause.hint) == ("cluster_failed", "harness up --name foo")
