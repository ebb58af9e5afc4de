"""Task logs are kept as they come, whatever becomes of their pods, and nothing waits for those that go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from doubles import Clock

from harness.airflow.logs import log_keeper
from harness.airflow.logs.log_keeper import LogKeeper, kept_logs
from harness.airflow.logs.redaction import Redactor
from harness.airflow.pods.pods import Container, Pod
from harness.airflow.pods.watch import ClusterPods
from harness.errors import CauseCode, HarnessError

NOW = datetime(2026, 11, 22, tzinfo=UTC)
POD = Pod(
    "demo-train-x1",
    task_id="train",
    try_number=1,
    phase="Running",
    containers=(Container("base", started_at=NOW),),
)


class Logs:
    """Stands for ClusterPods: each attempt to follow a log plays the next of `attempts`."""

    def __init__(self, *attempts: list[str | Exception | threading.Event]) -> None:
        self.attempts = list(attempts)

    def follow_log(self, pod: str, container: str) -> Iterator[str]:
        for item in self.attempts.pop(0):
            if isinstance(item, Exception):
                raise item
            if isinstance(item, threading.Event):
                item.wait(30)
            else:
                yield item


def keeper(folder: Path, *attempts: list[str | Exception | threading.Event]) -> LogKeeper:
    return LogKeeper(cast("ClusterPods", Logs(*attempts)), folder, Redactor(["s3cr3t-value"]))


def gone() -> HarnessError:
    return HarnessError(CauseCode.CLUSTER_FAILED, "no answer")


def test_lines_are_there_as_they_come_without_secrets(tmp_path: Path) -> None:
    more = threading.Event()
    kept = keeper(tmp_path, ["with s3cr3t-value", more, "the end"])
    kept.see([POD])
    until = time.monotonic() + 5
    while not kept.text(POD) and time.monotonic() < until:
        time.sleep(0.01)
    assert kept.text(POD) == "with ***\n"
    more.set()
    kept.finish()
    assert kept.text(POD) == "with ***\nthe end\n"
    assert [(each.label, each.pod) for each in kept_logs(tmp_path)] == [("train", "demo-train-x1")]


def test_a_pod_that_has_not_started_has_no_log_yet(tmp_path: Path) -> None:
    kept = keeper(tmp_path)
    kept.see([replace(POD, containers=())])
    assert kept_logs(tmp_path) == ()


def test_a_log_that_broke_off_is_followed_again_from_its_beginning(tmp_path: Path) -> None:
    kept = keeper(tmp_path, ["one", gone()], ["one", "two"])
    for _ in range(2):
        kept.see([POD])
        kept.finish()
    assert kept.text(POD) == "one\ntwo\n"


def test_what_was_kept_stays_when_the_pod_cannot_be_asked_again(tmp_path: Path) -> None:
    kept = keeper(tmp_path, ["one", gone()], [gone()])
    for _ in range(2):
        kept.see([POD])
        kept.finish()
    assert kept.text(POD) == "one\n"


def test_those_that_go_on_are_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(log_keeper, "time", clock)

    class GoesOn:
        def join(self, timeout: float) -> None:
            clock.sleep(timeout)

    kept = keeper(tmp_path)
    kept._threads = {f"pod-{number}": GoesOn() for number in range(4)}  # type: ignore[misc]
    kept.finish()
    assert clock.slept == [log_keeper.LAST_LINES_S, 0.0, 0.0, 0.0], "not each of them by itself"


def test_a_log_without_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_keeper, "LIMIT_BYTES", 1000)
    kept = keeper(tmp_path, ["x" * 99] * 20)
    kept.see([POD])
    kept.finish()
    lines = kept.text(POD).splitlines()
    assert len(lines) == 11
    assert "the log goes on" in lines[-1]
