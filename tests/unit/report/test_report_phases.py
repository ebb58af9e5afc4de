"""Phases as people see them add up to what was spent."""

from __future__ import annotations

import pytest
import report_samples as samples
from hypothesis import given
from hypothesis import strategies as st

from harness.report import phases

SECONDS = st.floats(min_value=0, max_value=1e4)


@given(SECONDS, SECONDS, SECONDS)
def test_the_first_task_is_not_counted_twice(parse_s: float, first_s: float, rest_s: float) -> None:
    found = phases.in_turn({"parse_s": parse_s, "run_s": first_s + rest_s, "first_task_s": first_s})
    assert list(found) == ["parse_s", "first_task_s", "rest_of_run_s"]
    assert sum(found.values()) == pytest.approx(parse_s + first_s + rest_s, abs=1e-6)


def test_a_run_whose_first_task_is_not_known_stays_whole() -> None:
    assert phases.in_turn({"parse_s": 1.0, "run_s": 5.0}) == {"parse_s": 1.0, "run_s": 5.0}
    assert phases.in_turn({"run_s": 5.0, "first_task_s": 5.5}) == {"first_task_s": 5.5, "rest_of_run_s": 0.0}


def test_names_tell_tests_apart_where_there_are_several() -> None:
    run = samples.run_of({}).model_copy(update={"phases": {"parse_s": 1.0}})
    other = run.model_copy(update={"name": "other"})
    version = samples.version("HEAD", "0" * 40, run, phases={"pods_end_s": 2.0})
    assert phases.of_version(version) == {"pods end": 2.0, "parse": 1.0}
    both = version.model_copy(update={"tests": (run, other)})
    assert phases.of_version(both) == {"pods end": 2.0, f"{run.name}: parse": 1.0, "other: parse": 1.0}
