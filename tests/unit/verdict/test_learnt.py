"""What is learnt of noise, and what it proposes."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.verdict.learnt import Noise, Sample, noise, rounded_up, spreads

TEST = "0" * 64


def sample(*sides: list[float], name: str = "m") -> Sample:
    return Sample(
        test=TEST,
        dag="d",
        versions=tuple("ab"[: len(sides)]),
        sides=tuple(tuple({name: value} for value in side) for side in sides),
    )


def test_each_version_is_taken_around_its_own_mean() -> None:
    found = noise([sample([1.0, 3.0]), sample([101.0, 103.0])])["m"]
    assert (found.run_sd, found.runs) == (pytest.approx(math.sqrt(2.0)), 3)
    assert (found.pair_sd, found.pairs) == (None, 0)


def test_pairs_tell_of_differences() -> None:
    found = noise([sample([1.0, 2.0, 3.0], [1.5, 2.0, 4.0])])["m"]
    assert (found.pair_sd, found.pairs) == (pytest.approx(0.5), 3)
    assert found.runs == 5


def test_versions_that_agree_tell_nothing_of_such_that_do_not() -> None:
    found = noise([sample([1.0, 2.0], [1.0, 2.0])])["m"]
    assert (found.pair_sd, found.pairs) == (None, 0)


def test_a_change_that_moves_a_metric_by_the_same_in_each_pair_tells_nothing_of_others() -> None:
    different = sample([1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 4.0, 3.0])
    moved = sample([1.0, 2.0, 3.0], [0.9, 1.9, 2.9])
    assert noise([different, moved, moved])["m"].pairs == 4
    assert noise([different, moved, moved])["m"].pair_sd == noise([different])["m"].pair_sd
    barely_moved = sample([1.0, 2.0, 3.0, 4.0, 5.0], [0.9, 1.8, 2.9, 3.9, 4.8])
    assert noise([different, barely_moved])["m"].pairs == 4
    assert not noise([moved, moved])["m"].pair_sd


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_numbers_of_any_size_tell_the_same(size: float) -> None:
    numbers = (
        [size * each for each in (1.0, 2.0, 4.0, 3.0, 2.0)],
        [size * each for each in (2.0, 1.0, 3.0, 5.0, 2.0)],
    )
    found = noise([sample(*numbers)])["m"]
    assert found.pair_sd == pytest.approx(1.3038 * size, rel=1e-4)
    assert found.spread is not None
    assert found.proposed == pytest.approx(2.7 * size)


def test_rounding_is_no_noise() -> None:
    moved = sample([1.0, 2.0, 3.0, 4.0, 5.0], [0.9, 1.9, 2.9, 3.9, 4.9])
    found = noise([moved, sample([0.1, 0.2, 0.3 - 0.1, 0.2, 0.1], [0.5, 0.6, 0.6, 0.6, 0.5])])["m"]
    assert found.pair_sd == 0.0
    assert found.spread is not None  # of the runs
    assert noise([sample([0.1 + 0.2, 0.3, 0.3])])["m"].run_sd == 0.0


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_what_is_no_number_is_not_learnt(number: str) -> None:
    text = sample([1.0, 2.0]).model_dump_json().replace("2.0", number)
    with pytest.raises(ValidationError):
        Sample.model_validate_json(text)


def test_comparisons_that_are_narrower_by_chance_count() -> None:
    draw = random.Random(2)
    samples = [
        sample([0.0] * size, [draw.gauss(0, 1) for _ in range(size)])
        for size in (2, 3, 5, 9)
        for _ in range(50)
    ]
    found = noise(samples)["m"]
    assert found.pair_sd == pytest.approx(1.0, abs=0.05)
    assert found.pairs >= 0.95 * 50 * (1 + 2 + 4 + 8)


def test_a_run_that_diverged_tells_nothing_of_the_noise() -> None:
    usual = [sample([0.0, 0.1, 0.2], [0.1, 0.0, 0.25]), sample([0.1, 0.0, 0.3], [0.0, 0.2, 0.1])]
    diverged = sample([0.1, 1e9, 0.2], [0.2, 0.1, 0.0])
    found = noise([*usual, sample([0.2, 0.0, 0.1], [0.0, 0.1, 0.3]), diverged])["m"]
    assert found.pair_sd is not None
    assert found.pair_sd < 1.0
    assert found.run_sd is not None
    assert found.run_sd < 1.0
    assert found.proposed is not None
    assert found.proposed < 1.0


def test_two_comparisons_do_not_tell_which_of_them_went_wrong() -> None:
    found = noise([sample([0.0, 0.1], [0.1, 0.0]), sample([0.0, 1e9], [0.1, 0.2])])["m"]
    assert found.pair_sd is not None
    assert found.pair_sd > 1e6


def test_runs_alone_are_taken_as_independent() -> None:
    draw = random.Random(1)
    known = spreads([sample([draw.gauss(0, 1) for _ in range(200)])])["m"]
    assert known.sd == pytest.approx(math.sqrt(2.0), rel=0.2)
    assert spreads([sample([1.0, 2.0])]) == {}


def test_metrics_that_not_every_run_has_are_left_out() -> None:
    odd = Sample(test=TEST, dag="d", versions=("a",), sides=(({"a": 1.0, "b": 2.0}, {"a": 2.0}),))
    assert set(noise([odd])) == {"a"}


def test_what_is_proposed_takes_few_pairs() -> None:
    found = Noise(run_sd=0.01, runs=10, pair_sd=0.0141, pairs=10)
    caught = found.caught()
    assert list(caught) == [3, 5, 10]
    assert caught[3] > caught[5] > caught[10]
    assert found.caught(4)[5] > caught[5]
    assert found.proposed == 0.029
    assert Noise(None, 0, None, 0).proposed is None


@given(st.floats(1e-9, 1e9))
def test_rounding_goes_up_and_not_far(value: float) -> None:
    assert value * (1 - 1e-6) <= rounded_up(value) <= value * 1.11
