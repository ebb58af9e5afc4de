"""How often the verdict is wrong, and how many pairs it takes: simulated with the decision's own code, no cluster.

Two models are compared again and again, of which one is as good as the other, worse by 2 standard deviations of the
paired difference (the tolerance), or worse by 4. Noise is normal, heavy-tailed (Student's t with 3 degrees), skewed
(exponential) or discrete (right answers among 113 rows); what a seed does to both sides makes a correlation of 0, 0.5
or 0.9; 1, 4 or 10 gates are judged, one of which became worse; the spread is unknown, learnt from 20 pairs or from 5,
or learnt too small or too wide, as it is where the earlier commits differed in another way. Then the same with a
tolerance of 0 and of 1 standard deviation, for the record.

Ends with 1, and names the cells, where what docs/verdict.md promises does not hold.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.verdict.sensitivity import detectable, interval
from harness.verdict.sequential import MOST_PAIRS, Evidence, Spread, decide, misfit

NOISES = ("normal", "heavy-tailed", "skewed", "discrete")
CORRELATIONS = (0.0, 0.5, 0.9)
GATES = (1, 4, 10)
TOO_SMALL, FAR_TOO_SMALL, TOO_WIDE = 1.5, 10.0, 5.0
LEARNT = {  # from how many pairs, and by how much the spread is too small
    "nothing": (0, 1.0),
    "20 pairs": (20, 1.0),
    "5 pairs": (5, 1.0),
    f"{TOO_SMALL:g} times too small": (20, TOO_SMALL),
    f"{FAR_TOO_SMALL:g} times too small": (20, FAR_TOO_SMALL),
    f"{TOO_WIDE:g} times too wide": (20, 1.0 / TOO_WIDE),
}
ROWS, ACCURACY_SD = 113, 0.02

MOST_FALSE, MOST_FALSE_TOGETHER, MOST_FALSE_TOO_SMALL = 0.065, 0.05, 0.2
LEAST_CAUGHT = {"normal": 0.935, "skewed": 0.935, "heavy-tailed": 0.9, "discrete": 0.9}
LEAST_CAUGHT_TWICE = 0.99
LEAST_COVERED = 0.95
MOST_PAIRS_ON_AVERAGE = {
    "nothing": {1: 3.5, 4: 5.0, 10: 6.0},
    "20 pairs": {1: 2.5, 4: 3.5, 10: 4.5},
    "5 pairs": {1: 3.0, 4: 4.0, 10: 5.0},
    "1.5 times too small": {1: 2.5, 4: 3.5, 10: 4.5},
}

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """What is simulated. `tolerance` in standard deviations of the paired difference."""

    noise: str
    correlation: float
    gates: int
    learnt: str
    tolerance: float = 2.0

    @property
    def is_too_small(self) -> bool:
        return LEARNT[self.learnt][1] > 1.0

    def __str__(self) -> str:
        gates = f"{self.gates} gate{'s' if self.gates > 1 else ''}"
        return f"{self.noise:12} {self.correlation:3} {gates:8} {self.learnt:19} {self.tolerance:3} sd"


@dataclass(frozen=True)
class Rates:
    """Shares of the comparisons: equal models called worse, worse ones caught, intervals that held the truth.

    `pairs`: the mean number, of equal models and of worse ones. `undecided`: of equal ones. `told`: said that the
    learnt spread no longer fits, of equal ones.
    """

    false: float
    caught: float
    caught_twice: float
    pairs: tuple[float, float]
    undecided: float
    covered: float
    told: float


def simulated(cell: Cell, count: int, seed: int = 1) -> Rates:
    """The rates of `count` comparisons of each kind."""
    random = np.random.default_rng([seed, *map(ord, str(cell))])
    found = {worse_by: _compared(cell, worse_by, count, random) for worse_by in (0.0, 2.0, 4.0)}
    equal, worse, twice = found.values()
    return Rates(
        false=equal.worse,
        caught=worse.worse,
        caught_twice=twice.worse,
        pairs=(equal.pairs, worse.pairs),
        undecided=equal.undecided,
        covered=min(equal.covered, worse.covered),
        told=equal.told,
    )


def problems(cell: Cell, rates: Rates) -> list[str]:
    """In what a cell is not what is promised."""
    found = []
    most_false = MOST_FALSE_TOO_SMALL if cell.is_too_small else MOST_FALSE
    if rates.false > most_false:
        found.append(f"equal models called worse: {rates.false:.1%}, at most {most_false:.1%}")
    if rates.caught < LEAST_CAUGHT[cell.noise]:
        found.append(f"caught: {rates.caught:.1%}, at least {LEAST_CAUGHT[cell.noise]:.1%}")
    if rates.caught_twice < LEAST_CAUGHT_TWICE:
        found.append(f"caught, worse by 4 sd: {rates.caught_twice:.1%}, at least {LEAST_CAUGHT_TWICE:.0%}")
    most = MOST_PAIRS_ON_AVERAGE.get(cell.learnt, {}).get(cell.gates)
    if most is not None and max(rates.pairs) > most:
        found.append(f"{max(rates.pairs):.2f} pairs, at most {most}")
    return [f"{cell}: {each}" for each in found]


@dataclass(frozen=True)
class _Compared:
    worse: float
    undecided: float
    pairs: float
    covered: float
    told: float


def _compared(cell: Cell, worse_by: float, count: int, random: np.random.Generator) -> _Compared:
    pairs, sd = _differences(cell, worse_by, (count, cell.gates, MOST_PAIRS), random)
    learnt_pairs, too_small = LEARNT[cell.learnt]
    earlier, _ = _differences(cell, 0.0, (count, cell.gates, max(2, learnt_pairs)), random)
    spreads = earlier.std(axis=2, ddof=1) / too_small
    answers, taken, covered, told = [], [], [], []
    truths = [worse_by * sd, *[0.0] * (cell.gates - 1)]
    for regressions, known in zip(pairs.tolist(), spreads.tolist(), strict=True):
        evidence = {
            str(gate): Evidence(
                regressions[gate],
                cell.tolerance * sd,
                Spread(known[gate], learnt_pairs) if learnt_pairs else None,
                size=1.0,
            )
            for gate in range(cell.gates)
        }
        decision = decide(evidence)
        answers.append(decision.answer)
        taken.append(decision.pairs)
        told.append(any(misfit(each, decision.pairs) for each in evidence.values()))
        around = interval(evidence["0"], decision.pairs)
        covered.append(around is None or around[0] <= truths[0] <= around[1])
    return _Compared(
        worse=answers.count("worse") / count,
        undecided=answers.count("undecided") / count,
        pairs=float(np.mean(taken)),
        covered=float(np.mean(covered)),
        told=float(np.mean(told)),
    )


def _differences(
    cell: Cell, worse_by: float, shape: tuple[int, int, int], random: np.random.Generator
) -> tuple[Numbers, float]:
    """Regressions pair by pair, and the standard deviation of the paired difference of equal models.

    Both sides are the sum of what the seed does to both and of what is their own. The first gate is worse.
    """
    both, base, head = (_noise(cell.noise, shape, random) for _ in range(3))
    shared, own = np.sqrt(cell.correlation), np.sqrt(1.0 - cell.correlation)
    base, head = shared * both + own * base, shared * both + own * head
    sd = float(np.sqrt(2.0) * own)
    shift = np.zeros((1, shape[1], 1))
    shift[:, 0] = worse_by
    if cell.noise != "discrete":
        return head - base + shift * sd, sd
    # Accuracies: rounded to whole rows; rounding widens the spread, so it is measured.
    middle = random.uniform(0.85, 0.95, (shape[0], 1, 1)) * ROWS
    unit = ACCURACY_SD * ROWS
    right = np.round(middle - unit * base)
    rounded = right - np.round(middle - unit * head)
    rows_sd = float(np.std(rounded))
    regressions = right - np.round(middle - unit * head - shift * rows_sd)
    return regressions / ROWS, rows_sd / ROWS


def _noise(kind: str, shape: tuple[int, ...], random: np.random.Generator) -> Numbers:
    """Noise with mean 0 and standard deviation 1."""
    if kind == "heavy-tailed":
        return random.standard_t(3, shape) / float(np.sqrt(3.0))
    if kind == "skewed":
        return random.exponential(1.0, shape) - 1.0
    return random.standard_normal(shape)


def detected(tolerance: float, count: int) -> float:
    """How often twelve pairs call worse what they said they would see in 95 of 100 cases; tolerance in sd."""
    random = np.random.default_rng(7)
    hits = 0
    for first in random.standard_normal((count, MOST_PAIRS)):
        smallest = detectable(Evidence(first.tolist(), tolerance), MOST_PAIRS)
        assert smallest is not None  # noqa: S101  twelve pairs tell a spread
        later = random.standard_normal(MOST_PAIRS) + smallest
        hits += decide({"": Evidence(later.tolist(), tolerance)}).answer == "worse"
    return hits / count


def cells() -> list[Cell]:
    """What is promised for."""
    return [Cell(*each) for each in itertools.product(NOISES, CORRELATIONS, GATES, LEARNT)]


def others() -> list[Cell]:
    """What is only told: a tolerance of 0, for what the noise allows, and one that takes more pairs."""
    return [
        Cell(noise, 0.0, gates, learnt, tolerance)
        for tolerance in (0.0, 1.0)
        for noise, gates, learnt in itertools.product(NOISES, GATES, ("nothing", "20 pairs"))
    ]


def plot(path: Path, count: int) -> None:
    """Draw how often each answer is given, by how much worse the model is: one gate, normal noise, nothing learnt."""
    steps = [index / 4 for index in range(15)]
    cell = Cell("normal", 0.0, 1, "nothing")
    shares = [_compared(cell, step, count, np.random.default_rng(int(step * 4))) for step in steps]
    left, top, width, height = 60.0, 28.0, 480.0, 200.0

    def x(step: float) -> float:
        return left + step / steps[-1] * width

    def y(share: float) -> float:
        return top + (1.0 - share) * height

    def line(values: Sequence[float], colour: str) -> str:
        points = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in zip(steps, values, strict=True))
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>'

    def text(where: tuple[float, float], told: str, colour: str = "#5d6878", anchor: str = "middle") -> str:
        return f'<text x="{where[0]:.0f}" y="{where[1]:.0f}" fill="{colour}" text-anchor="{anchor}">{told}</text>'

    red, green = "#c62f3b", "#1a7f45"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 20:.0f} {top + height + 60:.0f}" '
        'font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<rect x="{x(0.1):.1f}" y="{top}" width="{x(1.9) - x(0.1):.1f}" height="{height}" fill="#f1f3f6"/>',
        text((x(1.0), y(0.95)), "either is right"),
        line([each.worse for each in shares], red),
        line([1.0 - each.worse - each.undecided for each in shares], green),
        text((x(2.6), y(0.9)), "called worse", red),
        text((x(2.6), y(0.05)), "called not worse", green),
        text((left - 8, top - 6), "of all comparisons", anchor="start"),
    ]
    parts += [text((left - 8, y(share) + 4), f"{share:.0%}", anchor="end") for share in (0.0, 0.5, 1.0)]
    parts += [text((x(step), top + height + 18), f"{step:g}") for step in (0, 1, 2, 3)]
    parts += [
        text((x(2.0), top + height + 34), "max_regression"),
        text(
            (left + width / 2, top + height + 54),
            "how much worse the model is, in standard deviations of the paired difference",
        ),
        "</svg>",
    ]
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")


def main() -> None:
    """Print the rates of every cell."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--count", type=int, default=2000, help="comparisons of each cell")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--processes", type=int, default=os.cpu_count())
    options.add_argument("--plot", type=Path, metavar="SVG", help="draw docs/verdict.svg, and nothing else")
    given = options.parse_args()
    if given.plot is not None:
        plot(given.plot, given.count)
        return
    promised, told = cells(), others()
    with ProcessPoolExecutor(given.processes) as pool:
        rates = list(
            pool.map(simulated, promised + told, itertools.repeat(given.count), itertools.repeat(given.seed))
        )
    print(
        "noise        correlation, gates, learnt, tolerance: equal called worse | caught | by 4 sd | pairs | …"
    )
    found = []
    for cell, each in zip(promised, rates[: len(promised)], strict=True):
        print(_line(cell, each))
        found += problems(cell, each)
    together = float(
        np.mean([each.false for cell, each in zip(promised, rates, strict=False) if not cell.is_too_small])
    )
    print(f"equal called worse over all: {together:.1%}")
    if together > MOST_FALSE_TOGETHER:
        found.append(
            f"over all: equal models called worse: {together:.1%}, at most {MOST_FALSE_TOGETHER:.0%}"
        )
    print("\nfor the record:")
    for cell, each in zip(told, rates[len(promised) :], strict=True):
        print(_line(cell, each))
    for tolerance in (0.0, 0.5, 1.0):
        print(
            f"tolerance {tolerance} sd, said to be seen in 95 of 100: {detected(tolerance, given.count):.1%}"
        )
    if found:
        raise SystemExit("\n".join(found))


def _line(cell: Cell, rates: Rates) -> str:
    equal, worse = rates.pairs
    return (
        f"{cell}: {rates.false:6.1%} | {rates.caught:6.1%} | {rates.caught_twice:6.1%} | {equal:5.2f} {worse:5.2f}"
        f" | undecided {rates.undecided:5.1%} | interval {rates.covered:.1%} | misfit told {rates.told:.1%}"
    )


if __name__ == "__main__":
    main()
