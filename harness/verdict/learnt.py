"""The noise of metrics, learnt from runs of the same code and from pairs of runs. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from harness.verdict.sensitivity import smallest_caught
from harness.verdict.sequential import MISFIT, SAME, ZONE, Spread, mean

SHOWN_PAIRS = (3, 5, 10)
_DIVERGED = 1000.0  # times as wide as the middle one of three groups or more: that is a run that went wrong
_BY_CHANCE = 0.01  # how often a comparison's pairs are so much narrower than all others' that it is left out


class Sample(BaseModel):
    """The numbers of several runs that differ in nothing but their seeds: of one version, or of a base and its head.

    `test`: what the runs have in common, SHA-256 of DAG, configuration and metrics' source. Each of `sides` holds the
    numbers of its runs, in the order of the seeds.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    test: str = Field(pattern=r"^[0-9a-f]{64}$")
    dag: str
    versions: tuple[str, ...] = Field(min_length=1, max_length=2)
    sides: tuple[tuple[dict[str, FiniteFloat], ...], ...] = Field(min_length=1, max_length=2)


@dataclass(frozen=True)
class Noise:
    """What is known of one metric: standard deviations of a run and of a paired difference, None where unknown.

    `runs` and `pairs`: from how many each was learnt.
    """

    run_sd: float | None
    runs: int
    pair_sd: float | None
    pairs: int

    @property
    def spread(self) -> Spread | None:
        """What a comparison may rely on. Without pairs they are taken to have nothing but the seed's name in common."""
        found = (
            Spread(self.pair_sd or 0.0, self.pairs),
            Spread(math.sqrt(2.0) * (self.run_sd or 0.0), self.runs),
        )
        return next((each for each in found if each.is_known), None)

    def caught(self, gates: int = 1) -> dict[int, float]:
        """The smallest regressions that 3, 5 and 10 pairs catch; nothing where the noise is not known."""
        spread = self.spread
        return (
            {}
            if spread is None
            else {pairs: smallest_caught(spread.sd, pairs, gates) for pairs in SHOWN_PAIRS}
        )

    @property
    def proposed(self) -> float | None:
        """The max_regression that takes few pairs: two standard deviations of a pair, rounded up to two digits."""
        return None if self.spread is None else rounded_up(ZONE * self.spread.sd)


def noise(samples: Iterable[Sample]) -> dict[str, Noise]:
    """What samples of one test tell of each metric, each taken around its own mean.

    Two versions that agree in every run tell nothing of the differences between such that do not; nor do two of which
    one is off by nearly the same in every pair.
    """
    runs: dict[str, list[Sequence[float]]] = {}
    pairs: dict[str, list[Sequence[float]]] = {}
    for sample in samples:
        for side in sample.sides:
            for name in _common(side):
                runs.setdefault(name, []).append([run[name] for run in side])
        if len(sample.sides) == 2 and len(sample.sides[0]) == len(sample.sides[1]):
            base, head = sample.sides
            for name in _common((*base, *head)):
                values = [(after[name], before[name]) for before, after in zip(base, head, strict=True)]
                if any(abs(after - before) > SAME * abs(before) for after, before in values):
                    pairs.setdefault(name, []).append([after - before for after, before in values])
    found = {}
    for name, groups in runs.items():
        rounding = SAME * median(abs(value) for group in groups for value in group)
        run_sd, count = _pooled(_without_diverged(groups, rounding), rounding)
        pair_sd, paired = _pooled(_of_one_kind(_without_diverged(pairs.get(name, ()), rounding)), rounding)
        found[name] = Noise(run_sd, count, pair_sd, paired)
    return found


def spreads(samples: Iterable[Sample]) -> dict[str, Spread]:
    """What a comparison may rely on, by metric."""
    return {name: each.spread for name, each in noise(samples).items() if each.spread is not None}


def rounded_up(value: float, digits: int = 2) -> float:
    """A positive number with so many digits, not below it."""
    step = 10.0 ** (math.floor(math.log10(value)) - digits + 1)
    return float(f"{math.ceil(value / step - 1e-9) * step:.{digits}g}")


def _common(runs: Sequence[Mapping[str, float]]) -> list[str]:
    return [name for name in runs[0] if all(name in run for run in runs)] if runs else []


def _without_diverged(groups: Iterable[Sequence[float]], rounding: float) -> list[Sequence[float]]:
    """Without those in which a run diverged: its loss of a million says nothing of what the seeds do."""
    found = list(groups)
    spreads = [_pooled([group], rounding)[0] for group in found]
    known = [sd for sd in spreads if sd is not None]
    if len(known) < 3 or not (middle := median(known)):
        return found
    return [group for group, sd in zip(found, spreads, strict=True) if (sd or 0.0) <= _DIVERGED * middle]


def _of_one_kind(groups: Iterable[Sequence[float]]) -> list[Sequence[float]]:
    """The comparisons without those whose pairs spread far less than all together do.

    There the seed did the same to both sides, and the change moved the metric by itself: the next change may do
    otherwise. A standard deviation of n degrees of freedom is below p^(1/n) of the true one about once in 1/p.
    """
    found = [group for group in groups if len(group) > 1]
    while len(found) > 1:
        all_of_them, _ = _pooled(found)
        kept = [group for group in found if not _is_narrow(group, all_of_them or 0.0)]
        if len(kept) == len(found):
            break
        found = kept
    return found


def _is_narrow(group: Sequence[float], sd: float) -> bool:
    own, values = _pooled([group])
    by_chance: float = _BY_CHANCE ** (1.0 / (values - 1))
    return (own or 0.0) < sd * min(by_chance, 1.0 / MISFIT)


def _pooled(groups: Iterable[Sequence[float]], rounding: float = 0.0) -> tuple[float | None, int]:
    """The standard deviation within groups, and how many values one group with as much to tell would have.

    One that is only `rounding` is 0.
    """
    distance, degrees = 0.0, 0
    for group in groups:
        middle = mean(group)
        distance = math.hypot(distance, *(value - middle for value in group))
        degrees += len(group) - 1
    if not degrees:
        return None, 0
    sd = distance / math.sqrt(degrees)
    return (sd if sd > rounding else 0.0), degrees + 1
