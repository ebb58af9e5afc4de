"""What is learnt of a comparison, under which key, and the file that carries it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster.services.database import Server
from harness.engine.noise import command
from harness.engine.noise import known as noise
from harness.errors import CauseCode, HarnessError
from harness.progress import Silent
from harness.project.configuration import MetricsSource, TestSettings
from harness.report.model import MetricResult, TestResult
from harness.verdict.learnt import Noise


class Said(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def settings(**changes: object) -> TestSettings:
    values: dict[str, object] = {
        "dag": "d",
        "conf": {"seed": 7, "rows": 10},
        "metrics": MetricsSource(task="e"),
    }
    return TestSettings.model_validate(values | changes)


def run(value: float, verdict: str = "passed") -> TestResult:
    return TestResult.model_validate(
        {"name": "t", "dag_id": "d", "verdict": verdict, "metrics": {"m": MetricResult(value=value)}}
    )


def test_the_seed_is_no_part_of_the_key_and_all_else_is() -> None:
    usual = noise.test_key(settings())
    assert noise.test_key(settings(conf={"seed": 8, "rows": 10})) == usual
    others = [
        settings(dag="e"),
        settings(conf={"seed": 7, "rows": 11}),
        settings(metrics=MetricsSource(task="f")),
        settings(conf={"seed": 7, "rows": 10, "draw": 1}, seed="draw"),
    ]
    assert len({usual, *map(noise.test_key, others)}) == 5


def test_a_comparison_is_learnt_up_to_its_shorter_side() -> None:
    (found,) = noise.learnt_of(
        {"t": settings()}, {"a": {"t": [run(1.0), run(2.0), run(3.0)]}, "b": {"t": [run(1.5), run(2.5)]}}
    )
    assert found.versions == ("a", "b")
    assert found.sides == (({"m": 1.0}, {"m": 2.0}), ({"m": 1.5}, {"m": 2.5}))


@pytest.mark.parametrize(
    "sides", [[[run(1.0)], [run(2.0)]], [[run(1.0), run(1.0, "failed")], [run(1.0), run(2.0)]]]
)
def test_one_pair_and_runs_that_failed_tell_nothing(sides: list[list[TestResult]]) -> None:
    versions = dict(zip("ab", ({"t": side} for side in sides), strict=True))
    assert noise.learnt_of({"t": settings()}, versions) == []


def test_a_file_carries_it(tmp_path: Path) -> None:
    found = noise.learnt_of({"t": settings()}, {"a": {"t": [run(1.0), run(2.0)]}})
    noise.write(tmp_path / "noise.json", found)
    assert list(noise.read(tmp_path / "noise.json")) == found


@pytest.mark.parametrize("content", [None, b"", b"{}", b'[{"test": "x"}]', b"\xff"])
def test_another_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "noise.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HarnessError, match="--import") as caught:
        noise.read(path)
    assert caught.value.cause is CauseCode.USAGE


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "noise.json"
    with path.open("wb") as file:
        file.truncate(noise.MOST_BYTES + 1)
    with pytest.raises(HarnessError, match=r"--import .*: more than 100 MB"):
        noise.read(path)


def test_a_comparison_relies_on_no_pairs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = [[run(float(number)) for number in range(6)], [run(number**1.5) for number in range(6)]]
    (found,) = noise.learnt_of({"t": settings()}, {"a": {"t": sides[0]}, "b": {"t": sides[1]}})
    monkeypatch.setattr(noise, "samples", lambda *_: [found])
    server = Server(Path("/tools/kubectl"), Path("/state/kubeconfig"))
    assert (
        noise.spreads(server, settings(), ("a", "b")) == noise.spreads(server, settings(), ("b", "a")) == {}
    )
    assert set(noise.spreads(server, settings(), ("a", "c"))) == {"m"}


def test_tests_without_a_seed_are_measured_only_where_there_is_no_other() -> None:
    said = Said()
    seeded, other = settings(), settings(conf={})
    assert command.measurable({"a": seeded, "b": other}, said) == {"a": seeded}
    assert said.notes == ["without a seed in conf, not measured: b"]
    assert command.measurable({"b": other}, said) == {"b": other}  # which is refused, with a hint


def test_metrics_are_told_in_the_gates_order() -> None:
    known = dict.fromkeys(("loss", "zeta", "accuracy", "alpha"), Noise(0.1, 9, None, 0))
    gates = {"accuracy": {"min": 0.9}, "absent": {"min": 0}, "loss": {"max": 1}}
    assert list(command.gated_first(known, settings(gates=gates))) == ["accuracy", "loss", "alpha", "zeta"]


def test_what_is_carried_says_how_much_of_it_is_of_these_tests() -> None:
    runs = {"a": {"t": [run(1.0), run(2.0)]}, "b": {"t": [run(1.0), run(2.5)]}}
    here = noise.learnt_of({"t": settings()}, runs)
    elsewhere = noise.learnt_of({"t": settings(dag="other")}, runs)
    assert command.told_of(here, {"churn": settings()}) == "4 runs"
    assert command.told_of([*here, *elsewhere], {"churn": settings()}) == (
        "8 runs, 4 of them of churn as configured here"
    )
    assert (
        command.told_of(elsewhere, {"churn": settings()})
        == "4 runs, none of them of churn as configured here"
    )
