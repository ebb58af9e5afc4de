"""The sequential decision: its traps, its promises on a small scale, and that the order of asking does not matter."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.verdict.sensitivity import detectable, expected_pairs, interval, smallest_caught
from harness.verdict.sequential import (
    MOST_PAIRS,
    Evidence,
    Spread,
    bounds,
    decide,
    fitting,
    look,
    measured,
    misfit,
)

REGRESSIONS = st.lists(st.floats(-10, 10), min_size=1, max_size=MOST_PAIRS)
TOLERANCES = st.sampled_from([0.0, 0.5, 2.0])
SPREADS = st.one_of(st.none(), st.builds(Spread, st.floats(0.01, 5), st.integers(0, 40)))


def answer(*regressions: float, tolerance: float = 2.0, learnt: Spread | None = None) -> str:
    return decide({"m": Evidence(regressions, tolerance, learnt, size=1.0)}).answer


@given(st.lists(REGRESSIONS, min_size=1, max_size=3), TOLERANCES, SPREADS)
def test_pair_by_pair_is_as_all_at_once(
    gates: list[list[float]], tolerance: float, learnt: Spread | None
) -> None:
    most = min(map(len, gates))
    evidence = {str(number): gate for number, gate in enumerate(gates)}

    def after(pairs: int) -> dict[str, Evidence]:
        return {name: Evidence(each[:pairs], tolerance, learnt) for name, each in evidence.items()}

    found = decide(after(1))
    while found.answer == "undecided" and found.pairs < most:
        found = decide(after(found.pairs + 1))
    assert found == decide(after(most))


@given(REGRESSIONS, TOLERANCES, st.floats(0.0, 5.0))
def test_a_larger_regression_is_never_less_worse(
    regressions: list[float], tolerance: float, more: float
) -> None:
    pairs, learnt = len(regressions), Spread(1.0, 20)
    before = Evidence(regressions, tolerance, learnt)
    after = Evidence([each + more for each in regressions], tolerance, learnt)
    if (
        measured(before, pairs).prior_pairs
        and measured(after, pairs).prior_pairs
        and look(before, pairs) == "worse"
    ):
        assert look(after, pairs) == "worse"


@pytest.mark.parametrize("tolerance", [0.0, 0.01])
def test_nobody_is_worse_before_the_third_pair_with_nothing_learnt(tolerance: float) -> None:
    assert answer(0.5, tolerance=tolerance) == "undecided"
    assert answer(0.5, 0.5, tolerance=tolerance) == "undecided"
    assert answer(0.5, 0.50001, tolerance=tolerance, learnt=Spread(0.01, 4)) == "undecided"


def test_with_a_learnt_spread_two_pairs_may_do() -> None:
    learnt = Spread(0.01, 20)
    assert answer(0.05, tolerance=0.02, learnt=learnt) == "undecided"
    assert answer(0.05, 0.045, tolerance=0.02, learnt=learnt) == "worse"
    assert answer(-0.01, 0.0, tolerance=0.04, learnt=learnt) == "not_worse"


def test_equal_differences_have_a_spread_all_the_same() -> None:
    row = 1 / 113
    assert answer(row, row, row, tolerance=0.0) == "undecided"
    assert answer(row, row, row, row, row, row, tolerance=0.0) == "worse"
    assert answer(-row, -row, -row, tolerance=0.02) == "not_worse"


def test_rounding_is_no_difference() -> None:
    assert answer(1e-16, -1e-16, 1e-16, tolerance=0.0) == "identical"
    assert answer(1e-16, 1e-16, 1e-16, tolerance=0.01) == "identical"
    found = decide({"a": Evidence((0.0,) * 3, 0.1), "b": Evidence((0.0, 0.01, -0.01), 0.1)})
    assert (found.answer, found.metrics["a"].answer) == ("not_worse", "identical")


def test_a_clear_regression_is_worse_however_large() -> None:
    for size in (2.0, 20.0, 2e6):
        assert answer(size, size * 1.1, size * 0.9, size * 1.05, tolerance=1.0) == "worse"
        assert answer(-size, -size * 1.1, -size * 0.9, -size * 1.05, tolerance=1.0) == "not_worse"


def test_one_worse_gate_is_enough_and_all_must_be_decided() -> None:
    good, bad, open_ = (-0.1, 0.0, 0.1), (2.0, 2.1, 1.9, 2.0), (3.0, -1.0, 1.0)
    assert decide({"a": Evidence(bad, 1.0), "b": Evidence((0.1, -0.1, 0.0, 0.0), 1.0)}).answer == "worse"
    found = decide({"a": Evidence(good, 2.0), "b": Evidence(open_, 1.0)})
    assert found.answer == "undecided"
    assert found.metrics["a"].answer == "not_worse"


def test_gates_with_different_numbers_of_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="different numbers of pairs"):
        decide({"a": Evidence((1.0,), 1.0), "b": Evidence((1.0, 2.0), 1.0)})


def test_a_learnt_spread_that_no_longer_fits_is_told_and_left_out() -> None:
    wide = Evidence((3.0, -3.0, 2.0, -2.0), 2.0, Spread(0.5, 20))
    assert misfit(wide, 4) == pytest.approx(5.9, abs=0.1)
    assert look(wide, 4) == look(Evidence(wide.regressions, 2.0), 4) == "undecided"
    assert misfit(Evidence((0.5, -0.5, 0.2), 2.0, Spread(0.5, 20)), 3) is None


def test_what_did_not_fit_once_is_left_out_for_good() -> None:
    alike_later = Evidence((3.0, -3.0, *[0.1, -0.1] * 5), 2.0, Spread(1.0, 20))
    assert not measured(alike_later, 12).prior_pairs
    assert not measured(alike_later, 2).prior_pairs
    assert measured(alike_later, 1).prior_pairs


@given(
    st.lists(st.integers(-1000, 1000).map(lambda each: each / 100), min_size=2, max_size=MOST_PAIRS),
    TOLERANCES,
    SPREADS,
)
def test_the_answer_is_the_same_in_any_unit(
    regressions: list[float], tolerance: float, learnt: Spread | None
) -> None:
    def told(unit: float) -> tuple[object, ...]:
        known = None if learnt is None else Spread(learnt.sd * unit, learnt.pairs)
        evidence = Evidence([each * unit for each in regressions], tolerance * unit, known, size=10.0 * unit)
        least, pairs = detectable(evidence, len(regressions)), expected_pairs(evidence)
        return decide({"m": evidence}).answer, None if least is None else least / unit, pairs

    assert told(1.0) == told(2.0**600) == told(2.0**-600)


@pytest.mark.parametrize("regressions", [(1e306, 9e305, -1e306), (1e200, 0.1, -0.1), (1e-300, 0.0, 2e-300)])
@pytest.mark.parametrize("tolerance", [0.0, 1e-300, 1.0, 1e300])
@pytest.mark.parametrize("learnt", [None, Spread(1e300, 20), Spread(1e-300, 20), Spread(math.inf, 20)])
def test_numbers_far_apart_have_an_answer(
    regressions: tuple[float, ...], tolerance: float, learnt: Spread | None
) -> None:
    evidence = Evidence(regressions, tolerance, learnt, size=max(regressions))
    around, least = interval(evidence, 3), detectable(evidence, 3)
    assert decide({"m": evidence}).answer != "identical"
    assert around is not None
    assert all(map(math.isfinite, (*around, least or 0.0, misfit(evidence, 3) or 0.0)))
    assert (expected_pairs(evidence) or MOST_PAIRS) <= MOST_PAIRS


def test_one_metric_that_does_not_fit_speaks_for_all() -> None:
    learnt = Spread(0.1, 20)
    wide, by_chance = Evidence((0.9, -0.5), 1.0, learnt), Evidence((0.6, 0.61), 1.0, learnt)
    assert decide({"by chance": by_chance}).answer == "worse"
    assert decide({"wide": wide, "by chance": by_chance}).answer == "undecided"
    assert [each.learnt for each in fitting({"a": wide, "b": by_chance}, 2).values()] == [None, None]
    assert [each.learnt for each in fitting({"a": wide, "b": by_chance}, 1).values()] == [learnt, learnt]


def test_a_spread_that_was_learnt_far_too_wide_hides_no_regression() -> None:
    worse = (1.0, 1.1, 0.9, 1.05, 0.95, 1.0)
    wide = Evidence(worse, 1.0, Spread(10.0, 20))
    assert [look(wide, pairs) for pairs in range(1, 7)] == ["undecided"] * 4 + ["worse"] * 2
    assert misfit(wide, 4) is None
    assert misfit(wide, 5) == pytest.approx(0.008, abs=0.002)
    assert fitting({"m": wide}, 6)["m"].learnt is not None


@given(st.lists(REGRESSIONS, min_size=1, max_size=3), SPREADS)
def test_what_was_left_out_stays_out(gates: list[list[float]], learnt: Spread | None) -> None:
    most = min(map(len, gates))
    evidence = {str(number): Evidence(gate[:most], 1.0, learnt) for number, gate in enumerate(gates)}
    for pairs in range(1, most):
        before, after = fitting(evidence, pairs), fitting(evidence, pairs + 1)
        for name, each in before.items():
            assert measured(each, pairs).prior_pairs >= measured(after[name], pairs + 1).prior_pairs


@pytest.mark.parametrize(("learnt", "earliest"), [(False, 3), (True, 2)])
def test_bounds_grow_with_the_gates(learnt: bool, earliest: int) -> None:
    one, ten = bounds(1, learnt=learnt), bounds(10, learnt=learnt)
    assert one.earliest == ten.earliest == earliest
    assert one.worse < ten.worse
    assert one.t_worse < ten.t_worse


def test_the_interval_holds_the_truth_whenever_one_stops() -> None:
    draw = random.Random(3)
    held = 0
    for _ in range(400):
        regressions = tuple(draw.gauss(1.0, 0.5) for _ in range(MOST_PAIRS))
        around = [interval(Evidence(regressions, 1.0), pairs) for pairs in range(2, MOST_PAIRS + 1)]
        held += all(low <= 1.0 <= high for low, high in filter(None, around))
    assert held / 400 >= 0.93
    assert interval(Evidence((1.0,), 1.0), 1) is None
    assert interval(Evidence((1.0,), 1.0, Spread(0.5, 20)), 1) is not None


def test_what_could_have_been_seen_shrinks_with_the_pairs() -> None:
    few, many = Evidence((0.1, -0.1, 0.0), 0.01), Evidence((0.1, -0.1, 0.0) * 4, 0.01)
    seen = detectable(few, 3), detectable(many, 12)
    assert None not in seen
    assert seen[0] > seen[1] > 0.0
    assert detectable(few, 2) is None
    assert detectable(Evidence((0.0,) * 3, 0.0), 3) is None


def test_expected_pairs() -> None:
    assert expected_pairs(Evidence((1.0,), 2.0)) is None
    assert expected_pairs(Evidence((1.0,), 2.0, Spread(1.0, 20))) == 2
    assert expected_pairs(Evidence((1.0,), 1.0, Spread(1.0, 20))) == 5
    assert expected_pairs(Evidence((1.0,), 0.01, Spread(1.0, 20))) == MOST_PAIRS


def test_the_smallest_that_is_caught_is_caught() -> None:
    draw, tolerance = random.Random(5), smallest_caught(1.0, 5)
    assert smallest_caught(1.0, 10) == pytest.approx(tolerance / math.sqrt(2))
    caught = sum(
        answer(*(draw.gauss(tolerance, 1.0) for _ in range(5)), tolerance=tolerance, learnt=Spread(1.0, 20))
        == "worse"
        for _ in range(300)
    )
    assert caught / 300 >= 0.9


@pytest.mark.parametrize("gates", [1, 4])
@pytest.mark.parametrize("learnt", [None, Spread(1.0, 20)])
def test_error_rates_on_a_small_scale(gates: int, learnt: Spread | None) -> None:
    """The bench measures them properly; this fails when someone breaks the bounds."""
    draw = random.Random(11)
    rates = []
    for worse_by in (0.0, 2.0):
        found = [
            decide(
                {
                    str(gate): Evidence(
                        [draw.gauss(0.0 if gate else worse_by, 1.0) for _ in range(MOST_PAIRS)], 2.0, learnt
                    )
                    for gate in range(gates)
                }
            ).answer
            for _ in range(400)
        ]
        rates.append(found.count("worse") / 400)
    assert rates[0] <= 0.065
    assert rates[1] >= 0.92
