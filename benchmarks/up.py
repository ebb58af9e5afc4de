"""`harness up` of a second cluster: from a cached node image, and again. Takes the cluster away afterwards.

From nothing: HARNESS_CACHE_DIR=$(mktemp -d) python -m benchmarks.up
"""

from __future__ import annotations

import argparse
import statistics
import time

from benchmarks.commands import PROGRAM
from benchmarks.repositories import Repository, repository
from harness.host import process


def main() -> None:
    """Print the seconds of the first `up`, and of those after it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--name", default="harness-benchmark", help="a cluster that is not there yet")
    options.add_argument("--again", type=int, default=3)
    given = options.parse_args()
    with repository() as made:
        try:
            print(f"up: {up(made, given.name):.1f} s")
            again = [up(made, given.name) for _ in range(given.again)]
            print("up again: " + ", ".join(f"{seconds:.2f} s" for seconds in again))
            print(f"median {statistics.median(again):.2f} s")
        finally:
            process.run([PROGRAM, "down", "--force", "--name", given.name], cwd=made.root)


def up(made: Repository, cluster: str) -> float:
    """Seconds of one `harness up`."""
    started_s = time.monotonic()
    process.run([PROGRAM, "up", "--name", cluster], cwd=made.root)
    return time.monotonic() - started_s


if __name__ == "__main__":
    main()
