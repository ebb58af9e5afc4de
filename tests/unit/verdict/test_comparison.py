"""Runs into verdicts: bounds, regressions, noise, and a base that has nothing to compare with."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cluster.services.kept_results import KeptResult
from harness.engine.testing import measured
from harness.engine.testing.plan import Plan
from harness.project.configuration import Gate, MetricsSource, TestSettings
from harness.report import format
from harness.report.model import Cause, MetricResult, TaskResult, TestResult, VersionResult
from harness.report.pairs import noise
from harness.verdict import comparison
from harness.verdict.sequential import Spread

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def run(
    metrics: dict[str, float],
    *,
    duration_s: float = 1.0,
    peak: int | None = None,
    cause: Cause | None = None,
) -> TestResult:
    task = TaskResult(task_id="train", state="success", duration_s=duration_s, peak_memory_bytes=peak)
    return TestResult(
        name="t",
        dag_id="d",
        run_id="r",
        state="failed" if cause else "success",
        verdict=cause.verdict if cause else "passed",
        metrics={name: MetricResult(value=value) for name, value in metrics.items()},
        tasks=(task,),
        phases={"run_s": 2.0},
        cause=cause,
    )


def settings(gate: Gate | None = None, **changes: object) -> TestSettings:
    gates = {"accuracy": gate} if gate else {}
    values = {"dag": "d", "conf": {"seed": 7}, "metrics": MetricsSource(task="e"), "gates": gates}
    return TestSettings.model_validate(values | changes)


ABSOLUTE = Gate(better="higher", max_regression=0.01)
RELATIVE = Gate(better="lower", max_relative_regression=0.1)


class TestOneRunOfEach:
    @pytest.mark.parametrize(
        ("head", "verdict"), [(0.95, "passed"), (0.94, "passed"), (0.9399, "failed"), (0.99, "passed")]
    )
    def test_absolute(self, head: float, verdict: str) -> None:
        found = comparison.judged(settings(ABSOLUTE), [run({"accuracy": head})], [run({"accuracy": 0.95})])
        assert (found.verdict, found.metrics["accuracy"].verdict) == (verdict, verdict)
        assert found.metrics["accuracy"].base == 0.95
        if verdict == "failed":
            assert found.cause is not None
            assert found.cause.code == "gate_failed"
            assert "accuracy" in found.cause.message
            assert "max_regression 0.01" in found.cause.message

    @pytest.mark.parametrize(
        ("head", "verdict"), [(0.5, "passed"), (0.55, "passed"), (0.56, "failed"), (0.1, "passed")]
    )
    def test_relative_where_lower_is_better(self, head: float, verdict: str) -> None:
        found = comparison.judged(settings(RELATIVE), [run({"accuracy": head})], [run({"accuracy": 0.5})])
        assert found.verdict == verdict
        if verdict == "failed":
            assert found.cause is not None
            assert "max_relative_regression 0.1" in found.cause.message
            assert "above the base's 0.5" in found.cause.message

    def test_both_must_hold(self) -> None:
        gate = Gate(better="higher", max_regression=0.5, max_relative_regression=0.01)
        found = comparison.judged(settings(gate), [run({"accuracy": 0.9})], [run({"accuracy": 0.95})])
        assert found.verdict == "failed"

    def test_without_base_a_regression_is_not_judged(self) -> None:
        found = comparison.judged(settings(ABSOLUTE), [run({"accuracy": 0.1})])
        assert (found.verdict, found.metrics["accuracy"].verdict) == ("passed", None)

    def test_a_base_that_failed_has_nothing_to_compare_with(self) -> None:
        broken = run({}, cause=Cause(code="task_failed", message="boom"))
        found = comparison.judged(settings(Gate(min=0.5)), [run({"accuracy": 0.9})], [broken])
        assert (found.verdict, found.metrics["accuracy"].base) == ("passed", None)
        assert found.tasks[0].base_duration_s is None

    def test_a_head_that_failed_is_told_as_it_is(self) -> None:
        broken = run({}, cause=Cause(code="task_failed", message="boom"))
        assert comparison.judged(settings(ABSOLUTE), [broken], [run({"accuracy": 0.9})]) == broken

    def test_what_a_failed_head_handed_over_stands_beside_its_gate_and_is_not_compared(self) -> None:
        broken = run({"accuracy": 0.9, "loss": 0.1}, cause=Cause(code="task_failed", message="boom"))
        found = comparison.judged(settings(Gate(min=0.95)), [broken], [run({"accuracy": 0.99})])
        assert (found.cause, found.verdict) == (broken.cause, "failed")
        told = found.metrics["accuracy"]
        assert (told.value, told.verdict, told.base) == (0.9, "failed", None)
        assert found.metrics["loss"].value == 0.1

    def test_durations_lie_beside_those_of_the_base(self) -> None:
        found = comparison.judged(
            settings(), [run({"accuracy": 0.9}, duration_s=3.0)], [run({"accuracy": 0.9}, duration_s=2.0)]
        )
        assert (found.tasks[0].duration_s, found.tasks[0].base_duration_s) == (3.0, 2.0)

    @pytest.mark.parametrize(("head", "base"), [(300, 200), (300, None), (None, 200)])
    def test_so_does_memory(self, head: int | None, base: int | None) -> None:
        found = comparison.judged(
            settings(), [run({"accuracy": 0.9}, peak=head)], [run({"accuracy": 0.9}, peak=base)]
        )
        assert (found.tasks[0].peak_memory_bytes, found.tasks[0].base_peak_memory_bytes) == (head, base)

    def test_another_gate_of_the_base_is_shown(self) -> None:
        found = comparison.judged(
            settings(Gate(min=0.9)),
            [run({"accuracy": 0.95})],
            [run({"accuracy": 0.95})],
            {"accuracy": Gate(min=0.5)},
        )
        assert found.metrics["accuracy"].base_gate is not None
        assert found.metrics["accuracy"].base_gate.min == 0.5
        assert "(base: >= 0.5)" in format.metric_gate(found.metrics["accuracy"])

    def test_one_run_tells_nothing_of_noise(self) -> None:
        found = comparison.judged(settings(ABSOLUTE), [run({"accuracy": 0.95})], [run({"accuracy": 0.95})])
        assert found.metrics["accuracy"].interval is None
        assert "can't tell a change from chance" in noise(found)[0]


class TestSeveralRunsOfEach:
    BASE = (0.90, 0.94, 0.92, 0.96)

    def judged(self, *changes: float, gate: Gate = ABSOLUTE) -> TestResult:
        return comparison.judged(
            settings(gate),
            [run({"accuracy": base + change}) for base, change in zip(self.BASE, changes, strict=True)],
            [run({"accuracy": base}) for base in self.BASE],
        )

    def test_a_model_that_is_worse_with_every_seed(self) -> None:
        found = self.judged(-0.05, -0.04, -0.05, -0.06)
        metric = found.metrics["accuracy"]
        assert found.verdict == "failed"
        assert metric.interval is not None
        assert metric.interval[1] < 0
        assert metric.within_noise is False
        assert (metric.value, metric.base) == (pytest.approx(0.88), pytest.approx(0.93))
        assert (metric.answer, metric.pairs) == ("worse", 4)
        assert metric.differences == tuple(map(pytest.approx, (-0.05, -0.04, -0.05, -0.06)))

    def test_what_noise_hides_is_undecided_and_said(self) -> None:
        found = self.judged(-0.20, 0.14, -0.10, 0.10)
        metric = found.metrics["accuracy"]
        assert metric.value is not None
        assert metric.base is not None
        assert metric.base - metric.value > 0.01
        assert (found.verdict, metric.verdict, metric.within_noise) == ("passed", "passed", True)
        assert metric.answer == "undecided"
        assert re.search(
            r"undecided after 4 pairs: a drop of 0\.\d+ or more would have been seen", metric.message
        )

    @pytest.mark.parametrize(
        ("changes", "earlier", "told"),
        [
            ((-0.05, -0.02, -0.05), 0.01, "these pairs spread 1.7 times as wide as the 20 earlier ones"),
            ((-0.06, 0.02, -0.03), 0.01, "whose standard deviation was 0.01, which is left out)"),
            ((-0.02, -0.01, -0.01, -0.02, 0.0), 0.05, "spread 0.2 times as wide as the 20 earlier ones"),
            (
                (-0.02, -0.02, -0.02, -0.02, -0.02),
                0.1,
                "(these pairs spread far less than the 20 earlier ones,",
            ),
            ((-0.02, -0.01, -0.015), 0.01, ""),
        ],
    )
    def test_earlier_pairs_that_do_not_fit_are_told(
        self, changes: tuple[float, ...], earlier: float, told: str
    ) -> None:
        found = comparison.judged(
            settings(ABSOLUTE),
            [run({"accuracy": 0.9 + change}) for change in changes],
            [run({"accuracy": 0.9}) for _ in changes],
            learnt={"accuracy": Spread(earlier, 20)},
        )
        assert told in noise(found)[-1]
        assert ("earlier" in noise(found)[-1]) is bool(told)

    def test_what_one_metric_shows_not_to_hold_is_left_out_of_all(self) -> None:
        gates = {"accuracy": ABSOLUTE, "loss": Gate(better="lower", max_regression=0.1)}
        test = settings(ABSOLUTE).model_copy(update={"gates": gates})
        found = comparison.judged(
            test,
            [run({"accuracy": 0.9, "loss": loss}) for loss in (0.2, 0.9)],
            [run({"accuracy": 0.9001, "loss": 0.3}) for _ in range(2)],
            learnt={"accuracy": Spread(0.01, 20), "loss": Spread(0.01, 20)},
        )
        assert found.metrics["accuracy"].learnt is not None
        assert found.metrics["accuracy"].learnt.left_out
        assert found.metrics["accuracy"].answer == "undecided"
        assert any(
            line.endswith("(what earlier pairs told of the noise is left out)") for line in noise(found)
        )

    @pytest.mark.parametrize("diverged", [1e160, 1e300, 1.7e308])
    def test_a_model_that_diverged_is_judged_as_others(self, diverged: float) -> None:
        for values in ([diverged, -diverged, diverged], [-diverged, 0.9 * -diverged, 0.8 * -diverged]):
            found = comparison.judged(
                settings(ABSOLUTE),
                [run({"accuracy": value}) for value in values],
                [run({"accuracy": 0.9}) for _ in values],
            )
            certain = (
                values[0] < 0 and diverged < 1e308
            )  # differences that are too large for a number are alike
            assert found.metrics["accuracy"].answer == ("worse" if certain else "undecided")
            assert type(found).model_validate_json(found.model_dump_json()) == found

    def test_undecided_fails_where_that_is_asked_for(self) -> None:
        runs = [
            [run({"accuracy": 0.9 + each}) for each in side] for side in ((0.2, -0.1, 0.0), (0.0, 0.1, -0.1))
        ]
        asked = settings(ABSOLUTE, undecided="fail")
        assert comparison.judged(asked, *runs).verdict == "failed"
        assert comparison.judged(settings(ABSOLUTE), *runs).verdict == "passed"

    def test_pairs_after_the_answer_do_not_count(self) -> None:
        base = [run({"accuracy": each}) for each in (0.9, 0.91, 0.92, 0.9, 0.9)]
        head = [run({"accuracy": each}) for each in (0.8, 0.82, 0.81, 0.8, 0.5)]
        found = comparison.judged(settings(ABSOLUTE), head, base, sequential=True)
        assert len(found.repetitions) == found.metrics["accuracy"].pairs == 3
        assert found.metrics["accuracy"].value == pytest.approx(0.81)

    def test_a_share_of_the_base_moves_with_its_mean_and_an_answer_stays_one(self) -> None:
        gate = RELATIVE.model_copy(update={"max_regression": 5.0})
        base = [run({"accuracy": each}) for each in (2.0, 0.7, 1.6, 1.9, 1.9)]
        head = [run({"accuracy": each}) for each in (2.02, 0.83, 1.57, 1.95, 1.95)]
        looks = [comparison.compared(settings(gate), base[:count], head[:count]) for count in (3, 4)]
        assert [(look.answer, look.pairs) for look in looks] == [("undecided", 3), ("not_worse", 3)]
        found = comparison.judged(settings(gate), head, base, sequential=True)
        assert (found.metrics["accuracy"].answer, len(found.repetitions)) == ("not_worse", 4)
        assert comparison.judged(settings(gate), head[:4], base[:4], sequential=True) == found

    def test_the_smaller_of_two_regressions_is_named(self) -> None:
        base, head = (
            [run({"accuracy": each}) for each in side] for side in ((0.1, 0.11, 0.1), (0.9, 0.8, 0.9))
        )
        for fixed, told in ((5.0, "(max_relative_regression 0.1)"), (0.001, "(max_regression 0.001)")):
            gate = RELATIVE.model_copy(update={"max_regression": fixed})
            assert comparison.judged(settings(gate), head, base).metrics["accuracy"].message.endswith(told)

    def test_a_share_of_nothing_is_what_the_noise_allows(self) -> None:
        base, head = (
            [run({"accuracy": each}) for each in side] for side in ((0.0, 0.0, 0.0), (-0.2, 0.1, -0.3))
        )
        message = comparison.judged(settings(RELATIVE), head, base).metrics["accuracy"].message
        assert message.endswith("in 95 of 100 cases, which is what the noise allows")

    def test_of_a_number_of_pairs_that_was_asked_for_all_are_judged_together(self) -> None:
        base = [run({"accuracy": 0.9}) for _ in range(8)]
        head = [run({"accuracy": 0.9 + each}) for each in (0.001, -0.001, 0.0, *[-0.03, -0.031] * 2, -0.03)]
        assert comparison.compared(settings(ABSOLUTE), base, head).answer == "not_worse"
        found = comparison.judged(settings(ABSOLUTE), head, base)
        assert (found.metrics["accuracy"].answer, found.metrics["accuracy"].pairs) == ("worse", 8)

    def test_one_pair_is_no_answer_where_more_may_come(self) -> None:
        one = [run({"accuracy": 0.5})], [run({"accuracy": 0.9})]
        found = comparison.judged(settings(ABSOLUTE), *one, sequential=True)
        assert (found.verdict, found.metrics["accuracy"].answer) == ("passed", "undecided")
        assert "too few" in found.metrics["accuracy"].message
        assert comparison.judged(settings(ABSOLUTE), *one).verdict == "failed"

    def test_runs_that_are_the_same_end_it_after_one_pair(self) -> None:
        same = [run({"accuracy": 0.9, "loss": 0.123})]
        found = comparison.judged(settings(ABSOLUTE), same, same, sequential=True)
        assert (found.metrics["accuracy"].answer, found.metrics["accuracy"].pairs) == ("identical", 1)

    def test_one_share_of_few_rows_may_be_the_same_by_chance(self) -> None:
        same = [run({"accuracy": 110 / 113})]
        assert not comparison.compared(settings(ABSOLUTE), same, same).is_decided
        assert comparison.compared(settings(ABSOLUTE), same * 3, same * 3).answer == "identical"
        for other, enough in ((113.0, False), (1.0, False), (0.25, True)):
            two = [run({"accuracy": 110 / 113, "other": other})]
            assert comparison.compared(settings(ABSOLUTE), two, two).is_decided is enough
        assert comparison.compared(
            settings(ABSOLUTE), [run({"accuracy": 0.1234567891})] * 1, [run({"accuracy": 0.1234567891})]
        ).is_decided

    def test_noise_excuses_no_minimum(self) -> None:
        assert self.judged(-0.2, 0.14, -0.1, 0.1, gate=Gate(min=0.93)).verdict == "failed"

    def test_each_run_is_kept_with_its_seed(self) -> None:
        found = self.judged(0.01, 0.01, 0.01, 0.01)
        assert [each.seed for each in found.repetitions] == [7, 8, 9, 10]
        assert found.repetitions[1].metrics == {"accuracy": pytest.approx(0.95)}
        assert found.phases == {"run_s": 8.0}

    @given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
    def test_the_same_model_is_never_worse_than_itself(self, values: list[float]) -> None:
        runs = [run({"accuracy": value}) for value in values]
        found = comparison.judged(settings(Gate(better="higher", max_regression=0.0)), runs, runs)
        assert found.verdict == "passed"
        assert found.metrics["accuracy"].within_noise


class TestMeasuredBefore:
    DIGEST = "sha256:1"

    def plan(self, test: TestSettings, runs: int = 1) -> Plan:
        dates = tuple(DAY.replace(second=index) for index in range(runs))
        return Plan(None, None, None, VersionResult(ref="r", commit="c"), {"t": test}, {"t": dates})  # type: ignore[arg-type]

    def key(self, test: TestSettings, digest: str = DIGEST, date: datetime = DAY) -> str:
        return measured.key_of(test, digest, date)

    def test_gates_are_no_part_of_what_a_run_depends_on(self) -> None:
        (with_gate,) = measured.wanted(self.plan(settings(ABSOLUTE)), self.DIGEST)
        (without,) = measured.wanted(self.plan(settings()), self.DIGEST)
        assert with_gate.key == without.key
        assert with_gate.settings.gates == {}

    def test_all_else_is(self) -> None:
        usual = self.key(settings())
        others = [
            self.key(settings(dag="e")),
            self.key(settings(conf={"seed": 8})),
            self.key(settings(metrics=MetricsSource(task="f"))),
            self.key(settings(metrics=None)),
            self.key(settings(skip=("deploy",))),
            measured.key_of(settings(), self.DIGEST, DAY, "these secrets"),
            measured.key_of(settings(), self.DIGEST, DAY, "other secrets"),
            self.key(settings(), digest="sha256:2"),
            self.key(settings(), date=DAY.replace(day=2)),
        ]
        assert len({usual, *others}) == 10

    def test_several_runs_begin_with_the_one_that_is_asked_for_alone(self) -> None:
        alone = measured.wanted(self.plan(settings()), self.DIGEST)
        several = measured.wanted(self.plan(settings(), 3), self.DIGEST)
        assert several[0].key == alone[0].key
        assert [each.settings.conf["seed"] for each in several] == [7, 8, 9]
        assert len({each.key for each in several}) == 3

    def test_one_that_was_kept_before_memory_was_measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (each,) = measured.wanted(self.plan(settings()), self.DIGEST)
        document = json.loads(run({"accuracy": 0.9}).model_dump_json())
        for task in document["tasks"]:
            del task["peak_memory_bytes"], task["base_peak_memory_bytes"]
        there = {each.key: KeptResult(json.dumps(document), "2026-03-01T00:00:00+00:00")}
        monkeypatch.setattr(measured, "Results", lambda _: SimpleNamespace(find=lambda _: there))
        found = measured.kept(None, [each])[each.key]  # type: ignore[arg-type]
        assert found.kept_at == "2026-03-01T00:00:00+00:00"
        assert (found.tasks[0].duration_s, found.tasks[0].peak_memory_bytes) == (1.0, None)
        assert comparison.judged(settings(), [run({"accuracy": 0.9}, peak=3)], [found]).verdict == "passed"

    def test_in_the_order_of_their_seeds(self) -> None:
        several = measured.wanted(self.plan(settings(), 3), self.DIGEST)
        results = {each.key: run({"accuracy": index}) for index, each in enumerate(several)}
        found = measured.by_test(several, dict(reversed(results.items())))
        assert [each.metrics["accuracy"].value for each in found["t"]] == [0, 1, 2]
        assert measured.by_test(several, {}) == {}


@pytest.mark.parametrize("seed", [None, 1.5, "7", True])
def test_no_seed_to_begin_with(seed: object) -> None:
    assert comparison.seeds(settings(conf={} if seed is None else {"seed": seed}), 3) is None


def test_what_was_noted_of_the_run_stays() -> None:
    noted = run({"accuracy": 0.9}).model_copy(update={"notes": ("kept on one node",)})
    assert comparison.judged(settings(), [noted]).notes == ("kept on one node",)
    told = comparison.judged(settings(), [noted], collision="both wrote it").notes
    assert told == ("kept on one node", "both wrote it")
