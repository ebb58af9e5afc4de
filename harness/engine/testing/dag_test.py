"""One test of one version: the DAG parsed, run, followed and judged."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from harness.airflow.autopsy.missing_files import of_repository
from harness.airflow.logs.log_keeper import LogKeeper
from harness.airflow.parsing.completeness import EveryFile, wait_for_every_file
from harness.airflow.parsing.dag_ids import refuse_twice
from harness.airflow.parsing.parsing import wait_for_dag
from harness.airflow.pods.pods import Pod
from harness.airflow.pods.watch import ClusterPods
from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.models import TaskInstance
from harness.airflow.run import metrics_file, metrics_task, mlflow_run, skipping
from harness.airflow.run.chain import Chain
from harness.airflow.run.following import RunOutcome, follow
from harness.airflow.run.reported import Reported
from harness.engine.testing.diagnosis import Diagnosis, first_failure
from harness.engine.testing.pairs.pairs import NoLongerNeededError
from harness.engine.testing.run_result import children_of, state_of, task_phases, tasks_of
from harness.errors import UNREACHABLE, CauseCode, HarnessError
from harness.progress import Progress, Step
from harness.project.configuration import MetricsSource, TestSettings
from harness.project.places import CodeFiles
from harness.report.model import Cause, MetricResult, TestResult
from harness.verdict import metrics

PARSE_DEADLINE_S = 180.0
CANCEL_S = 10.0
PROCESSOR_LINES = 1000  # of all components; a dag-processor that ends tells of it in hundreds of lines
STATISTICS_LINES = 2000


@dataclass(frozen=True)
class DagTest:
    """What a test needs of its version."""

    api: AirflowApi
    pods: ClusterPods
    name: str
    settings: TestSettings
    logical_date: datetime
    dags_folder: str
    read_source: Callable[[str], str | None]  # of a file relative to the DAGs folder, at this commit
    sleep: Callable[[float], None] = time.sleep
    keeper: LogKeeper | None = None
    before_run: Callable[[], None] = lambda: None  # what a run needs, and parsing does not
    image: str = ""  # the version's, by name
    code: CodeFiles = field(default_factory=CodeFiles)  # what of the repository the image has, and where
    gated: Collection[str] = ()  # metrics that must be numbers; whoever keeps the run judges them
    is_base: bool = False  # of a comparison: it may lack what is new
    shared: Sequence[str] = ()  # the folders below the root that lie on the version's volume
    has_xcom_backend: bool = False  # of its own, by the image's settings
    execute: Callable[[Sequence[str]], str] = lambda _: ""  # what a program prints in the control plane
    requirements: str = ""  # the file that people edit for another package
    parse: bool = True  # False when the DAG was parsed for another run
    beside: bool = False  # other runs of the same DAG, which go at the same time
    told: set[str] = field(default_factory=set)  # of the version, in an earlier test


def run(dag_test: DagTest, progress: Progress) -> TestResult:
    """Run the DAG and judge it. What goes wrong is the result's cause. NoLongerNeededError: `sleep` raised it."""
    phases: dict[str, float] = {}
    run_id = f"harness-{secrets.token_hex(4)}"
    begun_s = time.monotonic()
    try:
        if dag_test.parse:
            _parse(dag_test, progress, phases)
        dag_test.before_run()
        started_s = time.monotonic()
        outcome = _followed(dag_test, progress, run_id)
        phases["run_s"] = time.monotonic() - started_s
    except HarnessError as error:
        phases.setdefault("parse_s", time.monotonic() - begun_s)
        return _result(dag_test, None, phases, {}, Cause.of(error), run_id=None)
    with progress.waiting(f"judging {dag_test.name}") as step:
        return _judged(dag_test, outcome, phases, step)


def _parse(dag_test: DagTest, progress: Progress, phases: dict[str, float]) -> None:
    started_s = time.monotonic()
    with progress.step(f"parsing {dag_test.settings.dag}") as step:
        parsed = wait_for_dag(
            dag_test.api,
            dag_test.settings.dag,
            deadline_s=PARSE_DEADLINE_S,
            on_progress=step.update,
            processor_log=lambda: dag_test.pods.component_log("dag-processor", tail_lines=PROCESSOR_LINES),
            read_source=dag_test.read_source,
            folder=dag_test.dags_folder,
            code=dag_test.code,
            sleep=dag_test.sleep,
        )
        step.done(parsed.dag.file or "")
    phases["parse_s"] = time.monotonic() - started_s
    for note in (f"beside it, {each.place} can't be imported: {each.message}" for each in parsed.warnings):
        if note not in dag_test.told:
            dag_test.told.add(note)
            progress.note(note)


def _begin(dag_test: DagTest, progress: Progress, run_id: str) -> None:
    api, settings = dag_test.api, dag_test.settings
    api.pause(settings.dag, paused=bool(settings.skip))
    api.trigger(settings.dag, settings.conf, dag_test.logical_date, run_id)
    if settings.skip:
        skipped = skipping.start(api, settings, run_id, lacking=dag_test.is_base)
        progress.note(f"    skipped by the test: {', '.join(skipped) or 'no task of this DAG'}")


def _followed(dag_test: DagTest, progress: Progress, run_id: str) -> RunOutcome:
    """Make the run, and wait until it and what it leads to have ended."""
    api, settings = dag_test.api, dag_test.settings
    chain = Chain(api, settings.dag, follow=settings.follow, beside=dag_test.beside)
    try:
        with progress.waiting(f"letting {settings.dag} run, and what it leads to") as step:
            if settings.follow and api.dependencies().leads_on(settings.dag):
                _every_file(dag_test, step)  # what it leads to may be in a file that is not parsed yet
            chain.open()
            _begin(dag_test, progress, run_id)
        led_to = f", which leads to {', '.join(sorted(chain.reached))}" if chain.reached else ""
        dag_run = f"DAG run {run_id} of {settings.dag}{led_to}"
        with progress.step(dag_run) as step, dag_test.pods.watched() as pods:
            outcome = None
            with suppress(NoLongerNeededError):
                outcome = follow(
                    api,
                    pods,
                    settings.dag,
                    run_id,
                    timeout_s=settings.timeout,
                    chain=chain,
                    retries=settings.retries,
                    on_task=lambda task, pod: _tell(dag_test, progress, step, run_id, task, pod),
                    on_pods=lambda found: _look(dag_test, step, found, run_id),
                    on_deferred=lambda: _start_triggerer(dag_test, progress),
                    on_lost=lambda text: _lost(progress, step, text),
                    sleep=dag_test.sleep,
                )
            step.done((outcome.run.state or "") if outcome else "no longer needed: cancelled")
        if outcome is None:
            with suppress(HarnessError):  # its version goes anyway
                api.cancel(settings.dag, run_id, deadline_s=CANCEL_S)
            raise NoLongerNeededError
    finally:
        chain.close()
    return outcome


def _tell(
    dag_test: DagTest, progress: Progress, step: Step, run_id: str, task: TaskInstance, pod: Pod | None
) -> None:
    own = task.dag_id in {"", dag_test.settings.dag}
    if own and dag_test.settings.skips(task.task_id):
        return
    label = task.label if own else f"{task.dag_id}.{task.label}"
    step.update(f"{label} {task.state}")
    if task.state == "up_for_retry":
        progress.note(f"    {_diagnosis(dag_test).of_try(run_id, task, pod)}")
    if not task.ended:
        return
    seconds = "" if task.duration_s is None else f"  {task.duration_s:.1f} s"
    progress.note(f"    {label}: {task.state}{seconds}  {pod.name if pod else 'no pod'}")


def _look(dag_test: DagTest, step: Step, pods: tuple[Pod, ...], run_id: str) -> None:
    """Keep the logs of what runs, and say what a pod that does not start waits for."""
    if dag_test.keeper is not None:
        dag_test.keeper.see(pods)
    waiting = next((pod for pod in pods if pod.run_id == run_id and pod.waits_for), None)
    if waiting is not None:
        step.update(f"{waiting.task_id} waits: {waiting.waits_for}")


def _lost(progress: Progress, step: Step, text: str) -> None:
    step.update(text)
    progress.note(f"    {text}")


def _start_triggerer(dag_test: DagTest, progress: Progress) -> None:
    progress.note("    a task defers: starting the triggerer")
    dag_test.pods.start_triggerer()


def _diagnosis(dag_test: DagTest) -> Diagnosis:
    source, folder, keeper = dag_test.read_source, dag_test.dags_folder, dag_test.keeper
    return Diagnosis(dag_test.api, dag_test.pods, keeper, dag_test.settings, dag_test.code, source, folder)


def _judged(dag_test: DagTest, outcome: RunOutcome, phases: dict[str, float], step: Step) -> TestResult:
    diagnosis = _diagnosis(dag_test)
    if outcome.error is not None:
        return _failed(dag_test, outcome, phases, diagnosis.given_up(outcome, outcome.error))
    try:
        _refuse_duplicates(dag_test, step)
        _refuse_emptiness(dag_test, outcome)
    except HarnessError as error:
        return _result(dag_test, outcome, phases, {}, Cause.of(error))
    source = dag_test.settings.metrics
    if (first := first_failure(source, outcome)) is not None:
        return _failed(dag_test, outcome, phases, diagnosis.failed(*first))
    if source is None:
        return _result(dag_test, outcome, phases, {}, None)
    try:
        found = _reported(dag_test, source, outcome)
        values = metrics.read(found.value, {*dag_test.gated, *dag_test.settings.gates}, found.told)
    except HarnessError as error:
        if source.task is not None:
            error.task_id = source.task
            error.message = f"task {source.task}: {error.message}"
        return _result(dag_test, outcome, phases, {}, Cause.of(error))
    judged = metrics.judge(values, dag_test.settings.gates)
    result = _result(dag_test, outcome, phases, judged, metrics.cause(judged))
    return result.model_copy(update={"parameters": dict(found.parameters)})


def _failed(dag_test: DagTest, outcome: RunOutcome, phases: dict[str, float], cause: Cause) -> TestResult:
    """A run that failed, with the numbers that its task had handed over before; whoever keeps the run judges them."""
    source, handed_over = dag_test.settings.metrics, dict[str, MetricResult]()
    if source is not None and cause.code not in UNREACHABLE:
        with suppress(HarnessError):
            handed_over = metrics.judge(metrics.read(_reported(dag_test, source, outcome).value), {})
    return _result(dag_test, outcome, phases, handed_over, cause)


def _reported(dag_test: DagTest, source: MetricsSource, outcome: RunOutcome) -> Reported:
    """The run's numbers, from where the test takes them; raises HarnessError(METRICS_MISSING, METRICS_INVALID)."""
    if source.mlflow:
        return mlflow_run.last(dag_test.execute, outcome.run)
    if (file := source.file) is not None:
        return metrics_file.written(dag_test.execute, file, dag_test.shared, outcome.run, dag_test.code.root)
    execute = dag_test.execute if dag_test.has_xcom_backend else None
    return Reported(metrics_task.handed_over(dag_test.api, dag_test.settings.dag, source, outcome, execute))


def _refuse_duplicates(dag_test: DagTest, step: Step) -> None:
    """Nothing may be judged while it is unknown which code ran; mostly all files have been parsed by now."""
    every = _every_file(dag_test, step)
    files = [entry.file for entry in every.files]
    refuse_twice(dag_test.settings.dag, files, dag_test.read_source, dag_test.dags_folder)
    every.refuse_doubt(dag_test.settings.dag, len(dag_test.api.dags()), dag_test.dags_folder)


def _every_file(dag_test: DagTest, step: Step) -> EveryFile:
    return wait_for_every_file(
        lambda: dag_test.pods.component_log("dag-processor", tail_lines=STATISTICS_LINES),
        dag_test.settings.dag,
        deadline_s=PARSE_DEADLINE_S,
        folder=dag_test.dags_folder,
        on_progress=step.update,
        sleep=dag_test.sleep,
    )


def _refuse_emptiness(dag_test: DagTest, outcome: RunOutcome) -> None:
    """Airflow counts a run as a success when there was nothing for it to run."""
    if outcome.run.state == "success" and not outcome.tasks:
        raise HarnessError(
            CauseCode.TASK_FAILED,
            f"DAG {dag_test.settings.dag} ran no task: the run's logical date {dag_test.logical_date:%Y-%m-%d} is "
            "before the start_date or after the end_date of its tasks, or it has none",
            hint="set `logical_date` of the test in harness.toml to a date within the DAG's start_date and end_date",
        )


def _result(
    dag_test: DagTest,
    outcome: RunOutcome | None,
    phases: dict[str, float],
    judged: dict[str, MetricResult],
    cause: Cause | None,
    *,
    run_id: str | None = "",
) -> TestResult:
    run = outcome.run if outcome else None
    if cause is not None:
        hint = of_repository(cause.message, cause.hint, dag_test.code, dag_test.requirements)
        cause = cause.model_copy(update={"hint": hint})
    if outcome is not None:
        phases |= task_phases(dag_test.settings, outcome)
    return TestResult(
        name=dag_test.name,
        dag_id=dag_test.settings.dag,
        run_id=run.run_id if run else run_id or None,
        logical_date=dag_test.logical_date.isoformat(),
        state=state_of(dag_test.settings, outcome) if outcome else None,
        verdict=cause.verdict if cause else "passed",
        metrics=judged,
        tasks=tasks_of(dag_test.settings, dag_test.image, outcome) if outcome else (),
        children=children_of(dag_test.settings, dag_test.image, outcome) if outcome else (),
        phases={name: round(seconds, 3) for name, seconds in phases.items()},
        cause=cause,
    )
