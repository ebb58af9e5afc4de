"""Docker itself is killed while a test runs: told as the environment's fault, and one command later all goes on.

Only where `doctor --fix` started Docker, or when asked: HARNESS_TEST_KILLS_DOCKER=1. Other clusters stop too.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
import scratch
from command import PROGRAM, explained

from harness.host import process
from harness.host.docker import daemon as docker_daemon

from .broken.case import repository
from .conftest import Cluster
from .running import running_pod
from .test_lost import CASES, started

pytestmark = pytest.mark.slow  # six minutes
ASKED = "HARNESS_TEST_KILLS_DOCKER"
TOLD_S = 180.0
CAUSES = {"api_server_lost", "cluster_failed", "docker_missing"}


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> scratch.Scratch:
    return repository(tmp_path_factory.mktemp("docker-lost") / "docker-lost", CASES)


@pytest.fixture
def daemon() -> int:
    """The process id of a Docker daemon that may be killed."""
    running = int(Path("/var/run/docker.pid").read_text())
    output = Path(f"/proc/{running}/fd/2")
    ours = os.geteuid() == 0 and output.resolve() == docker_daemon.LOG
    if not ours and os.environ.get(ASKED) != "1":
        pytest.skip(f"Docker was not started by `harness doctor --fix`; {ASKED}=1 kills it all the same")
    return running


def test_docker_killed_in_mid_run(
    disposable: Cluster, steady: scratch.Scratch, result: Path, daemon: int
) -> None:
    with started(disposable, steady, "steady", result) as running:
        running_pod(disposable, steady.root.name)
        os.kill(daemon, signal.SIGKILL)
        killed_s = time.monotonic()
        code, said = running.end()
    assert "Traceback" not in said
    if code != 0:  # the containers live on until Docker comes back: a run may end before anybody misses it
        assert time.monotonic() - killed_s < TOLD_S, said
        assert "hint:" in said, said
        told = json.loads(result.read_text())
        cause = told["cause"] or told["versions"][0]["cause"] or told["versions"][0]["tests"][0]["cause"]
        assert cause["code"] in CAUSES, said
        assert code == (3 if cause["code"] == "docker_missing" else 4), said
    fixed = process.run([PROGRAM, "doctor", "--fix"], check=False, timeout_s=300.0)
    assert fixed.returncode == 0, fixed.stderr + fixed.stdout
    for command in ("up", "test"):
        done = disposable.harness(steady.root, command, *(["steady"] if command == "test" else []))
        assert done.returncode == 0, explained(done)
