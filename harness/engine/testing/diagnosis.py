"""Why a run failed or was given up: what the autopsy needs is asked for while the version is still there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.airflow.autopsy.autopsy import explain, last_said, root_failure, telling_log
from harness.airflow.autopsy.killed import hung_after_death, hung_after_kill
from harness.airflow.autopsy.pod_trouble import killed_sidecars
from harness.airflow.logs.excerpts import in_a_line
from harness.airflow.logs.log_keeper import LogKeeper
from harness.airflow.logs.task_log import parse_log
from harness.airflow.parsing.parsing import absent
from harness.airflow.pods.pods import Pod
from harness.airflow.pods.watch import ClusterPods
from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.models import AuditEvent, TaskInstance
from harness.airflow.run import metrics_task
from harness.airflow.run.following import RunOutcome
from harness.cluster.kind.kernel_log import oom_kills
from harness.errors import CauseCode, HarnessError
from harness.project.configuration import MetricsSource, TestSettings
from harness.project.places import CodeFiles
from harness.report.model import Cause, excerpt

LOG_TAIL_LINES = 200
_NO_DAG = re.compile(r"\bD(?:ag|AG) with dag_id: '(?P<id>[^']+)' not found")


def first_failure(
    source: MetricsSource | None, outcome: RunOutcome
) -> tuple[RunOutcome, TaskInstance | None] | None:
    """The run and its task that failed first, of a test's own and those that it led to; None when none did.

    A task that waits for another DAG fails because of a task there. None as the task: the run failed without one.
    """
    failed: list[tuple[RunOutcome, TaskInstance | None]] = []
    for each in (outcome, *outcome.children):
        if each.run.state == "failed":
            failed.append((each, root_failure(each.tasks)))
        elif each is outcome and (task := metrics_task.failure(source, outcome)) is not None:
            failed.append((each, task))

    def ended(found: tuple[RunOutcome, TaskInstance | None]) -> tuple[bool, datetime]:
        run, task = found
        at = task.ended_at if task else run.run.ended_at
        return at is None, at or datetime.max.replace(tzinfo=UTC)

    return min(failed, key=ended, default=None)


@dataclass(frozen=True)
class Diagnosis:
    """Whom to ask. What can't be had any more is done without: it must not take the place of the cause."""

    api: AirflowApi
    pods: ClusterPods
    keeper: LogKeeper | None
    settings: TestSettings
    code: CodeFiles
    read_source: Callable[[str], str | None] = lambda _: None  # of a file relative to the DAGs folder
    dags_folder: str = ""

    def given_up(self, outcome: RunOutcome, error: HarnessError) -> Cause:
        """Why the harness ended a run that Airflow had not ended; what runs of it is stopped."""
        for each in (outcome, *outcome.children):
            if not each.run.ended:
                with suppress(HarnessError):
                    self.api.cancel(*each.run.key)
        outcome = next((child for child in outcome.children if child.error is not None), outcome)
        cause = Cause.of(error)
        again = next(
            (
                task
                for task in outcome.tasks
                if task.task_id == cause.task_id and task.state == "up_for_retry"
            ),
            None,
        )
        if again is not None and error.cause is CauseCode.TASK_FAILED:  # it would be tried again
            why = self.failed(outcome, again)
            more = f"`retries = {again.try_number}` of the test in harness.toml allows one try more"
            return why.model_copy(
                update={"message": f"{why.message}; {cause.message}", "hint": f"{why.hint}; {more}"}
            )
        if again is not None:
            why = self.failed(outcome, again)
            return cause.model_copy(
                update={
                    "message": f"{cause.message}; it waits for try {again.try_number + 1} of "
                    f"{again.max_tries + 1}, because {why.message}",
                    "hint": f"{why.hint}; `retries = 0` of the test in harness.toml leaves other tries out, a higher "
                    "`timeout` waits for them",
                    "evidence": excerpt((*cause.evidence, *why.evidence)),
                }
            )
        said = self._last_said(outcome, cause.task_id)
        hung = [task for task in outcome.tasks if task.task_id == cause.task_id and task.state == "running"]
        if error.cause is CauseCode.RUN_TIMEOUT and hung:
            return self._hung(outcome, hung[0], cause, said)
        return cause.model_copy(update={"evidence": excerpt((*cause.evidence, *said))})

    def _hung(self, outcome: RunOutcome, task: TaskInstance, cause: Cause, said: tuple[str, ...]) -> Cause:
        """Why a task that still ran when the time was over did so: what the kernel tells comes before that."""
        pod = outcome.pod_of(task)
        evidence = excerpt((*cause.evidence, *said))
        kills = oom_kills(pod.node) if pod and pod.node else None
        records = parse_log(self.keeper.text(pod)) if pod and self.keeper else ()
        found = hung_after_kill(task, pod, kills, cause.message, evidence) or hung_after_death(
            task, records, cause.message, evidence
        )
        if found is not None:
            return Cause.of(found).model_copy(update={"task_id": task.task_id})
        known = [
            each for each in self.api.task_definitions(outcome.run.dag_id) if each.task_id == task.task_id
        ]
        endless = "" if not known or known[0].has_execution_timeout else "; it has no execution_timeout"
        last = f"; it said last: {in_a_line(said[-1].strip())}" if said else ""
        return cause.model_copy(update={"message": f"{cause.message}{endless}{last}", "evidence": evidence})

    def of_try(self, run_id: str, task: TaskInstance, pod: Pod | None) -> str:
        """What a try failed of, in a line, while the run goes on: the next try may be far away."""
        which = f"try {task.try_number} of {task.max_tries + 1}"
        with suppress(HarnessError):
            run = self.api.dag_run(task.dag_id or self.settings.dag, pod.run_id if pod else run_id)
            if run is not None:
                why = self.failed(RunOutcome(run, (task,), (pod,) if pod else ()), task)
                rest = why.message.removeprefix(f"task {task.label} ").removesuffix(f" ({which})")
                return f"{task.label}: {which} {rest}"
        return f"{task.label}: {which} failed"

    def failed(self, outcome: RunOutcome, task: TaskInstance | None) -> Cause:
        """Why a task failed, or a run without a failed task."""
        run, dag_id = outcome.run, outcome.run.dag_id
        pod = outcome.pod_of(task) if task else None
        audit: Sequence[AuditEvent] = ()
        with suppress(HarnessError):
            audit = self.api.audit_events(dag_id, run.run_id)
        found = explain(
            run,
            task,
            tasks=outcome.tasks,
            pods=outcome.pods,
            log=self._log(outcome, task, pod) if task else "",
            audit=audit,
            room=outcome.room,
            metrics_task=self._metrics_task(dag_id),
            kills=oom_kills(pod.node) if pod and pod.node else None,
            code=self.code,
            dagrun_timeout_s=None if task else self.api.dagrun_timeout_s(dag_id),
        )
        hint = found.hint
        if self.settings.skip and "NoneType" in found.message:
            hint = f"the test skips {', '.join(self.settings.skip)}: who asks for what it would have returned gets None"
        if lacking := _NO_DAG.search(found.message):
            found, hint = self._without_dag(found, lacking["id"])
        where = "" if dag_id == self.settings.dag or task is None else f"DAG {dag_id}: "
        return found.model_copy(
            update={
                "hint": hint,
                "message": f"{where}{found.message}",
                "evidence": excerpt((*(killed_sidecars(pod) if pod else ()), *found.evidence)),
            }
        )

    def _without_dag(self, found: Cause, dag_id: str) -> tuple[Cause, str]:
        """Why there is no DAG that a task triggers: its file can't be imported, or its id is another."""
        with suppress(HarnessError):
            ids = [dag.dag_id for dag in self.api.dags()]
            errors = [error.within(self.dags_folder, self.code.root) for error in self.api.import_errors()]
            why = absent(dag_id, ids, errors, self.read_source)
            is_broken = why.cause is CauseCode.DAG_IMPORT_ERROR
            found = found.model_copy(
                update={
                    "message": f"{found.message}; {why.message}",
                    "evidence": excerpt((*found.evidence, *why.evidence)),
                }
            )
            return found, why.hint if is_broken else "edit the id of the DAG that this task triggers"
        return found, found.hint

    def _metrics_task(self, dag_id: str) -> str | None:
        source = self.settings.metrics
        return source.task if source and dag_id == self.settings.dag else None

    def _log(self, outcome: RunOutcome, task: TaskInstance, pod: Pod | None) -> str:
        log = ""
        container = pod.failed_init.name if pod and pod.failed_init else "base"
        if pod and not pod.deleted:
            log = self._pod_log(pod, container)
        if container == "base":
            log = telling_log(log, self.keeper.text(pod) if pod and self.keeper else "")
        if not log:
            with suppress(HarnessError):
                log = self.api.task_log(*outcome.run.key, task.task_id, task.try_number, task.map_index)
        return log

    def _pod_log(self, pod: Pod, container: str) -> str:
        with suppress(HarnessError):
            return self.pods.log(pod.name, container, tail_lines=LOG_TAIL_LINES)
        return ""

    def _last_said(self, outcome: RunOutcome, task_id: str | None) -> tuple[str, ...]:
        """What the task that a run was given up for said last, or the container before it that failed."""
        for task in outcome.tasks:
            pod = outcome.pod_of(task) if task.task_id == task_id else None
            if pod is None:
                continue
            log = ""
            if task.state == "running" and self.keeper is not None:
                log = self.keeper.text(pod)
            elif pod.failed_init is not None:
                log = self._pod_log(pod, pod.failed_init.name)
            if log:
                return tuple(f"  {line}" for line in last_said(log))
        return ()
