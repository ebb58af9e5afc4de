"""What versions cost: time, memory and CPU of 1, 2, 4 and 8 of them, and one more test beside seven or beside one.

For each number that many commits are tested by one command and kept. Once all of them rest (what only DAG runs need
has ended) and nothing else of the project goes on, the kernel's own count of memory and CPU is taken. An Airflow
stands by before each command, as after any test at a person's machine; it is shown apart from the versions.

For the second part seven idle versions and one take turns: 1, 7, 7, 1, 1, 7 and so on, so that what drifts on the
machine meets both alike. Six versions are really removed, and made again, each time. Scaling them to nothing in
between would be quicker and measure something else: their namespaces would still be versions to every other one,
whose isolation receipt asks each of them and would wait for answers that don't come. And a control plane that starts
anew does not know that it may rest.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.commands import Harness, Tested, cluster, remove
from benchmarks.idle import Idle, measure, settle, standing_by
from benchmarks.repositories import DAG_FILE, MEGABYTE, Repository, dag, repository
from harness.cluster.running_cluster import RunningCluster

FEW, MANY = 1, 7
WINDOW_S = 30.0
MEMORY_TARGET_BYTES = 450 * MEGABYTE  # of an idle version
CORES_TARGET = 0.03  # of an idle version
RATIO_TARGET = 1.1  # of one more test beside many against beside few


@dataclass(frozen=True)
class Row:
    """So many versions at once: seconds until all were tested, and what one of them then took on average.

    `waiting`: what an Airflow took that stood by at the same time, if one did.
    """

    versions: int
    seconds: float
    idle: Idle
    waiting: Idle | None


@dataclass
class Bench:
    """The cluster with the versions that are held on it."""

    running: RunningCluster
    harness: Harness
    made: Repository
    held: list[str] = field(default_factory=list)
    lines: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def row(self, count: int) -> Row:
        """Test and keep this many at once, and measure them at rest."""
        self.hold(0)
        print(f"{count} at once", flush=True)
        tested = self.add(count)
        print(f"  tested in {tested.seconds:.1f} s", flush=True)
        settle(self.running, self.held)
        waiting = standing_by(self.running)
        found = measure(self.running, [*self.held, *waiting], WINDOW_S)
        idle = _mean([found[namespace] for namespace in self.held])
        print(f"  at rest, each: {_shown(idle)}", flush=True)
        return Row(count, tested.seconds, idle, _mean([found[name] for name in waiting]) if waiting else None)

    def compare(self, rounds: int) -> dict[int, list[Tested]]:
        """One more test beside few idle versions and beside many, in turns."""
        found: dict[int, list[Tested]] = {FEW: [], MANY: []}
        for number in range(1, rounds + 1):
            for count in (FEW, MANY) if number % 2 else (MANY, FEW):
                print(f"round {number}: one more beside {count}", flush=True)
                self.hold(count)
                found[count].append(self.one_more())
                print(f"  {_split(found[count][-1])}", flush=True)
        return found

    def hold(self, count: int) -> None:
        """Return when this many versions are there, all at rest, and what stands by is ready."""
        surplus, self.held = self.held[count:], self.held[:count]
        remove(self.running, surplus)
        if len(self.held) < count:
            self.add(count - len(self.held))
        settle(self.running, self.held)

    def add(self, count: int) -> Tested:
        """Test this many new commits by one command, and keep their versions."""
        numbers = list(itertools.islice(self.lines, count))
        refs = [self.made.branch(f"line-{number}", {DAG_FILE: dag(number)}) for number in numbers]
        tested = self.harness.test(self.made.root, *refs, keep="always").check_passed()
        self.held += tested.namespaces
        return tested

    def one_more(self) -> Tested:
        """Test a clean commit with a changed line; its version goes again."""
        self.made.change(next(self.lines))
        self.made.commit()
        return self.harness.test(self.made.root).check_passed()


def main() -> None:
    """Print a row for each number of versions, the times of one more, and what of the targets is reached."""
    options = argparse.ArgumentParser(description="What versions cost in time, memory and CPU.")
    options.add_argument("--name", default="harness", help="which cluster")
    options.add_argument(
        "--versions", type=_counts, default=(1, 2, 4, 8), help="how many at once, as 1,2,4,8"
    )
    options.add_argument("--rounds", type=int, default=5, help="of one more test beside one and beside seven")
    given = options.parse_args()
    with cluster(given.name) as running, repository() as made:
        bench = Bench(running, Harness(given.name), made)
        bench.harness.up(made.root)
        rows = [bench.row(count) for count in given.versions]
        compared = bench.compare(given.rounds)
    _print_rows(rows)
    if given.rounds:
        _print_phases(compared)
    _print_targets(rows, compared)


def _counts(text: str) -> tuple[int, ...]:
    counts = tuple(int(word) for word in text.split(","))
    if min(counts) < 1:
        raise ValueError(text)
    return counts


def _mean(every: Sequence[Idle]) -> Idle:
    return Idle(
        round(statistics.mean(each.memory_bytes for each in every)),
        statistics.mean(each.cores for each in every),
    )


def _shown(idle: Idle) -> str:
    return f"{idle.memory_bytes / MEGABYTE:.0f} MB, {idle.cores:.1%} of a processor"


def _print_rows(rows: Sequence[Row]) -> None:
    print("\nversions  all tested  per version  memory, each  CPU, each   what stands by")
    for row in rows:
        print(
            f"{row.versions:8}  {row.seconds:8.1f} s  {row.seconds / row.versions:9.1f} s  "
            f"{row.idle.memory_bytes / MEGABYTE:9.0f} MB  {row.idle.cores:9.1%}   "
            f"{_shown(row.waiting) if row.waiting else 'nothing'}"
        )


def _print_phases(compared: dict[int, list[Tested]]) -> None:
    """Medians of each phase: a ratio alone does not tell where the time goes."""
    phases = {count: _phases(every) for count, every in compared.items()}
    print(f"\n{'one more test':<16}  beside {FEW}   beside {MANY}")
    for name, seconds in phases[FEW].items():
        print(f"  {name:<14}  {seconds:6.2f} s   {phases[MANY].get(name, 0.0):6.2f} s")
    medians = [statistics.median(each.seconds for each in compared[count]) for count in (FEW, MANY)]
    print(f"  {'the command':<14}  {medians[0]:6.2f} s   {medians[1]:6.2f} s")


def _split(tested: Tested) -> str:
    """A command's seconds, and what of them the longer phases took and what none of them did."""
    phases = _phases([tested])
    phases["else"] = tested.seconds - sum(s for name, s in phases.items() if name != "first_task_s")
    longer = ", ".join(f"{name.removesuffix('_s')} {s:.1f}" for name, s in phases.items() if s >= 0.3)
    return f"{tested.seconds:.1f} s: {longer}"


def _phases(every: Sequence[Tested]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for tested in every:
        (version,) = tested.result.versions
        phases = version.phases | {name: s for test in version.tests for name, s in test.phases.items()}
        for name, seconds in phases.items():
            found.setdefault(name, []).append(seconds)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def _print_targets(rows: Sequence[Row], compared: dict[int, list[Tested]]) -> None:
    """Of several rows the worst counts."""
    memory = max(row.idle.memory_bytes for row in rows)
    cores = max(row.idle.cores for row in rows)
    lines: list[tuple[str, float, float, str, str]] = [
        ("PSS of an idle version", memory, MEMORY_TARGET_BYTES, f"{memory / MEGABYTE:.0f} MB",
         f"{MEMORY_TARGET_BYTES / MEGABYTE:.0f} MB"),
        ("CPU of an idle version", cores, CORES_TARGET, f"{cores:.1%}", f"{CORES_TARGET:.0%}"),
    ]  # fmt: skip
    if all(compared.values()):
        few, many = (statistics.median(each.seconds for each in compared[count]) for count in (FEW, MANY))
        what = f"one more test beside {MANY} idle versions against beside {FEW}"
        lines.append((what, many / few, RATIO_TARGET, f"{many / few:.3f}", f"{RATIO_TARGET}"))
    print()
    for what, value, target, shown, wanted in lines:
        verdict = "reached" if value <= target else "MISSED"
        print(f"{what}: {shown}, at most {wanted}: {verdict}")


if __name__ == "__main__":
    main()
