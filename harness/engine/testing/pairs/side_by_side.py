"""The runs of one version's tests, as many as are wanted, side by side where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.engine.testing.measured import Wanted
from harness.engine.testing.pairs.pairs import AHEAD, WAIT, NoLongerNeededError, Wishes
from harness.host import process
from harness.isolation.written import Writers
from harness.progress import Progress
from harness.report.model import TestResult

LOOK_EVERY_S = 0.2
Pause = Callable[[float], None]


@dataclass(frozen=True)
class SideBySide:
    """How a version's runs are made. `made` gets the results by the keys of what was wanted.

    `run` makes one: it is told how to sleep, and whether the DAG was parsed. `most` tells how many runs of a DAG may go
    at once, `changes` when each file on the version's volume was changed; None where nobody can tell.
    """

    run: Callable[[Wanted, Pause, bool], TestResult]
    pause: Pause
    most: Callable[[str], int]
    changes: Callable[[], dict[str, float] | None]
    made: dict[str, TestResult]

    def measure(self, wanted: Sequence[Wanted], wishes: Mapping[str, Wishes]) -> None:
        """Run each test as often as is wanted."""
        for name, each in wishes.items():
            self._measure([run for run in wanted if run.test == name], each)

    def apart(self, wanted: Sequence[Wanted], wishes: Mapping[str, Wishes]) -> dict[str, TestResult]:
        """The results to rely on: of runs that got in each other's way only the first, which went alone."""
        return {
            run.key: self.made[run.key]
            for run in wanted
            if run.key in self.made and (run.index == 0 or not wishes[run.test].collision)
        }

    def _measure(self, runs: Sequence[Wanted], wishes: Wishes) -> None:
        """Run one test as often as is wanted. The DAG is parsed once; what is no longer needed is cancelled.

        The first run goes alone. When it wrote nothing outside of a folder of its own, others go side by side;
        otherwise they go one after another, and a path that two of them wrote ends it.
        """
        repeated = len(runs) > 1
        source = runs[0].settings.metrics
        writers = Writers(
            (self.changes() or {}) if repeated else {},
            read_at_once=PurePosixPath(source.file).name if source is not None and source.file else "",
        )
        first = self._next(wishes, AHEAD)
        if first is None:
            return
        self._run(runs[first], wishes, parsed=False)
        known = repeated and self._look(writers, wishes)
        most = min(self.most(runs[0].settings.dag), len(runs)) if known and writers.is_empty else 1
        if most > 1:
            with process.threads(most) as pool:
                for future in [pool.submit(self._several, runs, wishes, most) for _ in range(most)]:
                    future.result()
            self._look(writers, wishes)
            return
        while (index := self._next(wishes, AHEAD)) is not None:
            self._run(runs[index], wishes)
            if known:
                self._look(writers, wishes)

    def _several(self, runs: Sequence[Wanted], wishes: Wishes, most: int) -> None:
        while (index := self._next(wishes, most)) is not None:
            self._run(runs[index], wishes)

    def _next(self, wishes: Wishes, ahead: int) -> int | None:
        while (index := wishes.take(ahead)) == WAIT:
            self.pause(LOOK_EVERY_S)
        return index

    def _look(self, writers: Writers, wishes: Wishes) -> bool:
        """Find out who wrote what; False where nobody can tell. Two runs that wrote one path end the comparison."""
        now = self.changes()
        if now is None:
            return False
        before = writers.runs
        going = [run.run_id for run in self.made.values() if run.run_id]
        writers.look(now, [run for run in going if run not in before], going)
        if writers.collision is not None:
            path, several = writers.collision
            wishes.collide(
                f"runs {' and '.join(several[:2])} both wrote {path}, which all runs of a version share: only the "
                "first run of each side counts; write below a folder of the run, such as {{ run_id }}"
            )
        return True

    def _run(self, run: Wanted, wishes: Wishes, *, parsed: bool = True) -> None:
        def pause(seconds: float) -> None:
            self.pause(seconds)
            wishes.check(run.index)

        with suppress(NoLongerNeededError):
            self.made[run.key] = self.run(run, pause, parsed)
            wishes.add(run.index, self.made[run.key])


def needs_runs(wishes: Iterable[Wishes], pause: Pause, progress: Progress) -> bool:
    """Whether any run is still wanted, once it is known what both sides have measured before."""
    every = list(wishes)
    with progress.waiting("waiting whether runs are wanted that were not measured before"):
        while True:
            found = {each.peek(ahead=1) for each in every}
            if found - {None, WAIT}:
                return True
            if WAIT not in found:
                return False
            pause(LOOK_EVERY_S)


def tell_kept(wishes: Mapping[str, Wishes], wanted: Sequence[Wanted], kept: Mapping[str, TestResult]) -> None:
    """Tell what was measured before."""
    for run in wanted:
        if run.key in kept:
            wishes[run.test].add(run.index, kept[run.key])
    for each in wishes.values():
        each.looked()


def undisturbed(made: Mapping[str, TestResult], wishes: Mapping[str, Wishes]) -> dict[str, TestResult]:
    """What was measured so far, without the tests whose runs got in each other's way."""
    disturbed = {name for name, each in wishes.items() if each.collision}
    return {key: run for key, run in dict(made).items() if run.name not in disturbed}
