"""Five pairs of runs side by side, against five one after another: the same two commits.

Their DAG is a task that waits 30 seconds, as tasks do that train elsewhere, or with `--sample` the whole sample, whose
tasks compute: where one pair of its runs keeps all processors busy, no order of the runs takes less time.

Both are compared by `harness diff --repeat 5`. For one after another the DAG says `max_active_runs=1`, so that each
version has one run at a time. The two take turns, and what is measured is the whole command.

Ends with 1 when side by side takes more than 0.65 of the time of one after another.
"""

from __future__ import annotations

import argparse
from statistics import median

from benchmarks import sample
from benchmarks.commands import Harness, cluster

PAIRS = 5
RATIO_TARGET = 0.65
SINGLY, TOGETHER = "one after another", "side by side"


def main() -> None:
    """Print both times of each round and their ratio; end with 1 if it is more than promised."""
    options = argparse.ArgumentParser(
        description="Five pairs of runs side by side, against one after another."
    )
    options.add_argument("--name", default="harness", help="which cluster")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--sample", action="store_true", help="the whole sample, which computes")
    given = options.parse_args()
    ratios = []
    with cluster(given.name) as running:
        harness = Harness(running.cluster.name)
        for number in range(1, given.rounds + 1):
            ways = [SINGLY, TOGETHER] if number % 2 else [TOGETHER, SINGLY]
            seconds = {way: _seconds(harness, way, given.sample) for way in ways}
            ratios.append(seconds[TOGETHER] / seconds[SINGLY])
            print(
                f"round {number}: {SINGLY} {seconds[SINGLY]:.1f} s, {TOGETHER} {seconds[TOGETHER]:.1f} s: "
                f"{ratios[-1]:.2f}",
                flush=True,
            )
    if median(ratios) > RATIO_TARGET:
        print(f"DID NOT HOLD: {median(ratios):.2f}, more than {RATIO_TARGET}")
        raise SystemExit(1)


def _seconds(harness: Harness, way: str, is_sample: bool) -> float:
    """Of five pairs that nobody has measured before, with an Airflow that stands by."""
    limit = 1 if way == SINGLY else None
    dag_id = sample.new_dag_id()
    dag = sample.whole if is_sample else sample.waiting
    with sample.repository(dag_id, dag(dag_id, max_active_runs=limit), {1: 7}) as made:
        head = made.branch("head", {sample.DAG_FILE: dag(dag_id, "head", max_active_runs=limit)})
        harness.up(made.root)
        tested = harness.diff(made.root, "main", head, "--repeat", str(PAIRS)).check_passed()
    for version in tested.result.versions:
        phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in version.phases.items())
        runs = ", ".join(
            f"{name} {seconds:.1f}" for each in version.tests for name, seconds in each.phases.items()
        )
        print(f"  {way}: {tested.seconds:.1f} s; {version.role}: {phases}; {runs}", flush=True)
    return tested.seconds


if __name__ == "__main__":
    main()
