"""A release that a killed Helm left half-way is made whole again before it is changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from doubles import Programs

from harness.cluster.services import helm
from harness.cluster.services.helm import Helm, files_of, fingerprint


@pytest.mark.parametrize(
    ("status", "commands"),
    [
        (None, ["list", "upgrade"]),
        ("deployed", ["list", "upgrade"]),
        ("failed", ["list", "upgrade"]),
        ("pending-install", ["list", "uninstall", "upgrade"]),
        ("uninstalling", ["list", "uninstall", "upgrade"]),
        ("pending-upgrade", ["list", "rollback", "upgrade"]),
        ("pending-rollback", ["list", "rollback", "upgrade"]),
    ],
)
def test_a_release_is_made_as_it_should_be(
    monkeypatch: pytest.MonkeyPatch, status: str | None, commands: list[str]
) -> None:
    listed = json.dumps([{"name": "cluster", "status": status}] if status else [])
    programs = Programs(lambda words: listed if words[1] == "list" else "")
    monkeypatch.setattr(helm.process, "run", programs.run)
    Helm(Path("helm"), Path("kubeconfig")).upgrade("cluster", Path("chart"), "harness-system", {})
    assert [words[1] for words in programs.commands] == commands
    assert all(words[-2:] == ("--kubeconfig", "kubeconfig") for words in programs.commands)


def test_what_pip_compiles_beside_a_charts_python_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/control_plane.py").write_text("pass", encoding="utf-8")
    before = fingerprint(tmp_path, {})
    (tmp_path / "files/__pycache__").mkdir()
    (tmp_path / "files/__pycache__/control_plane.cpython-311.pyc").write_bytes(b"\0")
    assert fingerprint(tmp_path, {}) == before
    assert [name for name, _ in files_of(tmp_path)] == ["files/control_plane.py"]
