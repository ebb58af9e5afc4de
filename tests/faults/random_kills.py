"""SIGKILL at random moments of `up`, `test` and `down`: the next `up && test` passes, `down` leaves only the cache.

    python -m tests.faults.random_kills --count 50

All bundles and logs that were written are kept and searched for planted secrets in the end.

A cluster of its own is made and removed. The seed is printed, so that a failure can be had again. A command that ended
before its moment came does not count; how long each takes is taken from the runs in between.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import remains
import scratch
from command import ENVIRONMENT, PROGRAM

from harness.cluster import place
from harness.cluster.kind import kind

from . import helpers
from .kept import Kept, plant

NEW = "up, new"  # `up` where there is no cluster; the others are commands of a cluster that is up
COMMANDS = (NEW, "up", "test", "down")
DEADLINE_S = 1800.0


@dataclass
class DagTest:
    """One kill and what came after it."""

    number: int
    command: str
    after_s: float
    ended_before: bool = False
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        how = "ended before" if self.ended_before else f"killed after {self.after_s:.1f} s"
        return f"{self.number}: {self.command} {how}: {'; '.join(self.failures) or 'ok'}"


@dataclass
class Session:
    """A repository, a cluster's name, and how long each command takes when nobody kills it."""

    root: Path
    name: str
    random: random.Random
    kept: Kept
    took_s: dict[str, float] = field(
        default_factory=lambda: {NEW: 40.0, "up": 2.0, "test": 20.0, "down": 3.0}
    )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        started_s = time.monotonic()
        new = arguments[0] == "up" and kind.find(self.name) is None
        done = subprocess.run(
            self._argv(arguments), cwd=self.root, env=self._env(), capture_output=True, text=True,
            timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        took_s = time.monotonic() - started_s
        self.kept.add("printed", (done.stdout + done.stderr).encode())
        helpers.log(f"    {arguments[0]}: exit {done.returncode}, {took_s:.0f} s")
        if done.returncode == 0:
            self.took_s[NEW if new else arguments[0]] = took_s
        return done

    def kill(self, number: int, command: str) -> DagTest:
        """Start a command and kill it, and it alone, at a random moment."""
        dag_test = DagTest(number, command, self.random.uniform(0.0, self.took_s[command]))
        if command == NEW and (removed := self.run("down", "--force")).returncode != 0:
            dag_test.failures.append(f"down ended with {removed.returncode}")
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                self._argv((command.split(",", maxsplit=1)[0],)),
                cwd=self.root,
                env=self._env(),
                stdout=output,
                stderr=output,
            )
            try:
                process.wait(timeout=dag_test.after_s)
                dag_test.ended_before = True
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            output.seek(0)
            self.kept.add("printed", output.read())
        return dag_test

    def check(self, dag_test: DagTest) -> None:
        """`up && test` pass, whatever the killed command left."""
        for command in ("up", "test"):
            done = self.run(command)
            if done.returncode != 0:
                dag_test.failures.append(f"{command} ended with {done.returncode}")
                helpers.log(done.stderr[-4000:] + done.stdout[-4000:])
                return
            if "Traceback" in done.stderr:
                dag_test.failures.append(f"a traceback in {command}")

    def _argv(self, arguments: tuple[str, ...]) -> list[str]:
        return [str(PROGRAM), *arguments, "--name", self.name]

    def _env(self) -> dict[str, str]:
        return {**os.environ, **ENVIRONMENT}


def there(name: str) -> dict[str, str]:
    """What there is on the machine: Docker's objects, and the files of commands at work."""
    return remains.docker_objects(name) | {path: f"file {path}" for path in remains.half_made()}


def leftovers(name: str, before: dict[str, str]) -> list[str]:
    """What `down` should have removed: that, the state folder, and programs that still run."""
    left = [text for key, text in there(name).items() if key not in before]
    if place.state_folder(name).exists():
        left.append(f"folder {place.state_folder(name)}")
    return left + helpers.programs_about(name)


def run(count: int, name: str, seed: int, most_s: float) -> list[DagTest]:
    """`count` kills on a cluster `name`, which is removed in the end; returns those that went wrong.

    After `most_s` no further one is begun.
    """
    until = time.monotonic() + most_s
    made = 0
    helpers.log(f"{count} kills on cluster {name}, seed {seed}")
    wrong: list[DagTest] = []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="random-kills-"))
        before = there(name)
        clusters = place.state_folder(name).parent
        kept = stack.enter_context(Kept(clusters, name, planted=plant(os.environ)))
        session = Session(scratch.tiny(Path(folder) / "tiny").root, name, random.Random(seed), kept)
        session.run("up")
        while made < count and time.monotonic() < until:
            dag_test = session.kill(made + 1, session.random.choice(COMMANDS))
            session.check(dag_test)
            helpers.log(str(dag_test))
            made += not dag_test.ended_before
            wrong += [dag_test] if dag_test.failures else []
        down = session.run("down", "--force")
        left = leftovers(name, before)
        if down.returncode != 0 or left:
            last = DagTest(count + 1, "down", 0.0, failures=[f"exit {down.returncode}, left {left}"])
            helpers.log(str(last))
            wrong.append(last)
    secrets = kept.search()
    helpers.log(str(secrets))
    if secrets.found or not secrets.values:
        failures = [*secrets.found] or ["no Secret of the clusters was ever read"]
        wrong.append(DagTest(count + 1, "search", 0.0, failures=failures))
        helpers.log(str(wrong[-1]))
    helpers.log(f"{made} kills, {len(wrong)} failures, seed {seed}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--name", default="harness-kills")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument(
        "--most-s", type=float, default=float("inf"), help="begin no kill after so many seconds"
    )
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    return 1 if run(options.count, options.name, seed, options.most_s) else 0


if __name__ == "__main__":
    sys.exit(main())
