"""Runs that were measured before: the cluster keeps the numbers of each by all that they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from harness.cluster.services.database import Server
from harness.cluster.services.kept_results import Results
from harness.engine.testing.plan import Plan
from harness.errors import HarnessError
from harness.project.configuration import TestSettings
from harness.report.format import plural
from harness.report.model import TestResult
from harness.verdict.comparison import Runs, seeds

FORMAT = 2  # part of every key: raise it when the same inputs give other documents


@dataclass(frozen=True)
class Wanted:
    """One run that a plan asks for. `key` stands for everything that its numbers depend on.

    `index`: which of the test's runs it is.
    """

    key: str
    test: str
    index: int
    settings: TestSettings
    date: datetime


def wanted(plan: Plan, image_digest: str, secrets: str | None = None) -> tuple[Wanted, ...]:
    """The runs of a plan: of each test one for each logical date, with its seed, and without gates.

    `secrets`: what tells those that the version gets from others, without telling what they are.
    """
    found = []
    for name, settings in plan.tests.items():
        dates = plan.dates[name]
        chosen = seeds(settings, len(dates)) if len(dates) > 1 else None
        for index, date in enumerate(dates):
            conf = settings.conf | ({settings.seed: chosen[index]} if chosen else {})
            run = settings.model_copy(update={"conf": conf, "gates": {}})
            found.append(Wanted(key_of(run, image_digest, date, secrets), name, index, run, date))
    return tuple(found)


def key_of(settings: TestSettings, image_digest: str, date: datetime, secrets: str | None = None) -> str:
    """SHA-256 of what a run's numbers depend on: the image (code, dependencies, base), DAG, conf, date, metrics,
    the tasks that were left out, and what stands for the secrets."""
    parts = [
        FORMAT,
        image_digest,
        settings.dag,
        settings.conf,
        date.astimezone(UTC).isoformat(),
        settings.metrics.model_dump() if settings.metrics else None,
        settings.skip,
        secrets,
        settings.follow,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def kept(server: Server, runs: Iterable[Wanted]) -> dict[str, TestResult]:
    """What the cluster has of these runs, by key; nothing when it can't be asked."""
    tests = {run.key: run.test for run in runs}
    found: dict[str, TestResult] = {}
    with suppress(HarnessError):
        for key, result in Results(server).find(tests).items():
            with suppress(ValidationError):  # written by another version of harness
                test = TestResult.model_validate_json(result.document)
                found[key] = test.model_copy(
                    update={"name": tests[key], "kept_at": result.made_at, "phases": {}}
                )
    return found


def told(found: Mapping[str, TestResult]) -> str:
    """What to say of runs that were measured before."""
    last = max(run.kept_at or "" for run in found.values())
    return f"{plural(len(found), 'run')} measured before, the last at {last}: --no-cache measures again"


def keep(server: Server, results: Mapping[str, TestResult]) -> None:
    """Keep the runs that passed, without a verdict: gates may change."""
    documents = {key: test.model_dump_json() for key, test in results.items() if test.verdict == "passed"}
    with suppress(HarnessError):  # the next comparison measures again
        Results(server).keep(documents)


def by_test(runs: Sequence[Wanted], results: Mapping[str, TestResult]) -> Runs:
    """The results of each test's runs, in the order of its seeds, up to the first that was not run."""
    found: dict[str, list[TestResult]] = {}
    for run in runs:
        if run.key in results and len(found.get(run.test, ())) == run.index:
            found.setdefault(run.test, []).append(results[run.key])
    return found
