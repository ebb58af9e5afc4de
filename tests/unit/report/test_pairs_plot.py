"""The page of a comparison: each gated metric's pairs, drawn once and told once, with the answer where it was known."""

from __future__ import annotations

import html
import re

import pytest

from harness.project.configuration import TestSettings
from harness.report import format, pairs
from harness.report.files import junit
from harness.report.html import page
from harness.report.model import MetricResult, Result, TestResult, VersionResult
from harness.verdict import comparison

SETTINGS = TestSettings.model_validate(
    {
        "dag": "d",
        "conf": {"seed": 7},
        "metrics": {"task": "e"},
        "gates": {"accuracy": {"min": 0.9, "better": "higher", "max_regression": 0.02}},
    }
)
BASE = (0.95, 0.951, 0.949)


def judged(*head: float) -> TestResult:
    def runs(values: tuple[float, ...]) -> list[TestResult]:
        return [
            TestResult(
                name="t", dag_id="d", verdict="passed", metrics={"accuracy": MetricResult(value=value)}
            )
            for value in values
        ]

    return comparison.judged(SETTINGS, runs(head), runs(BASE[: len(head)]), sequential=True)


def rendered(*head: float) -> str:
    test = judged(*head)
    return page.render(Result.of((VersionResult(ref="topic", commit="0" * 40, role="head", tests=(test,)),)))


def test_the_answer_stands_at_the_line_where_it_was_known() -> None:
    text = rendered(0.93, 0.9305, 0.9295)
    assert re.search(r'<line x1="410" x2="410"[^>]*class="bound"', text)
    assert re.search(r'class="tick">worse</text>', text)
    assert "pair 1: -0.02" in text
    assert "what" not in re.findall(r'class="tick">([^<]*caught|what noise allows)<', text)[0]


def test_a_sentence_stands_above_its_plot_and_nowhere_else() -> None:
    text = rendered(0.9501, 0.9512, 0.9489)
    sentence = "accuracy: not worse in 3 pairs: a drop of 0.02 would have been seen in 95 of 100 cases"
    assert text.count(f"<p>{sentence}</p>") == 1
    assert len(re.findall(rf"<p[^>]*>{sentence}", text)) == 1


def test_what_is_undecided_has_no_such_line() -> None:
    text = rendered(0.93)
    assert "undecided after 1 pair" in text
    assert not re.search(r'<line x1="410" x2="410"', text)


def test_what_is_undecided_does_not_look_kept_in_the_line_of_the_test() -> None:
    found = judged(0.93)
    assert format.summary(found).endswith("drop <= 0.02: undecided)")
    assert "undecided" not in format.summary(judged(0.9501, 0.9512, 0.9489))


def test_a_gate_that_fails_by_its_bound_tells_of_the_pairs_too() -> None:
    told = html.unescape(rendered(0.88, 0.883, 0.877))
    assert "accuracy 0.88 is below its minimum 0.9, and worse than the base's 0.95 in 3 pairs" in told


def test_runs_that_got_in_each_others_way_are_told_wherever_there_is_a_base() -> None:
    metric = MetricResult(value=0.9, base=0.91)
    test = TestResult(name="t", dag_id="d", verdict="passed", metrics={"accuracy": metric})
    assert pairs.noise(test)[0].endswith("a seed in the test's conf makes it several")
    collided = test.model_copy(update={"notes": ("runs a and b both wrote dags/data/model.json",)})
    assert pairs.noise(collided) == (
        "one run of each: that can't tell a change from chance",
        "runs a and b both wrote dags/data/model.json",
    )


def test_junit_has_the_sentence_of_each_gate_whatever_its_answer() -> None:
    for head in (0.93, 0.9305, 0.9295), (0.9501, 0.9512, 0.9489), (0.93,):
        test = judged(*head)
        text = junit.render(
            Result.of((VersionResult(ref="topic", commit="0" * 40, role="head", tests=(test,)),))
        )
        assert f"\n{html.escape(test.metrics['accuracy'].message, quote=False)}</" in text


def test_texts_of_a_small_tolerance_are_not_written_over_each_other() -> None:
    text = rendered(0.5, 0.7, 0.9)
    heights = [
        float(re.search(rf'y="([0-9.]+)"[^>]*>{told}<', text)[1]) for told in ("no change", "to be caught")
    ]
    assert heights[1] - heights[0] == pytest.approx(13.0)


def test_a_base_says_of_how_many_runs_its_numbers_are_means() -> None:
    several = comparison.judged(
        SETTINGS,
        [
            TestResult(
                name="t", dag_id="d", verdict="passed", metrics={"accuracy": MetricResult(value=value)}
            )
            for value in BASE
        ],
    )
    assert pairs.noise(several) == ("means of 3 runs",)
    assert pairs.noise(several.model_copy(update={"repetitions": ()})) == ()
