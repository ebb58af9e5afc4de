"""The guard in guard.py: a unit test that runs a program or leaves the machine fails."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import guard
import pytest

REFUSED = pytest.fail.Exception


@pytest.mark.parametrize(
    "act",
    [
        lambda: subprocess.run([sys.executable, "-c", ""], check=False),
        lambda: os.system("true"),  # noqa: S605
        lambda: os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {}),
        os.fork,
        lambda: socket.create_connection(("203.0.113.1", 9), timeout=0.1),
        lambda: socket.socket(socket.AF_UNIX).connect("/var/run/docker.sock"),
    ],
    ids=["run", "system", "posix_spawn", "fork", "connect", "docker"],
)
def test_refuses(act):
    with pytest.raises(REFUSED, match=r"a unit test (ran a program|connected)"):
        act()
    assert guard._seen
    guard._seen.clear()  # else this test itself would fail


def test_allows_loopback_and_files(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        (tmp_path / "file").write_text("x")
    assert guard._seen == []


def test_fails_a_test_that_swallows_the_refusal(pytester_like):
    assert pytester_like("os.system('true')") == "failed"
    assert pytester_like("pass") == "passed"


@pytest.fixture
def pytester_like():
    """Runs the hook around a body that catches everything, as pytest would."""

    def run(body: str) -> str:
        class Item:
            name = "test_body"

        outer, hook = guard._seen, guard.pytest_runtest_call(Item())
        try:
            next(hook)
            with suppress(BaseException):
                exec(body, {"os": os})  # noqa: S102
            try:
                hook.send(None)
            except StopIteration:
                return "passed"
            except REFUSED:
                return "failed"
            return "unfinished"
        finally:
            guard._seen = outer

    return run
