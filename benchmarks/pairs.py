"""Ten pairs of commits that are equal in truth, and ten of which one is worse: what the cluster's comparisons say.

The sample's model is trained on draws of its own data, in one task, so that a run takes seconds. Head adds 1000 to
each seed: its draws are others, its model is as good. That is the equal commit; the worse one has the same draws, and
one metric, in turns, is made worse by two standard deviations of the paired difference, which is what the gates allow.
Four gates are judged together. Each pair begins with another seed, so that no two of a kind share a draw; the base's
runs of the equal commit are used again for the worse one, as the product does by itself. Nothing is known of the noise
in the beginning; it is learnt on the way.

Ends with 1 when more than 2 of 10 equal ones are called worse, or fewer than 8 of 10 worse ones.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks import sample
from benchmarks.commands import Harness, Tested, cluster
from benchmarks.repositories import Repository
from harness.report.model import TestResult

MOST_FALSE, LEAST_CAUGHT = 0.2, 0.8
OTHER_DRAWS = 1000
APART = 100  # seeds between two comparisons; each takes twelve at most

Truth = Literal["equal", "worse"]


@dataclass(frozen=True)
class Comparison:
    """What one `harness diff` said: `metric` was made worse, or none."""

    number: int
    truth: Truth
    metric: str
    seconds: float
    pairs: int
    answers: Mapping[str, str]

    @property
    def is_called_worse(self) -> bool:
        return "worse" in self.answers.values()

    @property
    def answer(self) -> str:
        """Of all gates together, with the metrics that it is about."""
        for answer in ("worse", "undecided"):
            if names := [name for name, each in self.answers.items() if each == answer]:
                return f"{answer} ({', '.join(names)})"
        return "not worse"


def main() -> None:
    """Print a row for each comparison, and what they come to; end with 1 if that is not what is promised."""
    options = argparse.ArgumentParser(
        description="Commits equal in truth, and worse ones, compared on a cluster."
    )
    options.add_argument("--name", default="harness", help="which cluster")
    options.add_argument("--count", type=int, default=10, help="of each kind")
    options.add_argument(
        "--first", type=int, default=1, help="the number of the first, to go on with a series"
    )
    options.add_argument("--series", default=secrets.token_hex(4), help="what an earlier one learnt is known")
    given = options.parse_args()
    numbers = range(given.first, given.first + given.count)
    first_seeds = {number: APART * number for number in numbers}
    dag_id = f"breast_cancer_{given.series}"
    print(f"series {given.series}", flush=True)
    with (
        cluster(given.name) as running,
        sample.repository(dag_id, sample.one_task(dag_id), first_seeds) as made,
    ):
        harness = Harness(running.cluster.name)
        harness.up(made.root)
        print("\npair  truth  made worse         answer                        pairs       s", flush=True)
        found = []
        for number in numbers:
            for truth in ("equal", "worse"):
                found.append(_compared(harness, made, dag_id, number, truth))
                _print(found[-1])
    if not _summary(found):
        raise SystemExit(1)


def _compared(harness: Harness, made: Repository, dag_id: str, number: int, truth: Truth) -> Comparison:
    metric = "" if truth == "equal" else list(sample.METRICS)[number % len(sample.METRICS)]
    worse = {metric: sample.ZONE * sample.SDS[metric]} if metric else None
    text = sample.one_task(dag_id, f"{truth} {number}", other_draws=OTHER_DRAWS, worse=worse)
    branch = made.branch(f"{truth}-{number}", {sample.DAG_FILE: text})
    tested = harness.diff(made.root, "main", branch, "--test", f"draws_{number}")
    test = _head(tested)
    answers = {name: each.answer for name, each in test.metrics.items() if each.answer is not None}
    pairs = max(1, len(test.repetitions))
    return Comparison(number, truth, metric, tested.seconds, pairs, answers)


def _head(tested: Tested) -> TestResult:
    """The head's result. Raises SystemExit where anything but a gate failed."""
    for version in tested.result.versions:
        if version.role == "head" and version.tests:
            (test,) = version.tests
            if all(each.answer is not None for each in test.metrics.values()) and test.metrics:
                return test
    causes = "\n".join(f"  {cause.code}: {cause.message}" for cause in tested.result.causes)
    raise SystemExit(f"`harness diff` ended with {tested.exit_code} and no answer\n{causes}")


def _print(found: Comparison) -> None:
    print(
        f"{found.number:4}  {found.truth}  {found.metric or '-':<17}  {found.answer:<28}  {found.pairs:5}  "
        f"{found.seconds:6.1f}",
        flush=True,
    )


def _summary(found: Sequence[Comparison]) -> bool:
    """Print what they come to; whether it is what is promised."""
    good = True
    for truth, wanted in (("equal", MOST_FALSE), ("worse", LEAST_CAUGHT)):
        some = [each for each in found if each.truth == truth]
        called = sum(each.is_called_worse for each in some)
        pairs, seconds = sum(each.pairs for each in some), sum(each.seconds for each in some)
        holds = called <= wanted * len(some) if truth == "equal" else called >= wanted * len(some)
        good = good and holds
        print(
            f"{truth}: {called} of {len(some)} called worse ({'at most' if truth == 'equal' else 'at least'} "
            f"{wanted * len(some):g}){'' if holds else ': DID NOT HOLD'}; on average {pairs / len(some):.1f} pairs, "
            f"{seconds / len(some):.0f} s"
        )
    return good


if __name__ == "__main__":
    main()
