"""Which runs of a comparison are wanted, and when they are enough."""

from __future__ import annotations

import pytest

from harness.engine.admission.processors import AtWork
from harness.engine.testing.pairs.pairs import WAIT, NoLongerNeededError, Pairs, Side, Wishes, side_by_side
from harness.engine.testing.pairs.side_by_side import needs_runs, tell_kept, undisturbed
from harness.isolation.written import Writers
from harness.progress import Silent
from harness.project.configuration import Gate, MetricsSource, TestSettings
from harness.report.model import Cause, MetricResult, TestResult

SETTINGS = TestSettings(
    dag="d",
    conf={"seed": 7},
    metrics=MetricsSource(task="e"),
    gates={"accuracy": Gate(better="higher", max_regression=0.02)},
)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def run(accuracy: float, *, failed: bool = False) -> TestResult:
    return TestResult(
        name="t",
        dag_id="d",
        verdict="failed" if failed else "passed",
        metrics={"accuracy": MetricResult(value=accuracy), "loss": MetricResult(value=1 - accuracy)},
        cause=Cause(code="task_failed", message="boom") if failed else None,
    )


class Comparison:
    """Both sides of one, and what it noted."""

    def __init__(self, most: int = 12, *, sequential: bool = True) -> None:
        self.notes: list[str] = []
        self.clock = Clock()
        sides: tuple[Side, ...] = ("base", "head")
        self.pairs = Pairs(
            SETTINGS, most, sides, sequential=sequential, note=self.notes.append, clock=self.clock
        )
        self.base, self.head = (Wishes(side, [self.pairs]) for side in sides)

    def looked(self) -> Comparison:
        self.base.looked()
        self.head.looked()
        return self

    def add(self, index: int, base: float, head: float) -> None:
        self.base.add(index, run(base))
        self.head.add(index, run(head))


def test_runs_begin_a_little_ahead_of_what_is_known() -> None:
    found = Comparison().looked()
    assert [found.head.take() for _ in range(3)] == [0, 1, WAIT]
    found.add(0, 0.9, 0.91)
    assert found.head.take() == 2
    assert found.base.take() == 1


def test_it_is_over_with_an_answer() -> None:
    found = Comparison().looked()
    for index, (base, head) in enumerate([(0.90, 0.91), (0.91, 0.90), (0.92, 0.921), (0.9, 0.902)]):
        found.add(index, base, head)
    assert found.head.take() is None
    assert found.base.take() is None
    with pytest.raises(NoLongerNeededError):
        found.head.check(4)
    found.head.check(0)


def test_after_the_first_pair_it_is_said_what_to_expect() -> None:
    found = Comparison().looked()
    found.clock.now_s = 40.0  # until the versions were there
    assert (found.base.take(), found.head.take()) == (0, 0)
    found.clock.now_s = 100.0
    found.add(0, 0.9, 0.91)
    found.add(1, 0.9, 0.93)
    assert found.notes == ["1 pair so far; nothing is known of the noise yet: 3 to 12 pairs, 2 min to 11 min"]


def test_what_was_measured_before_tells_nothing_of_the_time_that_is_left() -> None:
    found = Comparison()
    found.add(0, 0.9, 0.91)
    found.add(1, 0.9, 0.93)
    found.looked()
    assert found.notes == []
    assert (found.base.take(), found.head.take()) == (2, 2)
    found.clock.now_s = 30.0
    found.add(2, 0.9, 0.85)
    assert found.notes == [
        "3 pairs so far; about 12 are to be expected by what is known of the noise: 4 min more"
    ]


def test_runs_that_are_the_same_need_no_second_pair() -> None:
    found = Comparison().looked()
    found.add(0, 0.9, 0.9)
    assert found.head.take() is None
    assert found.notes == []


def test_the_time_is_limited_to_one_pair_at_least() -> None:
    found = Comparison().looked()
    assert (found.base.take(), found.head.take()) == (0, 0)
    found.clock.now_s = SETTINGS.max_comparison_time + 1
    found.add(0, 0.9, 0.8)
    assert (found.base.take(), found.head.take()) == (None, None)
    assert found.notes[1:] == ["no further pair begins: max_comparison_time 20 min is over"]


def test_the_time_begins_with_the_runs_of_both_sides() -> None:
    found = Comparison().looked()
    found.clock.now_s = 2 * SETTINGS.max_comparison_time  # a cluster without room
    assert found.base.take() == 0
    found.clock.now_s += 2 * SETTINGS.max_comparison_time
    assert found.head.take() == 0
    found.add(0, 0.9, 0.8)
    assert (found.base.take(), found.head.take()) == (1, 1)


def test_all_are_wanted_where_their_number_is_given() -> None:
    found = Comparison(5, sequential=False).looked()
    for index in range(4):
        found.add(index, 0.9, 0.9)
    assert found.head.take() == 4
    assert found.head.take() is None


def test_a_run_that_failed_ends_its_side_and_the_other_keeps_its_first() -> None:
    found = Comparison().looked()
    found.base.add(0, run(0.9, failed=True))
    assert found.base.take() is None
    assert found.head.take() == 0
    found.head.add(0, run(0.9))
    assert found.head.take() is None


def test_what_both_measured_before_may_be_enough() -> None:
    found = Comparison()
    for index, (base, head) in enumerate([(0.90, 0.91), (0.91, 0.90), (0.92, 0.921), (0.9, 0.902)]):
        found.base.add(index, run(base))
        found.head.add(index, run(head)) if index < 2 else None
    found.base.looked()
    assert found.base.peek() == WAIT  # what the head has is not known yet
    found.head.add(2, run(0.921))
    found.head.add(3, run(0.902))
    found.head.looked()
    assert not needs_runs([found.base], lambda _: None, Silent())
    assert not needs_runs([found.head], lambda _: None, Silent())
    tell_kept({"t": found.head}, [], {})


def test_a_base_that_was_measured_before_needs_no_runs_and_ends_nothing() -> None:
    found = Comparison(4)
    for index, accuracy in enumerate((0.9, 0.91, 0.92, 0.9)):
        found.base.add(index, run(accuracy))
    found.looked()
    assert found.base.take() is None
    found.base.end()
    assert [found.head.take() for _ in range(2)] == [0, 1]
    for index, accuracy in enumerate((0.95, 0.83)):
        found.head.add(index, run(accuracy))
    assert found.head.take() == 2


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_base_that_ends_early_ends_the_comparison_at_its_last_run(kept: int) -> None:
    found = Comparison().looked()
    for index in range(kept):
        found.base.add(index, run(0.9))
    if kept:
        found.base.add(kept, run(0.9, failed=True))
        found.base.add(kept + 1, run(0.9))
    found.base.end()
    assert found.head.take() == 0
    found.head.add(0, run(0.95))
    assert found.head.take() == (1 if kept > 1 else None)


def test_a_base_goes_on_while_one_of_its_heads_wants_it() -> None:
    one, two = Comparison().looked(), Comparison().looked()
    base = Wishes("base", [one.pairs, two.pairs])
    one.head.add(0, run(0.9))
    base.add(0, run(0.9))
    assert base.take() == 1
    two.head.add(0, run(0.9))
    assert base.take() is None


def test_runs_that_wrote_one_path_end_it() -> None:
    found = Comparison().looked()
    found.add(0, 0.9, 0.91)
    found.head.collide("both wrote it")
    assert (found.head.take(), found.base.take()) == (None, None)
    assert found.base.collision == "both wrote it"
    assert undisturbed({"key": run(0.9)}, {"t": found.head}) == {}


class TestWriters:
    def test_one_writer_is_none_too_many(self) -> None:
        writers = Writers({"shared/0/raw.csv": 1.0})
        writers.look({"shared/0/raw.csv": 1.0, "shared/0/model": 2.0}, ["harness-1"], ["harness-1"])
        assert not writers.is_empty
        assert writers.collision is None

    def test_two_are(self) -> None:
        writers = Writers()
        writers.look({"shared/0/model": 2.0}, ["harness-1"], ["harness-1"])
        writers.look({"shared/0/model": 3.0}, ["harness-2"], ["harness-1", "harness-2"])
        assert writers.collision == ("shared/0/model", ("harness-1", "harness-2"))

    def test_the_file_of_the_metrics_is_read_before_the_next_run(self) -> None:
        writers = Writers(read_at_once="metrics.json")
        writers.look({"artifacts/metrics.json": 2.0}, ["harness-1"], ["harness-1"])
        assert writers.is_empty

    def test_a_folder_of_its_own_is_no_concern(self) -> None:
        writers = Writers()
        writers.look({"artifacts/d/harness-1/model": 2.0}, ["harness-1"], ["harness-1"])
        assert writers.is_empty

    def test_of_those_side_by_side_nobody_knows_who_it_was(self) -> None:
        writers = Writers()
        writers.look({"artifacts/model": 2.0}, ["harness-1", "harness-2"], ["harness-1", "harness-2"])
        assert writers.collision is not None


@pytest.mark.parametrize(
    ("busy", "processors", "versions", "expected"),
    [
        (None, 2.0, 2, 2),
        (None, 16.0, 2, 4),
        (None, 1.0, 8, 1),
        (AtWork(1.96, 1.96), 2.0, 2, 1),  # all at work with one run of each
        (AtWork(1.2, 1.2), 2.0, 2, 2),
        (AtWork(0.5, 0.5), 2.0, 2, 4),
        (AtWork(0.0, 0.0), 2.0, 2, 4),
        (AtWork(2.0, 2.0), 8.0, 2, 4),
        (AtWork(0.5, 1.4), 2.0, 2, 2),  # others are at work, too
        (AtWork(0.5, 2.0), 2.0, 2, 1),
    ],
)
def test_side_by_side(busy: AtWork | None, processors: float, versions: int, expected: int) -> None:
    assert side_by_side(busy, processors=processors, versions=versions) == expected
