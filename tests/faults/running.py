"""A command of the product that runs beside the test, which meanwhile does something to what it works on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from command import ENVIRONMENT, PROGRAM

from .conftest import Cluster

DEADLINE_S = 600.0
BOUNDED_S = 40.0  # what an interrupted command may take to clean up
PASSED, FAILED = "✓ ", "✗ "  # how the line of a step that has ended begins
ALL = tuple(range(1, 21))  # steps: more than any command has
Found = TypeVar("Found")


def eventually(look: Callable[[], Found | None], *, what: str, deadline_s: float = 180.0) -> Found:
    """What `look` returns once it is something."""
    until = time.monotonic() + deadline_s
    while (found := look()) is None or found is False:
        assert time.monotonic() < until, f"{what}: not within {deadline_s:.0f} s"
        time.sleep(0.3)
    return found


@dataclass
class Running:
    """`harness ARGUMENTS` as a process of its own; what is left of it at the end of the block is killed."""

    cwd: Path
    arguments: tuple[str | Path, ...]
    environ: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            [str(PROGRAM), *map(str, self.arguments)], cwd=self.cwd, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **ENVIRONMENT, **self.environ},
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        said = self.process.communicate()[0]
        if kind is not None:
            print(said)  # noqa: T201  pytest shows it with the failure

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> float:
        """Send a signal; returns when, for `end` to be measured against."""
        self.process.send_signal(number)
        return time.monotonic()

    def end(self) -> tuple[int, str]:
        """Wait for its end; returns its exit code and all it said."""
        said = self.process.communicate(timeout=DEADLINE_S)[0]
        return self.process.returncode, said


def container_runs(pod: Any) -> bool:
    """Whether the first container of a pod is running."""
    statuses = pod.status.container_statuses or []
    return bool(statuses) and statuses[0].state.running is not None


def running_pod(cluster: Cluster, project: str) -> Any:
    """The first task's pod of the project's version, once it runs."""

    def look() -> Any:
        for namespace in cluster.versions():
            if namespace.rpartition("-")[0] == project:
                for pod in cluster.pods(namespace, "kubernetes_executor=True"):
                    if container_runs(pod):
                        return pod
        return None

    return eventually(look, what=f"a task's pod of {project} runs")


def killed_after(cwd: Path, steps: Iterable[int], *arguments: str) -> tuple[list[str], int, str]:
    """Run a command killed after its first step, its second and so on as `steps` has it, and then to its end.

    Each goes on with what the killed ones left, so it may come to its end before its step: that is the last one then.
    Returns the titles of the steps that it was killed after, and how the last one ended: exit code and output.
    """
    titles: list[str] = []
    for number in (*steps, None):
        with Running(cwd, arguments) as running:
            ended = 0
            lines = []
            for line in running.process.stdout or ():
                lines.append(line)
                ended += line.startswith((PASSED, FAILED))
                if ended == number:
                    running.process.kill()
                    titles.append(line.removeprefix(PASSED).split("  ")[0])
                    break
            else:
                return titles, running.process.wait(timeout=60), "".join(lines)
            failed = [each for each in lines if each.startswith(FAILED)]
            assert not failed, f"after a kill that followed {titles[-2:]}: {''.join(lines)}"
    raise AssertionError("the last one is not killed")
