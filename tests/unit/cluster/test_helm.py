"""A release that a killed Helm left half-way is made whole again before it is changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from doubles import Programs

from harness.cluster.services import helm
from harness.cluster.services.helm import Helm


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
