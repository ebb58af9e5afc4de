"""What `harness noise` prints: the table, what its words mean, and what is still lacking."""

from __future__ import annotations

from harness.engine.noise.command import TestNoise
from harness.project.configuration import TestSettings
from harness.report.format import number
from harness.report.text import noise as renderer
from harness.verdict.learnt import Noise


def rendered(**metrics: Noise) -> str:
    settings = TestSettings.model_validate(
        {
            "dag": "d",
            "conf": {"seed": 7},
            "metrics": {"task": "e"},
            "gates": {
                "accuracy": {"better": "higher", "max_regression": 0.043},
                "loss": {"better": "lower", "max_relative_regression": 0.05},
            },
        }
    )
    return renderer.render([TestNoise("churn", settings, metrics)])


def row(text: str, metric: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"{metric} ")]
    return line.split()[1:]


def test_a_row_tells_the_noise_what_is_caught_and_both_regressions() -> None:
    known = Noise(0.0138, 30, 0.02, 12)
    text = rendered(accuracy=known, loss=Noise(0.03, 30, None, 0))
    caught = [number(known.caught(gates=2)[pairs]) for pairs in (3, 5, 10)]
    assert row(text, "accuracy") == ["0.0138", "30", "0.02", "12", *caught, "0.043", "0.04"]
    # Of runs alone a pair is taken to vary √2 times as much.
    assert row(text, "loss")[:4] == ["0.03", "30", "0.04243", "-"]
    assert "5 %" in text
    assert "2 gates judged together" in text
    assert "may be off" not in text


def test_groups_stand_above_their_last_columns() -> None:
    lines = rendered(accuracy=Noise(0.0138, 30, 0.02, 12)).splitlines()
    (groups,) = [index for index, line in enumerate(lines) if "one run" in line]
    assert lines[groups].index("one run") + len("one run") == lines[groups + 1].index("RUNS") + len("RUNS")
    assert len(lines[groups]) == len(lines[groups + 1])


def test_few_runs_are_said_to_tell_little() -> None:
    text = rendered(accuracy=Noise(0.0138, 5, None, 0))
    assert "5 runs tell may be off by 35 %" in text
    assert "harness noise churn --measure 20" in text


def test_a_metric_that_never_varies_is_not_one_of_which_too_little_is_known() -> None:
    text = rendered(accuracy=Noise(0.0, 30, None, 0), loss=Noise(0.03, 3, None, 0))
    assert "The same in every run: accuracy" in text
    assert "Too little is known of loss: harness noise churn --measure 10" in text


def test_nothing_known_says_how_to_measure() -> None:
    assert rendered() == "churn: nothing is known yet; measure it: harness noise churn --measure 10\n"
