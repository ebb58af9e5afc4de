"""What a build shows of how far it is: packages done of all, and the time left."""

from __future__ import annotations

import pytest

from harness.cluster.kind.node_image.build_list import BuildProgress


class Clock:
    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_packages_are_counted_and_the_time_left_is_by_their_costs(clock: Clock) -> None:
    progress = BuildProgress({"a": 960.0, "b": 40.0, "c/d": 9000.0}, clock)
    assert progress.after("a") == "1 of 3 packages; compiling a"
    clock.now_s += 24
    assert (
        progress.after("b\n") == "2 of 3 packages, 4 min left; compiling b"
    )  # 9.6 of 100 %, 4 % are linking
    assert progress.after("c/d") == "3 of 3 packages, 4 min left; linking"


@pytest.mark.parametrize("line", ["", "# a", "a.go:3: undefined: b", "go: downloading a v1", "runtime"])
def test_what_else_a_compiler_says_is_passed_over(line: str, clock: Clock) -> None:
    progress = BuildProgress({"a": 1.0}, clock)
    assert progress.after(line) is None


def test_no_time_is_told_before_it_can_be_known(clock: Clock) -> None:
    progress = BuildProgress({"a": 1.0, "b": 99.0, "c": 900.0}, clock)
    progress.after("a")
    clock.now_s += 14
    assert "left" not in (progress.after("b") or "")  # too soon
    clock.now_s += 1
    assert "left" in (progress.after("c") or "")


def test_a_package_that_is_named_twice_counts_once(clock: Clock) -> None:
    progress = BuildProgress({"a": 1.0, "b": 1.0}, clock)
    progress.after("a")
    assert progress.after("a") == "1 of 2 packages; compiling a"
