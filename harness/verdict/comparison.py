"""Runs into verdicts: several runs of a test as one, and a version beside its base. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.project.configuration import Gate, TestSettings
from harness.report.model import Repetition, TaskResult, TestResult
from harness.verdict import answers, metrics
from harness.verdict.sequential import Spread, mean

Runs = Mapping[str, Sequence[TestResult]]  # of each test, one for each seed, with metrics that nobody judged


def seeds(settings: TestSettings, repeat: int) -> tuple[int, ...] | None:
    """The seeds of several runs: the test's own, and those that follow it. None when it has none."""
    first = settings.conf.get(settings.seed)
    if not isinstance(first, int) or isinstance(first, bool):
        return None
    return tuple(range(first, first + repeat))


def is_compared(settings: TestSettings) -> bool:
    """Whether a gate of the test asks for a comparison with the base."""
    return any(
        gate.max_regression is not None or gate.max_relative_regression is not None
        for gate in settings.gates.values()
    )


def compared(
    settings: TestSettings,
    base: Sequence[TestResult],
    head: Sequence[TestResult],
    learnt: Mapping[str, Spread] | None = None,
    *,
    at_once: bool = False,
) -> answers.Compared:
    """What the pairs of runs so far answer, or all `at_once`; all of them must have passed."""
    return answers.compare(_numbers(base), _numbers(head), settings.gates, learnt, at_once=at_once)


def first_answer(
    settings: TestSettings,
    base: Sequence[TestResult],
    head: Sequence[TestResult],
    learnt: Mapping[str, Spread] | None = None,
) -> tuple[int, answers.Compared]:
    """How many of the pairs are enough, and what these answer by themselves; all of them where they are undecided.

    Often that is as many as were looked at when the answer was known. A tolerance that is a share of the base's mean
    moves with each pair: then fewer pairs by themselves may be undecided, and the next ones count too.
    """
    found = compared(settings, base, head, learnt)
    for count in range(found.pairs, len(head)):
        fewer = compared(settings, base[:count], head[:count], learnt)
        if fewer.is_decided:
            return count, fewer
    return len(head), found


def judged(
    settings: TestSettings,
    runs: Sequence[TestResult],
    base: Sequence[TestResult] = (),
    base_gates: Mapping[str, Gate] | None = None,
    *,
    learnt: Mapping[str, Spread] | None = None,
    sequential: bool = False,
    collision: str = "",
) -> TestResult:
    """One result of a test's runs, with the verdicts of its gates, against the base's runs where there are any.

    The first run that did not pass is the result, with the numbers that it handed over all the same. Otherwise metrics
    are means over the runs, and the pairs of runs answer whether they became worse: all of them together, or with
    `sequential` the first ones that have an answer, which one pair has not. `collision`: how runs of one version got
    in each other's way: then only the first of each side counts.
    """
    if collision:
        runs, base, sequential = runs[:1], base[:1], False
    failed = next((run for run in runs if run.verdict != "passed"), None)
    if failed is not None:
        return _with_numbers(failed, settings.gates)
    comparable = base if all(run.verdict == "passed" for run in base) else ()
    runs, comparable, found = _answered(settings, runs, comparable, learnt, sequential=sequential)
    results = metrics.judge(
        _means(runs),
        settings.gates,
        _means(comparable),
        base_gates=base_gates if base else None,
        answers=found,
        fail_undecided=settings.undecided == "fail",
    )
    cause = metrics.cause(results)
    first = runs[0]
    changes: dict[str, object] = {
        "metrics": results,
        "verdict": cause.verdict if cause else "passed",
        "cause": cause,
        "notes": (*first.notes, *((collision,) if collision else ())),
        "tasks": with_base(first.tasks, comparable[0].tasks if comparable else ()),
    }
    if len(runs) > 1:
        changes["repetitions"] = _repetitions(settings, runs)
        changes["phases"] = {
            name: round(sum(run.phases.get(name, 0.0) for run in runs), 3) for name in first.phases
        }
    return first.model_copy(update=changes)


def _with_numbers(failed: TestResult, gates: Mapping[str, Gate]) -> TestResult:
    """A run that did not pass, with the numbers that it handed over all the same."""
    handed_over = {name: gate for name, gate in gates.items() if name in failed.metrics}
    return failed.model_copy(update={"metrics": metrics.judge(_means([failed]), handed_over)})


def _answered(
    settings: TestSettings,
    runs: Sequence[TestResult],
    base: Sequence[TestResult],
    learnt: Mapping[str, Spread] | None,
    *,
    sequential: bool,
) -> tuple[Sequence[TestResult], Sequence[TestResult], Mapping[str, answers.Answered]]:
    """The runs that count, on both sides, and what their pairs answer."""
    if sequential and base:
        count = min(len(runs), len(base))
        runs, base = runs[:count], base[:count]
    if len(base) != len(runs) or (len(runs) <= 1 and not sequential):
        return runs, base, {}
    if not sequential:
        return runs, base, compared(settings, base, runs, learnt, at_once=True).metrics
    enough, pairs = first_answer(settings, base, runs, learnt)
    return runs[:enough], base[:enough], pairs.metrics


def with_base(tasks: Sequence[TaskResult], base: Sequence[TaskResult]) -> tuple[TaskResult, ...]:
    """Tasks with the time and memory that the same ones took in the base version."""
    known = {(task.task_id, task.map_index): task for task in base}
    return tuple(
        task.model_copy(
            update={
                "base_duration_s": other.duration_s,
                "base_peak_memory_bytes": other.peak_memory_bytes,
            }
        )
        if (other := known.get((task.task_id, task.map_index))) is not None
        else task
        for task in tasks
    )


def _means(runs: Sequence[TestResult]) -> dict[str, float]:
    """Of each metric that every run reported, in the first run's order."""
    if not runs:
        return {}
    common = set.intersection(*(set(run.metrics) for run in runs))
    return {name: mean(_values(runs, name)) for name in runs[0].metrics if name in common}


def _numbers(runs: Sequence[TestResult]) -> list[dict[str, float]]:
    return [
        {name: metric.value for name, metric in run.metrics.items() if metric.value is not None}
        for run in runs
    ]


def _values(runs: Sequence[TestResult], name: str) -> list[float]:
    return [value for run in runs if (value := run.metrics[name].value) is not None]


def _repetitions(settings: TestSettings, runs: Sequence[TestResult]) -> tuple[Repetition, ...]:
    return tuple(
        Repetition(
            seed=seed,
            run_id=run.run_id,
            metrics={name: metric.value for name, metric in run.metrics.items() if metric.value is not None},
        )
        for seed, run in zip(seeds(settings, len(runs)) or (), runs, strict=True)
    )
