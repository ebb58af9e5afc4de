"""What is asked for, worked out from the repository alone: which commits, which tests, which dates and seeds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from harness.engine.asking import NOBODY, Asking
from harness.engine.image.checked import checked
from harness.errors import CauseCode, HarnessError
from harness.hints import toml_key
from harness.host import disk
from harness.image.own.own import OwnImage
from harness.progress import Progress
from harness.project.commit import WORKING_TREE, Commit
from harness.project.configuration import Gate, TestSettings
from harness.project.image_settings import ImageSettings
from harness.project.project import Project, load
from harness.project.secrets import Secrets, read
from harness.project.values import LOGICAL_YEARS
from harness.report.model import Cause, VersionResult
from harness.verdict import comparison
from harness.verdict.comparison import seeds
from harness.verdict.sequential import MOST_PAIRS

Keep = Literal["never", "on-failure", "always"]


@dataclass(frozen=True)
class Request:
    """What `harness test` or `harness diff` was asked for.

    `base`: the ref to compare with. `repeat`: how often each test runs; None for as often as an answer takes, `most`
    times at most. `reuse`: a base that was measured before is not run again; `reuse_head`:
    nor is the other side. `kept_s`: how long a version lives that stays; None is the usual time. `bundle`: the
    folder for bundles of what failed; `project`: what to test instead of what is configured around the start.
    `asking`: who asks for runs in place of the configured tests.
    `on_namespace` is told where each version is, from its first moment on.
    `stand_by`: an Airflow is started for the next test, also when none stood by for this one; a CI job has no next.
    """

    names: tuple[str, ...] = ()
    refs: tuple[str, ...] = ()
    keep: Keep = "on-failure"
    cluster: str = "harness"
    base: str | None = None
    repeat: int | None = 1
    most: int = MOST_PAIRS
    reuse: bool = True
    reuse_head: bool = False
    kept_s: float | None = None
    bundle: Path | None = None
    project: Project | None = None
    asking: Asking = NOBODY
    on_namespace: Callable[[str], None] = lambda _: None
    stand_by: bool = field(default_factory=lambda: not os.environ.get("CI"))


@dataclass(frozen=True)
class Plan:
    """One version to be tested. `dates` are the logical dates of each test's runs, one for each seed.

    `image` is [image] of the commit, with what an image of the team's own, `own`, says itself.
    `base` is the plan of the version that it is compared with, `base_gates` what that one's own configuration
    asks of each test. `sequential`: the tests whose runs end with an answer. `secrets` are the asking side's, whatever
    the commit says.
    """

    project: Project
    commit: Commit
    image: ImageSettings
    found: VersionResult
    tests: Mapping[str, TestSettings] = field(default_factory=dict)
    dates: Mapping[str, Sequence[datetime]] = field(default_factory=dict)
    reuse: bool = False
    base: Plan | None = None
    base_gates: Mapping[str, Mapping[str, Gate]] = field(default_factory=dict)
    sequential: frozenset[str] = frozenset()
    secrets: Secrets = field(default_factory=Secrets)
    own: OwnImage | None = None

    @property
    def uses_mlflow(self) -> bool:
        """Whether a test takes its metrics from MLflow, so that the version needs a server of it."""
        return self.mlflow is not None

    @property
    def mlflow(self) -> tuple[str, ...] | None:
        """The addresses that code has of that server, besides its own; None where no test needs one."""
        asked = [
            test.metrics for test in self.tests.values() if test.metrics is not None and test.metrics.mlflow
        ]
        return tuple(sorted({each.address for each in asked if each.address})) if asked else None

    @property
    def runs(self) -> int:
        """How often each test runs."""
        return max((len(dates) for dates in self.dates.values()), default=1)


def plans(
    start: Path, request: Request, opened: ExitStack, progress: Progress
) -> tuple[list[Plan], list[VersionResult]]:
    """The versions to be tested, bases first, and those of which no image can be made, with the cause.

    Commits stay open until `opened` is closed. Raises HarnessError: NOT_A_REPOSITORY, CONFIG_INVALID,
    TEST_NOT_FOUND, REF_NOT_FOUND for a base that is not there.
    """
    project = request.project or load(start)
    if request.base is None and not request.asking.asks:
        project.tests(request.names)
    if request.base is not None:
        project.repository.resolve(request.base)  # before a lock is made, which may take a minute
    secrets = read(project)
    if secrets.passed_over:
        told = ", ".join(secrets.passed_over)
        progress.note(
            f"{project.configuration.secrets.env_file}: of harness or Airflow itself, passed over: {told}"
        )
    made: list[Plan] = []
    refused: list[VersionResult] = []
    bases: dict[str, Plan] = {}
    for ref in request.refs or (None,):
        head = _opened(project, ref, "head" if request.base else None, request, opened, progress)
        if isinstance(head, VersionResult):
            refused.append(head)
            continue
        asking = project
        if request.base is not None and ref is not None:
            try:
                asking = project.as_of(head.commit)
            except HarnessError as error:
                refused.append(head.found.model_copy(update={"cause": Cause.of(error)}))
                continue
        tests = {} if request.asking.asks else asking.tests(request.names)
        seeded = _seeded(tests, request.repeat or 1)
        plan = replace(head, project=asking, tests=seeded, secrets=secrets)
        if request.base is None:
            counts = dict.fromkeys(tests, request.repeat or 1)
            made.append(replace(plan, dates=run_dates(tests, head.commit.date, counts)))
            continue
        sha = base_of(project, request.base, ref, progress)
        base = _opened(project, sha, "base", request, opened, progress)
        if isinstance(base, VersionResult):
            refused.append(base.model_copy(update={"ref": request.base}))
            continue
        below, above = _compared(base, plan, request, _gates(project, base.commit))
        key = f"{sha} {[(name, each.model_dump_json()) for name, each in tests.items()]}"
        if key not in bases:
            bases[key] = below
            made.insert(len(bases) - 1, below)
        made.append(replace(above, base=bases[key]))
    return made, refused


def _compared(
    base: Plan, head: Plan, request: Request, gates: Mapping[str, Mapping[str, Gate]]
) -> tuple[Plan, Plan]:
    """The plans of a base and of what is compared with it: the same tests on the same dates, with the head's gates.

    `gates`: what the base's own configuration asks.
    """
    tests, sequential = head.tests, _sequential(head.tests, request)
    counts = {name: request.most if name in sequential else request.repeat or 1 for name in tests}
    dates = run_dates(tests, base.commit.date, counts)
    below = replace(
        base,
        project=head.project,
        commit=replace(base.commit, ref=request.base or ""),
        found=base.found.model_copy(update={"ref": request.base}),
        tests={name: each.model_copy(update={"gates": {}}) for name, each in tests.items()},
        dates=dates,
        reuse=request.reuse,
        secrets=head.secrets,
    )
    reuse = request.reuse and request.reuse_head
    return below, replace(head, dates=dates, reuse=reuse, base_gates=gates, sequential=sequential)


def base_of(project: Project, base: str, head: str | None, progress: Progress) -> str:
    """The commit to compare with: of a branch what head has grown from, not what it has become since."""
    repository = project.repository
    tip = repository.resolve(base)
    if not repository.is_branch(base):
        return tip
    found = repository.merge_base(base, head or "HEAD")
    if found != tip:
        progress.note(f"base: {found[:12]}, where {head or 'HEAD'} left {base}")
    return found


def run_dates(
    tests: Mapping[str, TestSettings], date: datetime | None, counts: Mapping[str, int] | None = None
) -> dict[str, tuple[datetime, ...]]:
    """The logical dates of each test's runs, one each unless `counts` says otherwise: its own, else midnight of `date`.

    Airflow takes one run of a DAG per logical date, so further runs of the same DAG are a second later each:
    `ds` stays the same. Raises HarnessError(CONFIG_INVALID) for a test without one when `date` can't be one.
    """
    undated = [name for name, settings in tests.items() if settings.logical_date is None]
    if undated and (date is None or date.year not in LOGICAL_YEARS):
        raise HarnessError(
            CauseCode.CONFIG_INVALID,
            f"test {undated[0]} has no logical_date, and the commit's own date is none that Airflow can run for",
            hint=f"add logical_date = 2026-01-31T00:00:00Z to [tests.{toml_key(undated[0])}]; "
            "git log --format=%cd shows dates",
        )
    day = date or datetime.fromtimestamp(0, UTC)  # which no test asks for
    midnight = day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    taken = {(settings.dag, settings.logical_date) for settings in tests.values()}
    dates: dict[str, list[datetime]] = {name: [] for name in tests}
    wanted = counts or dict.fromkeys(tests, 1)
    for index in range(max(wanted.values(), default=0)):
        for name, settings in tests.items():
            if index >= wanted[name]:
                continue
            chosen = settings.logical_date or midnight
            while (index or settings.logical_date is None) and (settings.dag, chosen) in taken:
                chosen += timedelta(seconds=1)
            taken.add((settings.dag, chosen))
            dates[name].append(chosen)
    return {name: tuple(found) for name, found in dates.items()}


def _sequential(tests: Mapping[str, TestSettings], request: Request) -> frozenset[str]:
    """The tests that run until their gates have an answer: those with a seed and something to be compared."""
    if request.repeat is not None:
        return frozenset()
    return frozenset(
        name
        for name, settings in tests.items()
        if comparison.is_compared(settings) and seeds(settings, 1) is not None
    )


def _seeded(tests: Mapping[str, TestSettings], repeat: int) -> dict[str, TestSettings]:
    """The tests, each of which has a seed when there are several runs. Raises HarnessError(CONFIG_INVALID)."""
    for name, settings in tests.items():
        if repeat > 1 and seeds(settings, repeat) is None:
            raise HarnessError(
                CauseCode.CONFIG_INVALID,
                f"each of several runs gets a seed of its own, and test {name} has no whole number "
                f"`{settings.seed}` in its conf",
                hint=f"[tests.{toml_key(name)}] conf = {{ {toml_key(settings.seed)} = 7 }}, and a DAG that heeds it",
            )
    return dict(tests)


def _opened(
    project: Project,
    ref: str | None,
    role: Literal["base", "head"] | None,
    request: Request,
    opened: ExitStack,
    progress: Progress,
) -> Plan | VersionResult:
    """The plan of a ref's commit, which is open, without tests; where no image can be made of it, why."""
    found = VersionResult(ref=ref or WORKING_TREE, commit=None, role=role)
    started_s = time.monotonic()
    try:
        with disk.explained():
            commit = opened.enter_context(project.commit(ref))
            found = found.model_copy(update={"commit": commit.sha, "dirty": commit.dirty})
            able = checked(project, commit, opened, progress, request.cluster)
    except HarnessError as error:
        return found.model_copy(update={"cause": Cause.of(error)})
    spent = {"check_s": round(time.monotonic() - started_s, 3)}
    found = found.model_copy(update={"dirty": able.commit.dirty, "phases": spent})
    return Plan(project, able.commit, able.settings, found, own=able.own)


def _gates(project: Project, base: Commit) -> dict[str, Mapping[str, Gate]]:
    """What the base's own configuration asks of each test; where that is invalid, what the working tree's does."""
    try:
        asked = project.as_of(base)
    except HarnessError:
        asked = project
    return {name: settings.gates for name, settings in asked.configuration.tests.items()}
