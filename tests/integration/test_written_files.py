"""Files on versions' volumes as a node's own programs list them."""

from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, cast

import pytest

from harness.cluster.api import KubernetesApi
from harness.host import process
from harness.isolation import written


def test_a_name_may_hold_the_end_of_a_line_and_a_tab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = process.run

    def on_this_machine(argv: Sequence[str | Path], **options: Any) -> CompletedProcess[str]:
        assert argv[:3] == ["docker", "exec", "node"]
        return run(argv[3:], **options)

    class Api:
        def list(self, path: str) -> list[dict[str, Any]]:
            return [{"spec": {"hostPath": {"path": str(tmp_path)}, "claimRef": {"namespace": "one"}}}]

    monkeypatch.setattr(process, "run", on_this_machine)
    for name in ("artifacts/a\tb\nc.txt", "artifacts/d e.txt", "shared/0/f.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "artifacts" / "latest").symlink_to("gone")
    found = written.changes(cast(KubernetesApi, Api()), ["node"], "one", ["dags/data sets"])
    assert found is not None
    assert set(found) == {"artifacts/a\tb\nc.txt", "artifacts/d e.txt", "dags/data sets/f.txt"}
    assert all(at > 0 for at in found.values())
