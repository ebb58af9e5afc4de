"""What goes from the cache so that it keeps its limit, and what never does."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import CauseCode, HarnessError
from harness.host import cache, cache_limit, limits, sizes
from harness.host.cache_limit import Item, chosen


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.ROOT_VARIABLE, str(tmp_path))
    return tmp_path


def made(kind: str, key: str, *, kilobytes: int = 8, used_at: float = 100.0) -> Path:
    def make(folder: Path) -> None:
        (folder / "content").write_bytes(b"x" * kilobytes * 1024)

    path = cache.obtain(kind, key, make)
    os.utime(path, (used_at, used_at))
    return path


def item(key: str, used_at: float, size_bytes: int = 10, kind: str = "layers") -> Item:
    return Item(kind, Path("/cache", kind, key), size_bytes, used_at)


class TestChosen:
    def test_within_the_limit_all_stays(self) -> None:
        assert chosen([item("a", 1), item("b", 2)], 20, since=9) == ()

    def test_what_was_used_least_recently_goes_first(self) -> None:
        a, b, c = item("a", 3), item("b", 1), item("c", 2)
        assert chosen([a, b, c], 15, since=9) == (b, c)

    def test_what_a_living_client_may_have_used_stays(self) -> None:
        a, b = item("a", 1), item("b", 2)
        assert chosen([a, b], 0, since=2) == (a,)

    def test_the_newest_of_what_takes_minutes_to_make_stays(self) -> None:
        old, new = item("1111111111111111", 1, kind="programs"), item("2222222222222222", 2, kind="programs")
        node = item("node-7cbd6213f538726f", 1, kind="rootfs")
        python = item("python-28c2b78179836602", 2, kind="rootfs")
        assert chosen([old, new, node, python], 0, since=9) == (old,)

    def test_downloads_go_first_only_beyond_their_share(self) -> None:
        layer, few, many = item("a", 1, 50), item("uv", 5, 20, "uv"), item("uv", 5, 60, "uv")
        assert chosen([layer, few], 65, since=4) == (layer,)
        assert chosen([layer, many], 65, since=4) == (many,)

    def test_what_nobody_used_for_long_goes_within_the_limit_too(self) -> None:
        a, b = item("a", 1), item("b", 5)
        assert chosen([a, b], 100, since=9, before=3) == (a,)

    @given(
        st.lists(st.tuples(st.floats(0, 100), st.integers(0, 100)), max_size=12),
        st.integers(0, 600),
        st.floats(0, 100),
    )
    def test_the_limit_is_kept_by_as_few_as_can_be(
        self, entries: list[tuple[float, int]], limit: int, since: float
    ) -> None:
        found = [item(str(n), used_at, size) for n, (used_at, size) in enumerate(entries)]
        doomed = chosen(found, limit, since=since)
        left = sum(each.size_bytes for each in found if each not in doomed)
        assert all(each.used_at < since for each in doomed)
        assert left <= limit or all(each.used_at >= since for each in found if each not in doomed)
        if doomed:
            assert left + doomed[-1].size_bytes > limit


class TestPrune:
    def test_old_entries_go_whole_and_are_made_again(self, root: Path) -> None:
        old, new = made("dependencies", "a"), made("dependencies", "b", used_at=200.0)
        limit = sizes.size_bytes(new)
        assert [each.path for each in cache_limit.prune(limit)] == [old]
        assert not old.exists()
        assert new.exists()
        assert made("dependencies", "a").exists()

    def test_asking_for_an_entry_is_using_it(self) -> None:
        path = made("dependencies", "a")
        assert cache.used(path)
        assert path.stat().st_mtime > time.time() - 60
        assert not cache.used(path / "absent")

    def test_what_a_client_uses_stays_whatever_the_limit(self) -> None:
        path = made("dependencies", "a")
        with cache.client():
            assert cache.used(path)
            assert cache_limit.prune(0) == ()
        assert [each.path for each in cache_limit.prune(0)] == [path]

    def test_a_client_that_was_killed_holds_nothing(self, root: Path) -> None:
        path = made("dependencies", "a")
        (root / cache.CLIENTS / ".scratch-dead").mkdir(parents=True)
        os.utime(root / cache.CLIENTS / ".scratch-dead", (50.0, 50.0))
        assert [each.path for each in cache_limit.prune(0)] == [path]

    def test_what_is_used_while_it_is_chosen_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        path = made("dependencies", "a")

        def then_used(*args: object, **options: object) -> tuple[Item, ...]:
            doomed = chosen(*args, **options)  # type: ignore[arg-type]
            cache.used(path)
            return doomed

        monkeypatch.setattr(cache_limit, "chosen", then_used)
        with cache.client():
            assert cache_limit.prune(0) == ()
        assert path.exists()

    def test_two_at_once_and_one_who_uses_it_meanwhile(self) -> None:
        """Whatever the order: what `used` has answered for is there as long as its client lives."""
        paths = [made("layers", f"{number}.tar") for number in range(30)]
        errors: list[str] = []

        def use() -> None:
            with cache.client():
                held = [path for path in paths if cache.used(path)]
                time.sleep(0.05)
                errors.extend(str(path) for path in held if not path.exists())

        threads = [
            threading.Thread(target=use),
            *(threading.Thread(target=cache_limit.prune, args=(0,)) for _ in "ab"),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []

    def test_locks_and_what_is_being_made_are_no_entries(self, root: Path) -> None:
        made("dependencies", "a")
        with cache.locked(root / "locks" / "harness"):
            assert {each.path.name for each in cache_limit.items()} == {"a"}

    def test_sizes_are_those_of_du(self, root: Path) -> None:
        path = made("dependencies", "a", kilobytes=100)
        (path / "again").hardlink_to(path / "content")
        (path / "sub").mkdir()
        (path / "sub" / "link").symlink_to("../content")
        assert sizes.size_bytes(path) >= 100 * 1024
        assert sizes.size_bytes(path) < 150 * 1024
        assert sizes.size_bytes(root / "absent") == 0


class TestLimits:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [("6GB", 6 * 10**9), ("6g", 6 * 10**9), ("500 MB", 5 * 10**8), ("2.5GiB", 5 * 2**29), ("1000", 1000)],
    )
    def test_sizes(self, text: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(limits.CACHE_VARIABLE, text)
        assert limits.limit(limits.CACHE_VARIABLE, Path("/"), 0) == expected

    @pytest.mark.parametrize("text", ["six", "-1", "6XB", "GB", "1e9"])
    def test_what_is_no_size(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(limits.NODE_VARIABLE, text)
        with pytest.raises(HarnessError, match="is no size such as 6GB") as caught:
            limits.check()
        assert caught.value.cause is CauseCode.USAGE

    def test_by_default_a_quarter_of_what_there_is(self) -> None:
        assert limits.suggested(60 * 10**9, 20 * 10**9) == 20 * 10**9
        assert limits.suggested(0, 10**9) == limits.LEAST_BYTES
        assert limits.suggested(10**13, 0) == limits.MOST_BYTES
