"""What benchmarks of whole versions share: the installed `harness` program, and a cluster that is left without any."""

from __future__ import annotations

import os
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.repositories import PROJECT
from harness.airflow.pods.pods import parse_quantity, shown_bytes
from harness.airflow.release import release
from harness.airflow.release.versions import versions
from harness.cluster import labels
from harness.cluster.api import Manifest
from harness.cluster.running_cluster import RunningCluster, attach
from harness.errors import CauseCode, HarnessError
from harness.host import process, signals
from harness.image.build import DOMAIN
from harness.image.node import prune
from harness.report.format import plural
from harness.report.model import Result

PROGRAM = str(Path(sysconfig.get_path("scripts")) / "harness")
# As at a person's terminal: in CI, no Airflow would be started for the next test.
ENVIRONMENT = {"CI": ""}
TEST_DEADLINE_S = 1800.0
REMOVAL_DEADLINE_S = 300.0


@dataclass(frozen=True)
class Tested:
    """A `harness test` or `harness diff`: its wall time, its exit code and its result."""

    seconds: float
    exit_code: int
    result: Result

    @property
    def namespaces(self) -> list[str]:
        """Of its versions, in the order of the refs."""
        return [version.namespace for version in self.result.versions if version.namespace is not None]

    def check_passed(self) -> Tested:
        """Itself. Raises SystemExit with every cause unless all versions passed."""
        if self.exit_code != 0:
            causes = "\n".join(f"  {cause.code}: {cause.message}" for cause in self.result.causes)
            raise SystemExit(f"`harness test` ended with {self.exit_code}\n{causes}")
        return self


@dataclass(frozen=True)
class Harness:
    """The program, for one cluster."""

    cluster: str

    def up(self, root: Path) -> None:
        """What the project needs is on the cluster, and an Airflow stands by, or is about to."""
        process.run([PROGRAM, "up", "--name", self.cluster], cwd=root, env=ENVIRONMENT)

    def test(self, root: Path, *refs: str, keep: Literal["never", "always"] = "never") -> Tested:
        """Test these refs at once; without any, the working tree."""
        argv = ["test", "--keep", keep]
        for ref in refs:
            argv += ["--ref", ref]
        return self._tested(root, argv)

    def diff(self, root: Path, base: str, head: str, *options: str) -> Tested:
        """Compare two refs."""
        return self._tested(root, ["diff", base, head, "--keep", "never", *options])

    def _tested(self, root: Path, argv: Sequence[str]) -> Tested:
        with tempfile.TemporaryDirectory(prefix="harness-benchmark-") as folder:
            file = Path(folder) / "result.json"
            called = [PROGRAM, *argv, "--name", self.cluster, "--json", str(file)]
            started_s = time.monotonic()
            done = process.run(called, cwd=root, env=ENVIRONMENT, check=False, timeout_s=TEST_DEADLINE_S)
            seconds = time.monotonic() - started_s
            if not file.exists():
                raise process.ProgramError(done, CauseCode.INTERNAL)
            result = Result.model_validate_json(file.read_text(encoding="utf-8"))
        return Tested(seconds, done.returncode, result)


@contextmanager
def cluster(name: str) -> Iterator[RunningCluster]:
    """A cluster without versions. Whatever was made on it is removed when the block is left, by Ctrl-C too."""
    signals.heed(lambda: os._exit(130))
    try:
        running = attach(name)
        if there := versions(running):
            raise SystemExit(
                f"{plural(len(there), 'version')} on cluster {name} would be measured too\n"
                f"hint: harness status --name {name}, then harness gc --older-than 1s --name {name}"
            )
        print(f"cluster {name}: {_room(running)}", flush=True)
        try:
            yield running
        finally:
            print("removing what was made on the cluster", flush=True)
            _clear(running)
    except HarnessError as error:
        hint = [f"hint: {error.hint}"] if error.hint else []
        raise SystemExit("\n".join([error.message, *error.evidence, *hint])) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def namespaces(running: RunningCluster) -> list[Manifest]:
    """The namespaces of the benchmarks' project: versions, what stands by, and what is going."""
    selector = f"{labels.SELECTOR},{labels.PROJECT}={PROJECT}"
    return running.api.list("/api/v1/namespaces", labelSelector=selector)


def remove(running: RunningCluster, doomed: Iterable[str]) -> None:
    """Return when these namespaces are gone, and their databases."""
    every = list(doomed)
    for wait in (False, True):  # all of them begin to go before one is waited for
        for namespace in every:
            release.remove(running.api, running.server, namespace, deadline_s=REMOVAL_DEADLINE_S, wait=wait)


def _clear(running: RunningCluster) -> None:
    remove(running, [item["metadata"]["name"] for item in namespaces(running)])
    for repository in (f"{DOMAIN}/{PROJECT}", f"{DOMAIN}/{PROJECT}/dependencies"):
        prune(running.cluster.nodes[0], repository, frozenset(), kept=0)


def _room(running: RunningCluster) -> str:
    """What the cluster's first node, which is the only one of kind's, has in all."""
    capacity = running.api.list("/api/v1/nodes")[0]["status"]["capacity"]
    return f"{capacity['cpu']} processors, {shown_bytes(parse_quantity(capacity['memory']))} of memory"
