"""Pairs of runs, one of the base and one of head for each seed: which are still needed, and when they are enough."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from harness.engine.admission.processors import AtWork
from harness.project.configuration import TestSettings
from harness.report.format import plural
from harness.report.model import TestResult
from harness.verdict import answers, comparison
from harness.verdict.sensitivity import expected_pairs
from harness.verdict.sequential import Evidence, Spread

Side = Literal["base", "head"]
AtOnce = Callable[[AtWork | None], int]  # how many runs of a version may go, by what its first one left idle
MOST_SIDE_BY_SIDE = 4
LEAST_BUSY = 0.01  # processors; a cluster that rests is never idler
WAIT = -1
AHEAD = 2  # runs of one side that begin before it is known whether they are needed


class NoLongerNeededError(Exception):
    """A run goes on of which nobody wants to know the end."""


class Pairs:
    """The runs of one test of a version, and those of its base where there is one. Threads of both sides use it.

    With `sequential` it is over as soon as the pairs so far answer, or `max_comparison_time` has passed; otherwise all
    `most` runs are wanted. A run that failed ends its side.
    """

    def __init__(
        self,
        settings: TestSettings,
        most: int,
        sides: Sequence[Side] = ("head",),
        *,
        sequential: bool = False,
        learnt: Mapping[str, Spread] | None = None,
        note: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.most = most
        self.sequential = sequential and len(sides) == 2
        self.learnt = dict(learnt or {})
        self._runs: dict[Side, dict[int, TestResult]] = {side: {} for side in sides}
        self._looked: set[Side] = set()  # for what was measured before
        self._ended: set[Side] = set()
        self._over = False
        self.collision = ""
        self._used = 0
        self._kept = 0  # pairs that were measured before
        self._begun_s: dict[Side, float] = {}  # when the first run of a side began
        self._told = False
        self._told_late = False
        self._note = note
        self._clock = clock
        self._lock = threading.Lock()

    def add(self, side: Side, index: int, result: TestResult) -> None:
        """A run that ended, or was measured before."""
        with self._lock:
            self._runs[side][index] = result
            if result.verdict != "passed":
                self._ended.add(side)
            if self.sequential and not self._over:
                self._look()

    def looked(self, side: Side) -> None:
        """What was measured of this side before has been added."""
        with self._lock:
            self._looked.add(side)
            if self._looked == self._runs.keys():
                self._kept = self._complete()

    def begin(self, side: Side) -> None:
        """A run begins."""
        with self._lock:
            self._begun_s.setdefault(side, self._clock())

    def end(self, side: Side) -> None:
        """No more comes of this side, whatever the reason."""
        with self._lock:
            self._ended.add(side)

    @property
    def used(self) -> int:
        """How many runs of each side count: those of the pairs until the answer, or all."""
        return self._used if self.sequential and self._used else self.most

    def collide(self, message: str) -> None:
        """Runs got in each other's way, as the message says: it is over, and one run of each side is what counts."""
        with self._lock:
            self.collision = self.collision or message
            self._over = True

    def wants(self, side: Side, index: int, ahead: int = AHEAD) -> bool | None:
        """Whether this run may begin: None when it is not needed, False while that is not known."""
        with self._lock:
            if side in self._ended or index >= self.most or index in self._runs[side]:
                return None
            if index == 0 or not (self.sequential or self.collision):
                return True
            others = self._runs.keys() - {side}
            if self._over or self._is_late():
                return None
            # The other side may have ended because all of its runs were measured before: then this one makes a pair.
            if any(index >= self._passed(other) for other in others & self._ended):
                return None
            # Once both sides have looked for what was measured before: the pairs may be there already.
            return others <= self._looked and index < self._complete() + ahead

    def needs(self, index: int) -> bool:
        """Whether the end of a run that goes on is still of interest."""
        return index == 0 or not self._over

    def _look(self) -> None:
        complete = self._complete()
        if complete == 0:
            return
        base, head = ([self._runs[side][index] for index in range(complete)] for side in ("base", "head"))
        self._used, found = comparison.first_answer(self.settings, base, head, self.learnt)
        self._over = found.is_decided
        if not self._told and not self._over and self._begun_s and complete > self._kept:
            self._told = True
            pair_s = (self._clock() - min(self._begun_s.values())) / (complete - self._kept)
            self._note(self._outlook(found, complete, pair_s))

    def _outlook(self, found: answers.Compared, complete: int, pair_s: float) -> str:
        """How many pairs are to be expected, and how long they take."""
        asked = {name: each for name, each in found.metrics.items() if each.answer is not None}
        expected = [
            expected_pairs(
                Evidence(
                    each.differences,
                    each.tolerance or 0.0,
                    None if each.is_learnt_left_out else each.learnt,
                ),
                len(asked),
                self.most,
            )
            for each in asked.values()
        ]
        known = [count for count in expected if count is not None]
        if len(known) < len(expected) or not known:
            least, longest = min(3, self.most), _minutes(pair_s * (self.most - complete))
            if complete >= least:
                return (
                    f"{plural(complete, 'pair')} so far; nothing is known of the noise yet: up to "
                    f"{self.most} pairs, {longest} more at most"
                )
            return (
                f"{plural(complete, 'pair')} so far; nothing is known of the noise yet: {least} to {self.most} pairs, "
                f"{_minutes(pair_s * (least - complete))} to {longest}"
            )
        count = max(known)
        return (
            f"{plural(complete, 'pair')} so far; about {count} are to be expected by what is known of the noise: "
            f"{_minutes(pair_s * (count - complete))} more"
        )

    def _complete(self) -> int:
        """How many pairs there are without a gap, all of them passed."""
        return min(map(self._passed, self._runs))

    def _passed(self, side: Side) -> int:
        """How many runs of a side there are without a gap, all of them passed."""
        runs, count = self._runs[side], 0
        while count in runs and runs[count].verdict == "passed":
            count += 1
        return count

    def _is_late(self) -> bool:
        """Whether the time is over, which begins once both sides run: images and a full cluster cost nothing of it."""
        complete, limit_s = self._complete(), self.settings.max_comparison_time
        if not complete or not self._begun_s or self._clock() - max(self._begun_s.values()) <= limit_s:
            return False
        if not self._told_late:
            self._told_late = True
            self._note(f"no further pair begins: max_comparison_time {_minutes(limit_s)} is over")
        return True


class Wishes:
    """What one side of one or several comparisons of a test still wants to be run: a base may have several heads."""

    def __init__(self, side: Side, pairs: Sequence[Pairs]) -> None:
        self._side: Side = side
        self._pairs = pairs
        self._begun: set[int] = set()
        self._lock = threading.Lock()

    def add(self, index: int, result: TestResult) -> None:
        """A run that ended, or was measured before."""
        self._begun.add(index)
        for each in self._pairs:
            each.add(self._side, index, result)

    def looked(self) -> None:
        """What was measured before has been added."""
        for each in self._pairs:
            each.looked(self._side)

    def collide(self, message: str) -> None:
        """Runs of this side got in each other's way."""
        for each in self._pairs:
            each.collide(message)

    @property
    def used(self) -> int:
        """How many runs of this side count."""
        return max(each.used for each in self._pairs)

    @property
    def collision(self) -> str:
        """What is to be told of that, also of the other side's; empty when they did not."""
        return next((each.collision for each in self._pairs if each.collision), "")

    def end(self) -> None:
        """No more comes."""
        for each in self._pairs:
            each.end(self._side)

    def peek(self, ahead: int = AHEAD) -> int | None:
        """The run that may begin next: WAIT while nobody knows, None when there is none any more."""
        waiting = False
        for index in range(max(each.most for each in self._pairs)):
            if index in self._begun:
                continue
            wanted = [each.wants(self._side, index, ahead) for each in self._pairs]
            if any(wanted):
                return index
            waiting = waiting or False in wanted
        return WAIT if waiting else None

    def take(self, ahead: int = AHEAD) -> int | None:
        """As `peek`; a run that is returned counts as begun."""
        with self._lock:
            found = self.peek(ahead)
            if found is not None and found != WAIT:
                self._begun.add(found)
                for each in self._pairs:
                    each.begin(self._side)
            return found

    def check(self, index: int) -> None:
        """Raises NoLongerNeededError when nobody wants to know the end of a run."""
        if not any(each.needs(index) for each in self._pairs):
            raise NoLongerNeededError


def one_at_a_time(busy: AtWork | None) -> int:  # noqa: ARG001  as `side_by_side`
    """How many runs of one version may go at once where they share folders."""
    return 1


def side_by_side(busy: AtWork | None, *, processors: float, versions: int) -> int:
    """How many runs of one version may go at once, by what its first run, beside one of each other version, took.

    `busy`: the processors that were at work meanwhile. Further runs get those that were idle; where there are none, two
    runs at once take twice as long. Where nobody counted, a run is thought to keep half a processor busy: most of the
    time its pods start and wait.
    """
    if busy is None:
        room = 2 * processors / max(1, versions)
    else:
        room = 1 + max(0.0, processors - busy.all) / max(busy.nodes, LEAST_BUSY)
    return max(1, min(MOST_SIDE_BY_SIDE, round(room)))


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min"
