"""Eight versions at once: each comes to its own result, several overlap, and it takes less than one after another.

The eight are commits of one DAG. One has other dependencies, and one raises. A round has them tested by one command
at once, by eight commands one after another, and by three commands at once, each in a clone of its own: each time new
commits, of which no image was ever made. The rounds' order is turned about, so that what drifts on the machine meets
all alike. Both sets of dependencies are built before anything is timed, and an Airflow stands by when each begins, as
after any test at a person's machine.

Ends with 1, and names what did not hold, when in any round a result is not what it must be, fewer than three versions
were at work at the same time, or the time was more than 0.9 of the same round's eight commands one after another.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.commands import Harness, Tested, cluster
from benchmarks.eight import COUNT, LEAN, Branch, eight, problems
from benchmarks.idle import settle
from benchmarks.overlap import Overlap
from benchmarks.repositories import Repository, repository
from harness.cluster.running_cluster import RunningCluster
from harness.host import process

OVERLAP_TARGET = 3
RATIO_TARGET = 0.9
CLIENTS = 3
SINGLY = "one after another"
TOGETHER = "eight at once"
BY_CLIENTS = "three clients"


@dataclass(frozen=True)
class Answer:
    """What a command came to: the namespaces of its versions, and in what it is not what it must be."""

    namespaces: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """Eight versions: seconds until the last was tested and gone, how many overlapped, and what was wrong."""

    seconds: float
    overlap: int
    problems: tuple[str, ...]


Round = Mapping[str, Block]


@dataclass
class Bench:
    """The cluster and the repository that is tested on it."""

    running: RunningCluster
    harness: Harness
    made: Repository
    lines: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def warm_up(self) -> None:
        """Have both sets of dependencies built and sent to the node, and one of each tested."""
        self.harness.up(self.made.root)
        branches = eight(self.made, self.lines)
        for branch in (branches[LEAN], branches[0]):
            if found := self.ask(self.made.root, [branch]).problems:
                raise SystemExit("\n".join(found))

    def round(self, number: int) -> Round:
        """All three ways, in an order that changes."""
        ways = {TOGETHER: self.together, SINGLY: self.singly, BY_CLIENTS: self.by_clients}
        names = list(ways) if number % 2 else list(reversed(ways))
        blocks = {}
        for name in names:
            print(f"round {number}: {name}", flush=True)
            block = blocks[name] = ways[name]()
            print(f"  {block.seconds:.1f} s, {block.overlap} at the same time", flush=True)
            for problem in block.problems:
                print(f"  WRONG: {problem}", flush=True)
        return blocks

    def together(self) -> Block:
        """By one command."""
        branches = self.ready()
        return self.timed(lambda: [self.ask(self.made.root, branches)])

    def singly(self) -> Block:
        """By eight commands one after another."""
        branches = self.ready()
        return self.timed(lambda: [self.ask(self.made.root, [branch]) for branch in branches])

    def by_clients(self) -> Block:
        """By three commands at once, each in a clone of its own."""
        branches = self.ready()
        size = -(-COUNT // CLIENTS)
        shares = [branches[start : start + size] for start in range(0, COUNT, size)]
        with (
            tempfile.TemporaryDirectory(prefix="harness-benchmark-") as folder,
            process.threads(CLIENTS) as pool,
        ):
            clones = [self.made.clone(Path(folder) / f"client-{index}") for index in range(CLIENTS)]

            def work() -> list[Answer]:
                asked = [
                    pool.submit(self.ask, clone, share, "origin/")
                    for clone, share in zip(clones, shares, strict=True)
                ]
                return [each.result() for each in asked]

            return self.timed(work)

    def ready(self) -> list[Branch]:
        """New branches, once nothing goes on and an Airflow stands by with the dependencies that most of them have."""
        branches = eight(self.made, self.lines)
        self.harness.up(self.made.root)
        settle(self.running, ())
        return branches

    def ask(self, root: Path, branches: Sequence[Branch], remote: str = "") -> Answer:
        """Test these branches by one command, and judge what it says."""
        tested: Tested = self.harness.test(root, *(remote + branch.name for branch in branches))
        return Answer(tuple(tested.namespaces), tuple(problems(branches, tested, remote)))

    def timed(self, work: Callable[[], list[Answer]]) -> Block:
        """Do this, and watch the cluster meanwhile; that is done for all ways, since it costs them something."""
        with Overlap(self.running.cluster.api()) as seen:
            started_s = time.monotonic()
            answers = work()
            seconds = time.monotonic() - started_s
        wrong = [problem for answer in answers for problem in answer.problems]
        namespaces = {namespace for answer in answers for namespace in answer.namespaces}
        if len(namespaces) != COUNT:
            wrong.append(f"{len(namespaces)} namespaces for {COUNT} versions")
        return Block(seconds, seen.most(namespaces), tuple(wrong))


def main() -> None:
    """Print a row for each round, and what did not hold; end with 1 if anything did not."""
    options = argparse.ArgumentParser(description="Eight versions at once, against one after another.")
    options.add_argument("--name", default="harness", help="which cluster")
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    with cluster(given.name) as running, repository() as made:
        bench = Bench(running, Harness(given.name), made)
        print("building both sets of dependencies", flush=True)
        bench.warm_up()
        rounds = {number: bench.round(number) for number in range(1, given.rounds + 1)}
    _print(rounds)
    failed = [f"round {number}: {what}" for number, found in rounds.items() for what in violations(found)]
    if failed:
        print("\n".join(["DID NOT HOLD:", *(f"  {what}" for what in failed)]))
        raise SystemExit(1)
    print(f"all held, {given.rounds} times in a row")


def violations(found: Round) -> Iterator[str]:
    """What did not hold in a round."""
    for name, block in found.items():
        yield from (f"{name}: {problem}" for problem in block.problems)
        if name == SINGLY:
            continue
        if block.overlap < OVERLAP_TARGET:
            yield f"{name}: {block.overlap} versions were at work at the same time, not {OVERLAP_TARGET}"
        if (ratio := _ratio(found, name)) > RATIO_TARGET:
            yield f"{name}: {ratio:.2f} of the time one after another, more than {RATIO_TARGET}"


def _ratio(found: Round, name: str) -> float:
    return found[name].seconds / found[SINGLY].seconds


def _print(rounds: Mapping[int, Round]) -> None:
    print(f"\nround  {SINGLY}  {TOGETHER:<28}  {BY_CLIENTS}")
    for number, found in rounds.items():
        ways = [
            f"{found[name].seconds:5.1f} s: {_ratio(found, name):.2f}, {found[name].overlap} overlap"
            for name in (TOGETHER, BY_CLIENTS)
        ]
        print(f"{number:5}  {found[SINGLY].seconds:15.1f} s  {ways[0]:<28}  {ways[1]}")


if __name__ == "__main__":
    main()
