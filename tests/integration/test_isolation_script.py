"""The script that asks databases whether versions are apart: what its sessions write at once must not get mixed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.services.database import Server
from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.isolation import probes as isolation

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
    view = isolation.look(server, "harness-own", OWN, "token", ["run"], OTHERS)
    assert view.row == "token"
    assert view.asked == set(OTHERS)
    assert not view.rows_elsewhere | view.xcoms_elsewhere | view.reached


def test_a_version_without_an_answer_is_not_accused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SILENT", OWN)
    with pytest.raises(HarnessError) as caught:
        isolation.look(server, "harness-own", OWN, "token", ["run"], OTHERS)
    assert caught.value.cause is CauseCode.DATABASE_FAILED
