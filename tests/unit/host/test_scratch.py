"""What a process makes for itself is gone after it, also when it was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from harness.host.scratch import PREFIX, Scratch, folder, sweep


def left_by_a_killed_process(parent: Path) -> Path:
    scratch = Scratch(parent)
    (scratch.path / "index").write_text("x")
    assert scratch._descriptor is not None
    os.close(scratch._descriptor)  # as the system does with a killed process's
    scratch._descriptor = None
    return scratch.path


def test_it_is_gone_after_its_block(tmp_path: Path) -> None:
    with folder(tmp_path / "new") as path:
        (path / "file").write_text("x")
        assert path.stat().st_mode & 0o077 == 0
    assert list((tmp_path / "new").iterdir()) == []


def test_cleanup_may_be_called_twice(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    scratch.cleanup()
    other = Scratch(tmp_path)
    scratch.cleanup()
    assert other.path.exists()
    other.cleanup()


def test_the_next_one_removes_what_a_killed_process_left_and_nothing_in_use(tmp_path: Path) -> None:
    left = left_by_a_killed_process(tmp_path)
    with folder(tmp_path) as used:
        assert not left.exists()
        sweep(tmp_path)
        with folder(tmp_path):
            assert used.exists()


def test_a_sweep_leaves_what_it_does_not_know(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"{PREFIX}file").write_text("x")
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_one_that_goes_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    real = tempfile.mkdtemp

    def swept_at_first(*, dir: Path, prefix: str) -> str:
        path = real(dir=dir, prefix=prefix)
        made.append(path)
        if len(made) == 1:
            shutil.rmtree(path)
        return path

    monkeypatch.setattr("tempfile.mkdtemp", swept_at_first)
    scratch = Scratch(tmp_path)
    assert len(made) == 2
    assert scratch.path == Path(made[1])
    scratch.cleanup()
