"""From `harness test` of a clean commit to the first line of user code in a task's pod, by phase."""

from __future__ import annotations

import argparse
import json
import statistics
import time

from benchmarks.commands import PROGRAM
from benchmarks.repositories import Repository, repository
from harness.host import process

PHASES = ("check_s", "image_s", "load_s", "prepare_s", "deploy_s")


def main() -> None:
    """Print the seconds of each run, and the medians of all and of each phase."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--name", default="harness", help="which cluster")
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--pause", type=float, default=20.0, help="seconds between two runs")
    given = options.parse_args()
    totals: list[float] = []
    phases: dict[str, list[float]] = {}
    with repository() as made:
        process.run([PROGRAM, "up", "--name", given.name], cwd=made.root)
        time.sleep(given.pause)
        for number in range(1, given.runs + 1):
            if number > 1:
                time.sleep(given.pause)  # a person reads the result; what stands by gets ready
            made.change(number)
            made.commit()
            total, found = run(made, given.name)
            totals.append(total)
            for name, seconds in found.items():
                phases.setdefault(name, []).append(seconds)
            print(
                f"run {number}: {total:.1f} s  "
                + ", ".join(f"{name} {each:.2f}" for name, each in found.items())
            )
    print(f"median {statistics.median(totals):.1f} s, of which")
    for name, every in phases.items():
        print(f"  {name:<13} {statistics.median(every):6.2f}")


def run(made: Repository, cluster: str) -> tuple[float, dict[str, float]]:
    """Seconds from the command's start to the task's first line, and those of each phase on the way."""
    file = made.root.parent / "result.json"
    started_at = time.time()
    process.run([PROGRAM, "test", "--name", cluster, "--keep", "never", "--json", file], cwd=made.root)
    (version,) = json.loads(file.read_text(encoding="utf-8"))["versions"]
    (test,) = version["tests"]
    found = {name: version["phases"][name] for name in PHASES if name in version["phases"]}
    found |= {name: test["phases"][name] for name in ("parse_s", "first_task_s") if name in test["phases"]}
    return test["metrics"]["first_line_at"]["value"] - started_at, found


if __name__ == "__main__":
    main()
