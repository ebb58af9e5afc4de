"""The runs of one side as they are made: the first alone, then side by side or one after another."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

from harness.engine.testing.measured import Wanted
from harness.engine.testing.pairs.pairs import Pairs, Wishes
from harness.engine.testing.pairs.side_by_side import Pause, SideBySide
from harness.project.configuration import Gate, MetricsSource, TestSettings
from harness.report.model import MetricResult, TestResult

SETTINGS = TestSettings(
    dag="d",
    conf={"seed": 7},
    metrics=MetricsSource(task="e"),
    gates={"accuracy": Gate(better="higher", max_regression=0.02)},
)
WANTED = [Wanted(str(index), "t", index, SETTINGS, datetime(2026, 1, 1, tzinfo=UTC)) for index in range(5)]


class Airflow:
    """Runs that take a moment, and write where they are told to."""

    def __init__(self, *, shared: bool = False) -> None:
        self.shared = shared
        self.files: dict[str, float] = {}
        self.going = self.most = 0
        self.parsed: list[bool] = []
        self.lock = threading.Lock()

    def run(self, wanted: Wanted, pause: Pause, parsed: bool) -> TestResult:
        with self.lock:
            self.parsed.append(parsed)
            self.going += 1
            self.most = max(self.most, self.going)
        pause(0.05)
        with self.lock:
            self.going -= 1
            path = "shared/0/model" if self.shared else f"artifacts/harness-{wanted.index}/model"
            self.files[path] = time.monotonic()
        metrics = {"accuracy": MetricResult(value=0.9)}
        return TestResult(
            name="t", dag_id="d", run_id=f"harness-{wanted.index}", verdict="passed", metrics=metrics
        )

    def measure(self, wishes: Wishes, most: int) -> dict[str, TestResult]:
        runs = SideBySide(self.run, time.sleep, lambda _: most, lambda: dict(self.files), {})
        runs.measure(WANTED, {"t": wishes})
        return runs.apart(WANTED, {"t": wishes})


def alone(count: int = 5) -> Wishes:
    wishes = Wishes("head", [Pairs(SETTINGS, count)])
    wishes.looked()
    return wishes


def test_the_first_goes_alone_and_is_parsed_and_the_others_side_by_side() -> None:
    airflow = Airflow()
    made = airflow.measure(alone(), 2)
    assert len(made) == 5
    assert airflow.parsed == [False, True, True, True, True]
    assert airflow.most == 2


def test_one_after_another_where_they_share_a_folder_and_a_path_is_named() -> None:
    airflow, wishes = Airflow(shared=True), alone()
    made = airflow.measure(wishes, 2)
    assert airflow.most == 1
    assert list(made) == ["0"]
    assert "runs harness-0 and harness-1 both wrote shared/0/model" in wishes.collision
    assert len(airflow.parsed) == 2


def test_a_comparison_ends_with_its_answer_and_what_goes_on_is_dropped() -> None:
    pairs = Pairs(SETTINGS, 5, ("base", "head"), sequential=True)
    head, base = Wishes("head", [pairs]), Wishes("base", [pairs])
    head.looked()
    for index in range(5):
        base.add(
            index,
            TestResult(
                name="t",
                dag_id="d",
                verdict="passed",
                metrics={"accuracy": MetricResult(value=0.9 + index * 1e-4)},
            ),
        )
    base.looked()
    made = Airflow().measure(head, 1)
    assert len(made) == 3
