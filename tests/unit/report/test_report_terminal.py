"""The result and errors as text: the verdict last, whole at 80 columns, harmless whatever the texts hold."""

from __future__ import annotations

import re

import pytest
import report_samples as samples

from harness.errors import CauseCode, HarnessError
from harness.report.format import clean
from harness.report.model import GateResult, Result
from harness.report.text.style import ASCII, Style
from harness.report.text.terminal import render, render_error
from harness.verdict.metrics import cause, judge


def test_the_last_line_has_the_metric_its_value_and_the_bound():
    last = render(samples.gate_failed()).rstrip("\n").split("\n")[-1]
    assert last == "✗ failed  feature/fewer-trees  breast_cancer: accuracy 0.9123 is below its minimum 0.93"


def test_what_did_not_pass_comes_after_what_did_and_after_the_hint():
    text = render(Result.of((*samples.gate_failed().versions[::-1], *samples.load_failed().versions)))
    tail = text.rstrip("\n").split("\n")
    assert [line.split("  ")[0] for line in tail[-3:]] == ["✓ passed", "! error", "✗ failed"]
    assert tail[-4] == ""
    assert tail[-6:-4] == ["hint: harness logs", "hint: harness gc"]
    assert tail[-7] == ""


def test_every_failed_gate_is_told():
    judged = judge(
        {"a": 0.1, "b": 9.0}, {"a": GateResult(min=0.5), "b": GateResult(max=1), "c": GateResult(min=0)}
    )
    test = samples.run_of({}).model_copy(
        update={"metrics": judged, "cause": cause(judged), "verdict": "failed"}
    )
    text = render(Result.of((samples.version("HEAD", "0" * 40, test),)))
    assert "a 0.1 is below its minimum 0.5 (and 2 more gates failed)" in text
    assert "b 9 is above its maximum 1" in text
    assert "c was not reported" in text


def test_shows_what_ran_and_where_the_time_went():
    text = render(samples.gate_failed())
    for part in (
        "feature/fewer-trees  0f9e8d7c6b5a-dirty-9f8e7d6c",
        "harness/breast-cancer:0f9e8d7c6b5a  sha256:1f2e3d4c1f2e",
        "namespace  breast-cancer-0f9e8d7c  kept",
        "train[1]  success (try 2)",
        "where the time went (47 s)",
        "10.2 kB sent",
    ):
        assert part in text
    assert re.search(r"accuracy +0\.9561 +0\.9123 +-0\.04379 +>= 0\.93, drop <= 0\.01 +failed", text)
    assert re.search(r"prepare +success +breast-cancer-prepare-k3x9w2ab +2\.4 s +3\.1 s", text)


@pytest.mark.parametrize(("width", "pod"), [(74, ""), (80, ""), (100, r"breast-cancer-t\S* +")])
def test_times_and_memory_lie_beside_those_of_the_base(width, pod):
    head = render(samples.memory_compared(), Style(width=width)).partition("\nHEAD ")[2]
    assert re.search(r"queued +ran +in base +memory +in base$", head, re.MULTILINE)
    assert re.search(
        rf"train\[0\] +success +{pod}2\.2 s +12 min 5 s +10 min 8 s +1\.07 GB +536 MB$", head, re.MULTILINE
    )
    assert re.search(r"evaluate .* 12 min 5 s +10 min 8 s +- +-$", head, re.MULTILINE)


def test_memory_is_a_column_where_it_is_known():
    base = render(samples.memory_compared(), Style(width=80)).partition("\nHEAD ")[0]
    assert re.search(r"task +state +pod +queued +ran +memory$", base, re.MULTILINE)
    assert re.search(
        r"prepare +success +breast-cancer-pre\S+ +2\.4 s +12 min 5 s +214 MB$", base, re.MULTILINE
    )
    assert "memory" not in render(samples.passed())


def test_evidence_is_indented_under_its_cause():
    lines = render(samples.out_of_memory()).split("\n")
    at = next(index for index, line in enumerate(lines) if line.startswith("cause:"))
    assert (
        lines[at]
        == "cause: task train[2] was killed at its memory limit of 512 MiB (task_out_of_memory in task train)"
    )
    assert lines[at + 1 : at + 5] == [
        "  last state: OOMKilled, exit code 137",
        "  Loading 4.1 GB into a DataFrame …",
        "  Killed",
        "",
    ]


def test_of_several_tests_a_cause_says_whose_it_is():
    result = samples.out_of_memory()
    (version,) = result.versions
    again = version.tests[0].model_copy(update={"name": "churn"})
    two = version.model_copy(update={"tests": (*version.tests, again)})
    causes = re.findall(r"^cause: .*", render(result.model_copy(update={"versions": (two,)})), re.MULTILINE)
    assert [cause.split(": ")[1] for cause in causes] == [version.tests[0].name, "churn"]


@pytest.mark.parametrize("sample", samples.ALL)
@pytest.mark.parametrize("width", [74, 80, 120])
def test_tables_fit_the_width(sample, width):
    for line in render(sample(), Style(width=width)).split("\n"):
        if line.startswith("  ") and not line.startswith("   ") and "\u2588" not in line:
            assert len(line) <= width, line


@pytest.mark.parametrize("sample", samples.ALL)
def test_colour_adds_only_colour(sample):
    plain, coloured = render(sample(), Style()), render(sample(), Style(colour=True))
    assert clean(coloured) == plain
    assert "\x1b" not in plain


@pytest.mark.parametrize("sample", [samples.passed, samples.gate_failed, samples.load_failed])
def test_ascii_is_enough(sample):
    assert render(sample(), Style(signs=ASCII)).isascii()
    assert "FAIL failed  feature" in render(samples.gate_failed(), Style(signs=ASCII))


def test_hostile_text_stays_on_its_line():
    text = render(samples.hostile())
    assert "\x1b" not in text
    assert "\x00" not in text
    assert text.rstrip("\n").split("\n")[-1].startswith("✗ failed  a|b`c`")


def test_many_rows_are_counted_instead():
    tasks = tuple(samples.tasks()[1].model_copy(update={"map_index": index}) for index in range(500))
    judged = judge({f"m{i}": i for i in range(500)}, {"m499": GateResult(min=0)})
    test = samples.run_of({}).model_copy(update={"tasks": tasks, "metrics": judged})
    text = render(Result.of((samples.version("HEAD", "0" * 40, test),)))
    assert "and 440 more tasks" in text
    assert "and 460 more metrics without a gate" in text
    assert "m499" in text


class TestError:
    def test_what_why_evidence_hint(self):
        error = HarnessError(
            CauseCode.DEPLOY_FAILED,
            "the api-server did not start: exit code 1",
            evidence=["first\nsecond", "\x1b[31mred\x1b[0m"],
            hint="harness logs",
        )
        assert render_error(error) == (
            "error: the api-server did not start: exit code 1\n"
            "  first\n  second\n  red\n"
            "\nhint: harness logs\n"
        )

    def test_nothing_to_add(self):
        assert render_error(HarnessError(CauseCode.USAGE, "no such ref")) == "error: no such ref\n"
        long = render_error(HarnessError(CauseCode.BUILD_FAILED, "no", evidence=map(str, range(99))))
        assert len(long.splitlines()) == 21
