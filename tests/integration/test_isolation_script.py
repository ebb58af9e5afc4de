"""The script that asks databases whether versions are apart: what its sessions write at once must not get mixed."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.services.database import Server
from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.isolation import probes as isolation

NOBODY = isolation.Neighbours(None, None)
OWN, OTHERS = "v_own", [f"v_other_{number}" for number in range(8)]
# Errors come in pieces, as those of the real one: between two of them another session's answer may be written.
PSQL = """\
#!/bin/sh
for option; do case "$option" in --dbname=*) database="${option#--dbname=}";; esac; done
[ "$database" = "$SILENT" ] && exit 2
while read -r line; do
  case "$line" in
    *"'xcoms|"*) echo "xcoms|$database|0";;
    *"'row|"*) echo "row|$database|token";;
    *"'rows|"*) echo "rows|$database|0";;
    "\\\\c"*|*"'connect|"*)
      for piece in 1 2 3 4 5 6; do printf 'FATAL: ' >&2; sleep 0.01; done; echo "permission denied" >&2; exit 2;;
  esac
done
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """One whose script is run here, where `psql` is a fake; both streams come through one pipe, as they may."""
    psql = tmp_path / "psql"
    psql.write_text(PSQL, encoding="utf-8")
    psql.chmod(0o755)
    monkeypatch.setenv("SILENT", "")

    def run(_argv: Any, *, input_text: str, **_options: Any) -> process.Completed:
        script = f'PATH="{tmp_path}:$PATH"\n{input_text}'
        done = subprocess.run(
            ["sh", "-s"],
            check=False,
            input=script,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return process.Completed(("sh",), done.returncode, done.stdout, "")

    monkeypatch.setattr(process, "run", run)
    return Server(Path("kubectl"), Path("kubeconfig"))


def test_no_answer_is_lost(server: Server) -> None:
    view = isolation.look(server, NOBODY, OWN, "token", ["run"], OTHERS)
    assert view.row == "token"
    assert view.asked == set(OTHERS)
    assert not view.rows_elsewhere | view.xcoms_elsewhere | view.reached


@contextmanager
def listening() -> Iterator[str]:
    """Somebody who can be reached."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1/{listener.getsockname()[1]}"


@contextmanager
def dropping() -> Iterator[str]:
    """Somebody to whom packets get lost: the queue of those who wait for an answer is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as waiting:
        for _ in range(3):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"127.0.0.1/{listener.getsockname()[1]}"


def test_enforcement_is_proved_by_who_is_reached_at_the_same_time(server: Server) -> None:
    def network(closed: str | None, reached: str | None) -> str:
        neighbours = isolation.Neighbours(closed, reached)
        return isolation.look(server, neighbours, OWN, "token", ["run"], []).network

    with listening() as there, dropping() as lost:
        assert network(lost, there) == "enforced"
        assert network(there, there) == "open"
        assert network(there, lost) == "open"
        assert network(lost, lost) == "unknown"  # a network that is slow to answer anybody
        assert network(None, there) == "unknown"
        assert network(lost, None) == "unknown"
        assert network("127.0.0.1/9", there) == "unknown"  # refused: nobody listens there


def test_a_version_without_an_answer_is_not_accused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SILENT", OWN)
    with pytest.raises(HarnessError) as caught:
        isolation.look(server, NOBODY, OWN, "token", ["run"], OTHERS)
    assert caught.value.cause is CauseCode.DATABASE_FAILED
