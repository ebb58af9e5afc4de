"""Twelve locks of different packages, tested one after another: whether cache and node stay within their limits.

In a cache and on a cluster of its own, which are gone afterwards. What takes minutes to make is borrowed from this
user's cache by hard links. After each test `harness status --disk` stands beside what `du` counts.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import ENVIRONMENT, PROGRAM, TEST_DEADLINE_S
from benchmarks.repositories import DAG_FILE, LOCK, Repository, dag, repository
from harness.host import cache, process
from harness.host.limits import CACHE_VARIABLE, NODE_VARIABLE, parse_size
from harness.report.format import size

BORROWED = ("databases", "node-image", "programs", "rootfs")
REQUIREMENTS = "dags/requirements.txt"
CONFIGURATION = f"""\
project = "benchmark"

[image]
requirements = "{REQUIREMENTS}"

[tests.first]
dag = "first"
"""
AIRFLOW = "apache-airflow-core==3.3.2\napache-airflow-providers-standard\n"
PACKAGES = (
    *("scikit-learn", "pandas", "polars", "duckdb", "lightgbm", "pyarrow"),
    *("statsmodels", "matplotlib", "numba", "catboost", "networkx", "spacy"),
)
AGREEMENT = 0.05


@dataclass(frozen=True)
class Held:
    """What one place holds after a test: as `harness status --disk` says and as `du` counts, and what it may.

    `image_bytes`: what the newest image takes there, by which the limit may be exceeded.
    """

    place: str
    told_bytes: int
    counted_bytes: int
    limit_bytes: int
    image_bytes: int

    @property
    def problems(self) -> Iterator[str]:
        """What does not hold."""
        over_bytes = self.counted_bytes - self.limit_bytes
        if over_bytes > self.image_bytes:
            yield f"the {self.place} is {size(over_bytes)} above its limit, and an image takes {size(self.image_bytes)}"
        if abs(self.told_bytes - self.counted_bytes) > AGREEMENT * self.counted_bytes:
            yield f"harness status says {size(self.told_bytes)} of the {self.place}, du {size(self.counted_bytes)}"

    def __str__(self) -> str:
        apart = self.told_bytes / self.counted_bytes - 1
        return f"{self.place} {size(self.told_bytes)}, by du {size(self.counted_bytes)} ({apart:+.1%})"


def main() -> None:
    """Print a line per lock; ends with 1, and what did not hold, unless all tests passed and both limits were kept."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--name", default="harness-disk", help="a cluster that is not there yet")
    options.add_argument("--limit", default="6GB", help="of the cache, and of the node")
    options.add_argument("--locks", type=int, default=len(PACKAGES))
    given = options.parse_args()
    parse_size("--limit", given.limit)
    problems: list[str] = []
    with own_cache() as folder, repository() as made:
        environment = ENVIRONMENT | {
            cache.ROOT_VARIABLE: str(folder),
            CACHE_VARIABLE: given.limit,
            NODE_VARIABLE: given.limit,
        }
        (made.root / LOCK).unlink()
        try:
            for number, package in enumerate(PACKAGES[: given.locks], start=1):
                requirements = {REQUIREMENTS: f"{AIRFLOW}{package}\n"}
                made.write({"harness.toml": CONFIGURATION, DAG_FILE: dag(number), **requirements})
                made.commit()
                if number == 1:
                    harness(made, environment, "up", given.name)
                started_s = time.monotonic()
                passed = harness(made, environment, "test", given.name, "--keep", "never") == 0
                seconds = time.monotonic() - started_s
                found = held(made, environment, given.name, folder)
                told = [
                    f"lock {number:2}, {package}: {'passed' if passed else 'FAILED'} after {seconds:.0f} s"
                ]
                print("; ".join([*told, *map(str, found)]), flush=True)
                wrong = [] if passed else ["the test did not pass"]
                wrong += [problem for each in found for problem in each.problems]
                problems += [f"after {package}: {problem}" for problem in wrong]
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        finally:
            harness(made, environment, "down", given.name, "--force")
    if problems:
        raise SystemExit("\n".join(problems))


@contextmanager
def own_cache() -> Iterator[Path]:
    """A cache with what takes minutes to make, and nothing else."""
    users = cache.root()
    with tempfile.TemporaryDirectory(prefix="harness-benchmark-", dir=users.parent) as name:
        folder = Path(name)
        for kind in BORROWED:
            if (users / kind).is_dir():
                shutil.copytree(
                    users / kind, folder / kind, copy_function=os.link, symlinks=True, ignore=_in_work
                )
        yield folder


def harness(
    made: Repository, environment: Mapping[str, str], command: str, cluster: str, *options: str
) -> int:
    """The exit code of a command; what it said is printed where that is not 0."""
    argv: list[str | Path] = [PROGRAM, command, *options, "--name", cluster]
    done = process.run(argv, cwd=made.root, env=environment, check=False, timeout_s=TEST_DEADLINE_S)
    if done.returncode != 0:
        print(done.stdout, done.stderr, sep="\n", flush=True)
    return done.returncode


def held(made: Repository, environment: Mapping[str, str], cluster: str, folder: Path) -> list[Held]:
    """What the cache and the node hold now."""
    argv: list[str | Path] = [PROGRAM, "status", "--disk", "--json", "--name", cluster]
    told = json.loads(process.run(argv, cwd=made.root, env=environment).stdout)
    node = told["nodes"][0]
    image_bytes = max(node["images"], key=lambda image: (image["used_at"], image["size_bytes"]))["size_bytes"]
    packed = node["packed_bytes"] / (node["packed_bytes"] + node["unpacked_bytes"])
    in_cache, in_node = counted([], str(folder)), counted(["docker", "exec", node["name"]], "/var")
    return [
        Held(
            "cache",
            told["cache"]["total_bytes"],
            in_cache,
            told["cache"]["limit_bytes"],
            int(image_bytes * packed),  # where it lies packed alone
        ),
        Held("node", node["total_bytes"], in_node, node["limit_bytes"], image_bytes),
    ]


def counted(before: list[str], path: str) -> int:
    """The bytes that `du` counts; files that go meanwhile are no error."""
    done = process.run(
        [*before, "du", "--summarize", "--one-file-system", "--block-size=1", path], check=False
    )
    return int(done.stdout.split()[0])


def _in_work(_: str, names: list[str]) -> list[str]:
    """Locks, and what is being made: no part of a cache that is borrowed."""
    return [name for name in names if name.startswith(".")]


if __name__ == "__main__":
    main()
