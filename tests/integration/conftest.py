"""What tests with real programs share."""

from __future__ import annotations

from pathlib import Path

import pytest
from git_repository import isolate


@pytest.fixture
def git_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of git's settings that counts, in place of those of the user and of the machine."""
    file = tmp_path / "gitconfig"
    for name, value in isolate(file).items():
        monkeypatch.setenv(name, value)
    return file
