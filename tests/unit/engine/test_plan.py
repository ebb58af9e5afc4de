"""What is asked for, worked out: both sides of a comparison, and the logical dates of runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.image import checked as checked_module
from harness.engine.testing import plan as plan_module
from harness.engine.testing.plan import run_dates
from harness.errors import CauseCode, HarnessError
from harness.progress import Silent
from harness.project import project as projects
from harness.project.commit import Commit, Repository
from harness.project.configuration import TestSettings

NOW = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)


class TestPlans:
    """A comparison of two commits, whose images are in order."""

    VALID = "[tests.a]\ndag = 'a'\nmetrics = { task = 'e' }\ngates.m = { min = %d }\n"

    @pytest.fixture
    def planned(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
        def plan(base: str, head: str) -> Any:
            (tmp_path / "harness.toml").write_text(self.VALID % 1)
            texts = {"base": base, "head": head}

            def commit(_: object, ref: str) -> Commit:
                return Commit(Repository(tmp_path), ref, ref * 10, "tree", None, NOW, objects=None)  # type: ignore[arg-type]

            monkeypatch.setattr(Repository, "find", lambda _: Repository(tmp_path))
            monkeypatch.setattr(Repository, "resolve", lambda _, ref: ref * 10)
            monkeypatch.setattr(projects.Project, "commit", commit)
            monkeypatch.setattr(Commit, "read", lambda commit, path: _text(texts, commit, path))
            monkeypatch.setattr(Commit, "close", lambda _: None)
            monkeypatch.setattr(checked_module, "check", lambda *_: None)
            monkeypatch.setattr(checked_module, "lock_as_of_commit", lambda *_, **__: None)
            monkeypatch.setattr(plan_module, "base_of", lambda *_: "base")
            with ExitStack() as opened:
                return plan_module.plans(
                    tmp_path, plan_module.Request(refs=("head",), base="base"), opened, Silent()
                )

        return plan

    def test_tests_and_gates_are_the_heads(self, planned: Callable[..., Any]) -> None:
        (base, head), refused = planned(self.VALID % 2, self.VALID % 3)
        assert refused == []
        assert head.tests["a"].gates["m"].min == 3
        assert head.base_gates["a"]["m"].min == 2
        assert base.tests["a"].gates == {}

    def test_both_sides_run_on_the_same_dates(self, planned: Callable[..., Any]) -> None:
        (base, head), _ = planned(self.VALID % 2, self.VALID % 3)
        assert head.base is base
        assert base.dates == head.dates and list(head.dates) == ["a"]
        assert (base.commit.ref, base.found.ref, base.found.role) == ("base", "base", "base")
        assert (head.found.ref, head.found.role) == ("head", "head")

    def test_a_head_whose_own_are_invalid_is_refused(self, planned: Callable[..., Any]) -> None:
        made, (refused,) = planned(self.VALID % 2, f"{self.VALID % 3}bogus = 1\n")
        assert made == []
        assert (refused.ref, refused.role, refused.cause.code) == ("head", "head", "config_invalid")
        assert "head:harness.toml has 1 problem: tests.a.bogus: unknown key" in refused.cause.message

    def test_of_a_base_whose_own_are_invalid_the_working_trees_count(
        self, planned: Callable[..., Any]
    ) -> None:
        (_, head), refused = planned(f"{self.VALID % 2}bogus = 1\n", self.VALID % 3)
        assert refused == []
        assert head.base_gates["a"]["m"].min == 1


def _text(texts: dict[str, str], commit: Commit, path: str) -> bytes | None:
    return texts[commit.ref].encode() if path == "harness.toml" else None


class TestRunDates:
    @given(
        st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=6),
        st.datetimes(min_value=datetime(2000, 1, 2), max_value=datetime(2100, 1, 1)),
        st.integers(-12, 14),
        st.integers(1, 4),
    )
    def test_midnight_utc_and_no_date_twice_for_a_dag(
        self, dags: list[str], date: datetime, hours: int, repeat: int
    ) -> None:
        asked = date.replace(tzinfo=timezone(timedelta(hours=hours)))
        tests = {f"t{index}": TestSettings(dag=dag) for index, dag in enumerate(dags)}
        dates = run_dates(tests, asked, dict.fromkeys(tests, repeat))
        assert list(dates) == list(tests)
        assert {len(moments) for moments in dates.values()} == {repeat}
        pairs = [(tests[name].dag, moment) for name, moments in dates.items() for moment in moments]
        assert len(set(pairs)) == len(pairs)
        assert {moment.astimezone(UTC).date() for _, moment in pairs} == {asked.astimezone(UTC).date()}
        assert dates["t0"][0] == asked.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        once = run_dates(tests, asked)
        assert {
            name: moments[:1] for name, moments in dates.items()
        } == once  # a single run's result is met again

    def test_ones_own_is_kept(self) -> None:
        own = datetime(2024, 1, 1, tzinfo=UTC)
        tests = {"a": TestSettings(dag="d", logical_date=own), "b": TestSettings(dag="d")}
        assert run_dates(tests, NOW) == {"a": (own,), "b": (NOW.replace(hour=0, minute=0),)}
        assert run_dates(tests, NOW, dict.fromkeys(tests, 2))["a"] == (own, own + timedelta(seconds=1))

    @pytest.mark.parametrize("date", [None, NOW.replace(year=9999), NOW.replace(year=1969)])
    def test_a_commit_of_no_usable_date_needs_tests_that_have_their_own(self, date: datetime | None) -> None:
        tests = {"a": TestSettings(dag="d", logical_date=NOW), "b": TestSettings(dag="d")}
        with pytest.raises(HarnessError, match="test b has no logical_date") as caught:
            run_dates(tests, date)
        assert caught.value.cause is CauseCode.CONFIG_INVALID
        assert "[tests.b]" in caught.value.hint
        del tests["b"]
        assert run_dates(tests, date, dict.fromkeys(tests, 2))["a"] == (NOW, NOW + timedelta(seconds=1))

    def test_a_later_test_of_its_own_date_is_not_met(self) -> None:
        midnight = NOW.replace(hour=0, minute=0)
        tests = {"a": TestSettings(dag="d"), "b": TestSettings(dag="d", logical_date=midnight)}
        dates = run_dates(tests, NOW)
        assert dates["a"] != dates["b"] == (midnight,)
