"""A comparison ends with an answer or after all its pairs, whatever was measured before or ends first."""

from __future__ import annotations

import random

import pytest

from harness.engine.testing.pairs.pairs import WAIT, Pairs, Side, Wishes
from harness.project.configuration import Gate, MetricsSource, TestSettings
from harness.report.model import MetricResult, TestResult
from harness.verdict import comparison

SIDES: tuple[Side, ...] = ("base", "head")
GATES = (Gate(better="lower", max_regression=0.1), Gate(better="lower", max_relative_regression=0.1))


def run(value: float) -> TestResult:
    metrics = {"loss": MetricResult(value=value), "other": MetricResult(value=value / 3.0)}
    return TestResult(name="t", dag_id="d", verdict="passed", metrics=metrics)


class Simulated:
    """Both sides of a comparison, whose runs end in an order that is drawn."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.most = self.draw.choice((3, 5, 12))
        gate = self.draw.choice(GATES)
        self.settings = TestSettings(
            dag="d", conf={"seed": 7}, metrics=MetricsSource(task="e"), gates={"loss": gate}
        )
        self.pairs = Pairs(self.settings, self.most, SIDES, sequential=True)
        self.wishes = {side: Wishes(side, [self.pairs]) for side in SIDES}
        base = [self.draw.gauss(1.0, 0.3) for _ in range(self.most)]
        head = [value + self.draw.gauss(0.05, 0.1) for value in base]
        self.values = {"base": base, "head": head}
        self.results: dict[Side, dict[int, TestResult]] = {side: {} for side in SIDES}

    def add(self, side: Side, index: int) -> None:
        self.results[side][index] = run(self.values[side][index])
        self.wishes[side].add(index, self.results[side][index])

    def end(self) -> None:
        """Go on until nothing is wanted any more; each side ends as soon as nothing is wanted of it."""
        for side in SIDES:
            for index in range(self.draw.choice((0, self.draw.randint(0, self.most), self.most))):
                self.add(side, index)
            self.wishes[side].looked()
        going: dict[Side, list[int]] = {side: [] for side in SIDES}
        left = list(SIDES)
        for _ in range(1000):
            side = self.draw.choice(left)
            index = self.wishes[side].take(2) if len(going[side]) < 2 else WAIT
            if index is not None and index != WAIT:
                going[side].append(index)
            elif going[side]:
                ended = going[side].pop(self.draw.randrange(len(going[side])))
                if self.pairs.needs(ended):
                    self.add(side, ended)
            elif index is None:
                self.wishes[side].end()
                left.remove(side)
            if not left:
                return
        pytest.fail("a side waits for ever")

    def runs(self, side: Side) -> list[TestResult]:
        """Up to the first that was not run."""
        known = self.results[side]
        return [
            known[index] for index in range(self.most) if all(before in known for before in range(index + 1))
        ]


@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_undecided_while_pairs_are_left(seed: int) -> None:
    found = Simulated(seed)
    found.end()
    head = found.runs("head")[: found.wishes["head"].used]
    test = comparison.judged(found.settings, head, found.runs("base"), {}, sequential=True)
    answer, pairs = test.metrics["loss"].answer, max(1, len(test.repetitions))
    assert answer is not None
    assert answer != "undecided" or pairs == found.most
