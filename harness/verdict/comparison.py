"""Runs into verdicts: several runs of a test as one, and a version beside its base. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.project.configuration import Gate, TestSettings
from harness.report.model import Repetition, TaskResult, TestResult
from harness.verdict import metrics, noise

Runs = Mapping[str, Sequence[TestResult]]  # of each test, one for each seed, with metrics that nobody judged


def seeds(settings: TestSettings, repeat: int) -> tuple[int, ...] | None:
    """The seeds of several runs: the test's own, and those that follow it. None when it has none."""
    first = settings.conf.get("seed")
    if not isinstance(first, int) or isinstance(first, bool):
        return None
    return tuple(range(first, first + repeat))


def judged(
    settings: TestSettings,
    runs: Sequence[TestResult],
    base: Sequence[TestResult] = (),
    base_gates: Mapping[str, Gate] | None = None,
) -> TestResult:
    """One result of a test's runs, with the verdicts of its gates, against the base's runs where there are any.

    The first run that did not pass is the result. Otherwise metrics are means over the runs, and differences are
    held against the noise between the pairs of runs.
    """
    failed = next((run for run in runs if run.verdict != "passed"), None)
    if failed is not None:
        return failed
    comparable = base if all(run.verdict == "passed" for run in base) else ()
    values, base_values = _means(runs), _means(comparable)
    differences = {}
    if len(comparable) == len(runs):
        for name in values.keys() & base_values.keys():
            difference = noise.paired(_values(comparable, name), _values(runs, name))
            if difference is not None:
                differences[name] = difference
    results = metrics.judge(
        values, settings.gates, base_values, base_gates=base_gates if base else None, differences=differences
    )
    cause = metrics.cause(results)
    first = runs[0]
    changes: dict[str, object] = {
        "metrics": results,
        "verdict": cause.verdict if cause else "passed",
        "cause": cause,
        "tasks": with_base(first.tasks, comparable[0].tasks if comparable else ()),
    }
    if len(runs) > 1:
        changes["repetitions"] = _repetitions(settings, runs)
        changes["phases"] = {
            name: round(sum(run.phases.get(name, 0.0) for run in runs), 3) for name in first.phases
        }
    return first.model_copy(update=changes)


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
    return {name: math.fsum(_values(runs, name)) / len(runs) for name in runs[0].metrics if name in common}


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
