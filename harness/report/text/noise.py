"""`harness noise`: what is known of each metric's noise, as tables or as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.report.format import number, plural

if TYPE_CHECKING:
    from harness.engine.noise.command import TestNoise
    from harness.verdict.learnt import Noise

_HEADS = ("METRIC", "SD OF A RUN", "SD OF A PAIR", "3 PAIRS CATCH", "5 PAIRS", "10 PAIRS", "MAX_REGRESSION")


def render(tests: Sequence[TestNoise]) -> str:
    """A table for each test, and the gates that the noise allows."""
    return "\n".join(_table(test) for test in tests)


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


def _table(test: TestNoise) -> str:
    if not test.metrics:
        return f"{test.name}: nothing is known yet; measure it: harness noise {test.name} --measure 10\n"
    rows = [_HEADS, *(_row(name, noise, test.gates) for name, noise in test.metrics.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    gates = f"{plural(test.gates, 'gate')} judged together"
    about = f"{test.name}: what is caught in 95 of 100 comparisons, {gates}"
    lacking = [name for name, noise in test.metrics.items() if noise.spread is None]
    hint = f"too little is known of {', '.join(lacking)}: harness noise {test.name} --measure 10"
    return "\n".join([about, "", *lines, *([hint] if lacking else [])]) + "\n"


def _row(name: str, noise: Noise, gates: int) -> tuple[str, ...]:
    caught = noise.caught(gates)
    proposed = noise.proposed
    return (
        name,
        _sd(noise.run_sd, noise.runs),
        _sd(noise.pair_sd, noise.pairs),
        *(number(caught[pairs]) if pairs in caught else "-" for pairs in (3, 5, 10)),
        f"{proposed:g}" if proposed is not None else "-",
    )


def _sd(sd: float | None, count: int) -> str:
    return "-" if sd is None else f"{number(sd)} (of {count})"
