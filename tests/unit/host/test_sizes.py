"""What the cache takes is measured again only where it changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.host import cache, sizes


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.ROOT_VARIABLE, str(tmp_path))
    (tmp_path / "uv" / "archive").mkdir(parents=True)
    (tmp_path / "uv" / "archive" / "one").write_bytes(b"x" * 50_000)
    (tmp_path / "layer").write_bytes(b"x" * 10_000)
    return tmp_path


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was walked through."""
    walked: list[str] = []
    real = sizes.size_bytes

    def size_bytes(path: Path) -> int:
        walked.append(path.name)
        return real(path)

    monkeypatch.setattr(sizes, "size_bytes", size_bytes)
    return walked


def test_once(root: Path, measured: list[str]) -> None:
    paths = [root / "uv", root / "layer"]
    first = sizes.measure(paths)
    assert first == {path: sizes.size_bytes(path) for path in paths}
    measured.clear()
    assert sizes.measure(paths) == first
    assert measured == []


def test_again_what_grew_and_what_was_made_anew(root: Path, measured: list[str]) -> None:
    paths = [root / "uv", root / "layer"]
    first = sizes.measure(paths)
    (root / "uv" / "archive" / "two").write_bytes(b"x" * 90_000)
    measured.clear()
    second = sizes.measure(paths)
    assert measured == ["uv"]
    assert second[root / "uv"] >= first[root / "uv"] + 90_000
    (root / "layer").rename(root / "older")
    (root / "layer").write_bytes(b"x" * 70_000)
    assert sizes.measure(paths)[root / "layer"] >= 70_000


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_what_can_not_be_read_is_made_anew(root: Path, content: str) -> None:
    (root / sizes.FILE).write_text(content)
    assert sizes.measure([root / "layer"])[root / "layer"] >= 10_000


def test_what_went_meanwhile_takes_nothing(root: Path) -> None:
    assert sizes.measure([root / "gone"]) == {root / "gone": 0}
