"""A changed line of code to a cluster elsewhere, through its registry, against the same line into a kind node.

Both get the same base and dependencies before anything is timed. They take turns; what is timed is what `harness test`
does until pods can run the image: for a kind node making and loading it, for the other making and pushing it.

Ends with 1 when the registry's median is more than 2.5 times the node's.
"""

from __future__ import annotations

import argparse
from statistics import median

from benchmarks.repositories import repository
from benchmarks.sending import Sender
from harness.cluster.running_cluster import attach

RATIO_TARGET = 2.5
BYTES_TARGET = 100_000


def main() -> None:
    """Print seconds and bytes of each round, medians, and their ratio."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--name", default="harness", help="which kind cluster")
    options.add_argument("--context", required=True, help="which cluster elsewhere; it is allowed, and up")
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    here, there = attach(given.name), attach(f"@{given.context}")
    with repository() as made:
        node, registry = Sender.of(made.root, here), Sender.of(made.root, there)
        try:
            for sender in (node, registry):
                sender.send()
            seconds: dict[str, list[float]] = {"node": [], "registry": []}
            most_bytes = 0
            for number in range(1, given.rounds + 1):
                made.change(2 * number)
                into = node.send()
                made.change(2 * number + 1)
                pushed = registry.send()
                if (same := node.send().image.digest) != pushed.image.digest:
                    raise SystemExit(f"not one image: {same} and {pushed.image.digest}")
                seconds["node"].append(into.seconds)
                seconds["registry"].append(pushed.seconds)
                most_bytes = max(most_bytes, pushed.load_bytes)
                print(f"line changed: node {into.seconds:.2f} s ({into.load_bytes:,} bytes), "
                      f"registry {pushed.seconds:.2f} s ({pushed.load_bytes:,} bytes)", flush=True)  # fmt: skip
            ours, theirs = median(seconds["node"]), median(seconds["registry"])
            print(f"median: node {ours:.2f} s, registry {theirs:.2f} s: {theirs / ours:.2f}")
            if theirs / ours > RATIO_TARGET or most_bytes > BYTES_TARGET:
                raise SystemExit(f"DID NOT HOLD: at most {RATIO_TARGET} times and {BYTES_TARGET:,} bytes")
        finally:
            node.clear()


if __name__ == "__main__":
    main()
