"""Twenty commits, a line changed in each: whether the twentieth takes longer than the second, and the node's bytes.

Several such series take turns. Of a commit the least of them counts: what else a machine does only adds to it. The line
through all commits tells growth from what is left of that.
"""

from __future__ import annotations

import argparse
import statistics
from contextlib import ExitStack

from benchmarks.repositories import MEGABYTE, repository
from benchmarks.sending import Sender, containerd_bytes
from harness.cluster.running_cluster import attach


def main() -> None:
    """Print the second and the twentieth commit's seconds, and what each added to what containerd keeps."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--name", default="harness", help="which cluster")
    options.add_argument("--series", type=int, default=5)
    options.add_argument("--commits", type=int, default=20)
    options.add_argument("--megabytes", type=int, default=20, help="of other files under `code`")
    given = options.parse_args()
    running = attach(given.name)
    with ExitStack() as opened:
        every = [
            opened.enter_context(repository(other_bytes=given.megabytes * MEGABYTE))
            for _ in range(given.series)
        ]
        senders = [Sender.of(made.root, running) for made in every]
        opened.callback(senders[0].clear)
        seconds: dict[int, list[float]] = {}
        sizes: dict[int, int] = {}
        for number in range(1, given.commits + 1):
            taken = seconds.setdefault(number, [])
            for series, (made, sender) in enumerate(zip(every, senders, strict=True)):
                made.change(1000 * series + number)
                made.commit()
                taken.append(sender.send().seconds)
                sender.prune()
            sizes[number] = containerd_bytes(running.cluster.nodes[0])
            print(f"commit {number:2}: {min(taken):.2f} s, {sizes[number] / MEGABYTE:.1f} MB on the node")
        least = {number: min(taken) for number, taken in seconds.items() if number > 1}
        line = statistics.linear_regression(list(least), list(least.values()))
        fitted = (line.slope * given.commits + line.intercept) / (line.slope * 2 + line.intercept)
        single = least[given.commits] / least[2]
        grown = (sizes[given.commits] - sizes[2]) / (given.commits - 2) / given.series
        print(
            f"commit {given.commits} against commit 2: {fitted:.2f} times as long by the line, {single:.2f} as they are"
        )
        print(f"bytes on the node per commit: {grown:,.0f}")


if __name__ == "__main__":
    main()
