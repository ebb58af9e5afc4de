"""The README's two commands under Docker daemons that are not like this machine's own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import other_daemon
import pytest
import scratch
from command import ENVIRONMENT, PROGRAM, explained
from other_daemon import OtherDaemon

from harness.host import process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not other_daemon.can_be_made(), reason="only root may make namespaces"),
]
NAME = "harness-elsewhere"
DEADLINE_S = 1200.0
DAEMONS = {"users are mapped": other_daemon.with_mapped_users, "sees no home": other_daemon.without_home}


@pytest.fixture(params=list(DAEMONS))
def daemon(request: pytest.FixtureRequest) -> Iterator[OtherDaemon]:
    with tempfile.TemporaryDirectory(dir="/var/tmp", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)  # containers' root must get through to it
        made: AbstractContextManager[OtherDaemon] = DAEMONS[request.param](Path(name), networks=True)
        with made as found:
            yield found


def test_up_and_test(daemon: OtherDaemon, tmp_path: Path) -> None:
    root = scratch.tiny(tmp_path / "tiny").root
    env = ENVIRONMENT | {"DOCKER_HOST": daemon.url, "HARNESS_STATE_DIR": str(tmp_path / "state")}

    def harness(*arguments: str) -> process.Completed:
        argv = [*daemon.beside, str(PROGRAM), *arguments, "--name", NAME]
        return process.run(argv, cwd=root, env=env, check=False, timeout_s=DEADLINE_S)

    up = harness("up", "--sources", "packages")
    try:
        assert up.returncode == 0, explained(up)
        test = harness("test", "--json", str(tmp_path / "result.json"))
        assert test.returncode == 0, explained(test)
        assert json.loads((tmp_path / "result.json").read_text())["verdict"] == "passed"
    finally:
        down = harness("down")
    assert down.returncode == 0, explained(down)
