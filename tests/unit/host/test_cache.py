"""The cache: an entry is whole or absent."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from harness.errors import CauseCode, HarnessError
from harness.host import background, cache


@pytest.fixture(autouse=True)
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.ROOT_VARIABLE, str(tmp_path / "cache"))


def leftovers(kind: str) -> list[str]:
    return sorted(path.name for path in (cache.root() / kind).iterdir() if not path.name.endswith(".lock"))


def test_a_build_that_succeeds_becomes_the_entry() -> None:
    with cache.build("tools", "kind-1") as folder:
        assert folder is not None
        (folder / "kind").write_text("program")
        assert not cache.entry("tools", "kind-1").exists()
    assert (cache.entry("tools", "kind-1") / "kind").read_text() == "program"
    assert leftovers("tools") == ["kind-1"]


def test_a_build_that_raises_leaves_nothing() -> None:
    with pytest.raises(RuntimeError, match="no network"), cache.build("tools", "kind-1") as folder:
        assert folder is not None
        (folder / "half").mkdir()
        (folder / "half").chmod(0o500)
        raise RuntimeError("no network")
    assert leftovers("tools") == []


def test_what_is_there_is_not_built_again() -> None:
    cache.obtain("tools", "kind-1", lambda folder: (folder / "kind").touch())
    with cache.build("tools", "kind-1") as folder:
        assert folder is None
    assert cache.obtain("tools", "kind-1", lambda _: pytest.fail("built twice")) == cache.entry(
        "tools", "kind-1"
    )


def test_what_a_killed_build_left_is_cleaned_up_by_the_next_of_the_same_key() -> None:
    parent = cache.root() / "tools"
    (parent / ".kind-1.dead.building" / "deep").mkdir(parents=True)
    other = parent / ".kind-2.alive.building"
    other.mkdir()
    cache.obtain("tools", "kind-1", lambda folder: (folder / "kind").touch())
    assert leftovers("tools") == [other.name, "kind-1"]


def test_two_builders_build_once() -> None:
    started, built, waited = threading.Event(), [], []

    def slow(folder: Path) -> None:
        started.set()
        other.start()
        assert waiting.wait(10)
        built.append("first")
        (folder / "file").touch()

    def second() -> None:
        def on_wait(text: str) -> None:
            waited.append(text)
            waiting.set()

        cache.obtain("tools", "kind-1", lambda _: built.append("second"), on_wait=on_wait)

    waiting = threading.Event()
    other = threading.Thread(target=second)
    cache.obtain("tools", "kind-1", slow)
    other.join(10)
    assert built == ["first"]
    assert waited == ["the same (tools) is being made already: waiting for it"]


def test_who_waits_for_a_lock_can_be_stopped() -> None:
    waiting, ended = threading.Event(), list[str]()

    def wait() -> None:
        try:
            with cache.locked(cache.entry("tools", "kind-1"), waiting.set):
                ended.append("held")
        except HarnessError as error:
            ended.append(error.cause.code)

    def stop_once_it_waits() -> None:
        with background.threads(1, lambda _: None) as pool:
            pool.submit(wait)
            assert waiting.wait(10)
            raise KeyError

    with cache.locked(cache.entry("tools", "kind-1")), pytest.raises(KeyError):
        stop_once_it_waits()
    assert ended == ["interrupted"]


def test_discarding_lets_it_be_built_again() -> None:
    cache.obtain("tools", "kind-1", lambda folder: (folder / "old").touch())
    cache.discard("tools", "kind-1")
    cache.discard("tools", "kind-1")
    assert leftovers("tools") == []
    path = cache.obtain("tools", "kind-1", lambda folder: (folder / "new").touch())
    assert [child.name for child in path.iterdir()] == ["new"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc", ".hidden", "a\n"])
def test_names_can_not_lead_out_of_the_cache(name: str) -> None:
    with pytest.raises(ValueError, match="cache entry"):
        cache.entry("tools", name)
    with pytest.raises(ValueError, match="cache entry"):
        cache.entry(name, "key")


def test_the_home_of_nobody_is_no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.ROOT_VARIABLE, "~there-is-no-such-user/x")
    with pytest.raises(HarnessError, match="~there-is-no-such-user is nobody's home") as caught:
        cache.root()
    assert caught.value.cause is CauseCode.FOLDER_UNUSABLE
    assert f"export {cache.ROOT_VARIABLE}=" in caught.value.hint


def test_the_root_is_the_users_own_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.ROOT_VARIABLE)
    assert cache.root().name == "airflow-harness"
