"""`harness noise`: what is known of each metric's noise, as tables or as data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from harness.report.format import number, plural

if TYPE_CHECKING:
    from harness.engine.noise.command import TestNoise
    from harness.verdict.learnt import Noise

_GROUPS = ("", "one run", "", "a pair", "", "regression caught by", "", "", "max_regression", "")
_HEADS = ("METRIC", "SD", "RUNS", "SD", "PAIRS", "3 PAIRS", "5 PAIRS", "10 PAIRS", "NOW", "PROPOSED")
_ENOUGH = 10  # runs, which tell a standard deviation to a quarter of it
_MORE = 20


def render(tests: Sequence[TestNoise]) -> str:
    """A table for each test, and the gates that the noise allows."""
    return "\n".join("\n".join(_lines(test)) + "\n" for test in tests)


def to_json(tests: Sequence[TestNoise]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "tests": [
            {
                "name": test.name,
                "dag_id": test.settings.dag,
                "metrics": {
                    name: {
                        "run_sd": noise.run_sd,
                        "runs": noise.runs,
                        "pair_sd": noise.pair_sd,
                        "pairs": noise.pairs,
                        "caught": {str(pairs): least for pairs, least in noise.caught(test.gates).items()},
                        "proposed_max_regression": noise.proposed,
                    }
                    for name, noise in test.metrics.items()
                },
            }
            for test in tests
        ]
    }


def _lines(test: TestNoise) -> Iterator[str]:
    measure = f"harness noise {test.name} --measure"
    if not test.metrics:
        yield f"{test.name}: nothing is known yet; measure it: {measure} {_ENOUGH}"
        return
    yield f"{test.name}: how much its metrics vary when nothing but the seed changes"
    yield ""
    yield from _table(test)
    yield ""
    yield "SD        standard deviation: of a run's number, and of the difference that a pair of runs shows"
    yield f"caught    called worse in 95 of 100 comparisons, with {plural(test.gates, 'gate')} judged together"
    yield "PROPOSED  two standard deviations of a pair, which few pairs catch; half of it takes four times as many"
    known = [noise for noise in test.metrics.values() if noise.spread is not None]
    least = min((_count(noise) for noise in known), default=0)
    if 0 < least < _ENOUGH:
        yield (
            f"\nA standard deviation that {least} runs tell may be off by {_share(least)} %, one of {_MORE} by "
            f"{_share(_MORE)} %: {measure} {_MORE}"
        )
    if still := [name for name, noise in test.metrics.items() if noise.run_sd == 0.0]:
        yield f"\nThe same in every run: {', '.join(still)}"
    lacking = [name for name, noise in test.metrics.items() if noise.spread is None and name not in still]
    if lacking:
        yield f"\nToo little is known of {', '.join(lacking)}: {measure} {_ENOUGH}"


def _table(test: TestNoise) -> Iterator[str]:
    rows = [_HEADS, *(_row(name, noise, test) for name, noise in test.metrics.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    yield _groups(widths)
    for row in rows:
        cells = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _groups(widths: list[int]) -> str:
    """The line above the heads: each group's name ends where its last column does."""
    line = ""
    starts = [column for column, name in enumerate(_GROUPS) if name]
    for start, following in zip(starts, [*starts[1:], len(_GROUPS)], strict=True):
        end = sum(widths[:following]) + 2 * (following - 1)
        line += _GROUPS[start].rjust(end - len(line))
    return line


def _row(name: str, noise: Noise, test: TestNoise) -> tuple[str, ...]:
    caught = noise.caught(test.gates)
    spread, gate = noise.spread, test.settings.gates.get(name)
    now = "-"
    if gate is not None and gate.max_regression is not None:
        now = f"{gate.max_regression:g}"
    elif gate is not None and gate.max_relative_regression is not None:
        now = f"{100 * gate.max_relative_regression:g} %"
    return (
        name,
        "-" if noise.run_sd is None else number(noise.run_sd),
        str(noise.runs) if noise.runs else "-",
        "-" if spread is None else number(spread.sd),
        str(noise.pairs) if noise.pairs else "-",
        *(number(caught[pairs]) if pairs in caught else "-" for pairs in (3, 5, 10)),
        now,
        f"{noise.proposed:g}" if noise.proposed is not None else "-",
    )


def _count(noise: Noise) -> int:
    """From how many runs or pairs a spread is known."""
    return noise.spread.pairs if noise.spread is not None else 0


def _share(count: int) -> int:
    """By how many per cent a standard deviation of so many normal values is off, one time in three."""
    return round(100 / math.sqrt(2 * (count - 1)))
