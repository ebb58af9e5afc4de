"""Why a run failed: from task instances, pods, events and a task's log to one cause. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.airflow.autopsy.audit_reasons import from_audit
from harness.airflow.autopsy.exception_findings import (
    from_exception,
    from_metrics,
    from_supervisor,
    from_token,
    raised_by_task,
)
from harness.airflow.autopsy.killed import at_its_limit, child_died, child_killed, killed
from harness.airflow.autopsy.pod_trouble import trouble
from harness.airflow.autopsy.run_end import without_failed_task
from harness.airflow.logs.excerpts import first_line, in_a_line, whole
from harness.airflow.logs.redaction import masked
from harness.airflow.logs.task_log import LogRecord, Raised, last_texts, parse_log
from harness.airflow.pods.pods import Pod, Resources
from harness.airflow.rest.models import AuditEvent, DagRun, TaskInstance
from harness.cluster.kind.kernel_log import OomKill
from harness.errors import CauseCode, HarnessError
from harness.project.places import CodeFiles
from harness.report.format import one_line
from harness.report.model import Cause

EVIDENCE_LINES = 12


def root_failure(tasks: Iterable[TaskInstance]) -> TaskInstance | None:
    """The task that failed first, rather than one that failed because of it."""
    failed = [task for task in tasks if task.state == "failed"]
    return min(failed, key=lambda task: (task.ended_at is None, task.ended_at, task.label), default=None)


def explain(
    run: DagRun,
    task: TaskInstance | None,
    *,
    tasks: Sequence[TaskInstance] = (),
    pods: Sequence[Pod] = (),
    log: str = "",
    audit: Sequence[AuditEvent] = (),
    room: Resources | None = None,
    metrics_task: str | None = None,
    kills: Sequence[OomKill] | None = None,
    dagrun_timeout_s: float | None = None,
    code: CodeFiles | None = None,
) -> Cause:
    """The cause of a failed run. `task` is its root_failure, `log` the JSON lines of that task's last try.

    `audit` is Airflow's event log of the run, `room` what the node that suits the task's pod best can give to it,
    `metrics_task` the one that returns the metrics, `kills` whom the kernel killed for memory (None where that is
    unknown), `dagrun_timeout_s` the DAG's own limit, `code` what of the repository is in the image, and where.
    Tokens and passwords are masked in all that is returned.
    """
    if task is None:
        found = without_failed_task(run, tasks, dagrun_timeout_s)
        return Cause(
            code=found.cause.code,
            message=found.message,
            hint=found.hint,
            evidence=tuple(map(whole, found.evidence[:EVIDENCE_LINES])),
        )
    records = parse_log(log)
    pod = last_pod(pods, task)
    raised = raised_by_task(records)
    found = (
        _from_pod(task, pod, records, raised, room, kills)
        or from_token(task, raised)
        or from_supervisor(task, records)
        or killed(task, pod, records, kills, last_texts(records))
        or child_killed(task, pod, raised, kills)
        or child_died(task, records, raised)
        or from_metrics(task, records, raised, metrics_task)
        or from_exception(task, records, raised, code or CodeFiles(), _ended_before(task, tasks))
        or _from_exit(task, records)
        or from_audit(task, audit)
        or _from_last_lines(task, pod, records)
    )
    return Cause(
        code=found.cause.code,
        message=masked(one_line(found.message + _beside(task, tasks))),
        task_id=task.task_id,
        hint=masked(found.hint) or "harness logs",
        evidence=tuple(map(whole, found.evidence[:EVIDENCE_LINES])),
    )


def _beside(task: TaskInstance, tasks: Sequence[TaskInstance]) -> str:
    """Which of its tries failed, where it had several, and how many other tasks did."""
    which = "" if task.try_number <= 1 else f" (try {task.try_number} of {task.max_tries + 1})"
    others = sum(1 for other in tasks if other.state == "failed" and other.key != task.key)
    return which + (f"; {others} more failed" if others else "")


def telling_log(tail: str, kept: str) -> str:
    """The end of a log, or all that is kept of it where its end has nothing that the task raised."""
    if not tail or (kept and not raised_by_task(parse_log(tail)) and raised_by_task(parse_log(kept))):
        return kept
    return tail


def last_said(log: str) -> tuple[str, ...]:
    """The last lines of a task's log that are not Airflow's own, secrets masked."""
    return tuple(masked(text) for text in last_texts(parse_log(log)))


def last_pod(pods: Iterable[Pod], task: TaskInstance) -> Pod | None:
    """The pod of a task's last try: the one it says it ran on, else the newest made for that try."""
    mine = [pod for pod in pods if pod.key == (task.task_id, task.map_index, task.try_number)]
    named = next((pod for pod in mine if pod.name == task.pod), None)
    return named or max(mine, key=lambda pod: (pod.created_at is not None, pod.created_at), default=None)


def _from_pod(
    task: TaskInstance,
    pod: Pod | None,
    records: Sequence[LogRecord],
    raised: Sequence[Raised],
    room: Resources | None,
    kills: Sequence[OomKill] | None,
) -> HarnessError | None:
    found = trouble(pod, room) if pod else None
    if pod is None or found is None:
        return None
    # A pod that was removed while its task failed of itself is no news.
    if found.error.cause is CauseCode.POD_DELETED and raised and not _was_terminated(records, raised):
        return None
    evidence = found.error.evidence or last_texts(records)
    if found.error.cause is CauseCode.TASK_OUT_OF_MEMORY:  # the kernel knows how much it was
        told = at_its_limit(task, pod, kills, evidence)
        if told is not None:
            return told
    return HarnessError(
        found.error.cause,
        f"task {task.label}: {found.error.message}",
        hint=found.error.hint,
        evidence=evidence,
    )


def _was_terminated(records: Sequence[LogRecord], raised: Sequence[Raised]) -> bool:
    kinds = {entry.kind for entry in raised}
    return bool(kinds & {"AirflowTaskTerminated", "KeyboardInterrupt", "SystemExit"}) or any(
        record.signal for record in records
    )


def _ended_before(task: TaskInstance, tasks: Sequence[TaskInstance]) -> bool:
    """Whether another task of the run had succeeded when this one began."""
    return any(
        other.key != task.key
        and other.state == "success"
        and other.ended_at is not None
        and (task.started_at is None or other.ended_at <= task.started_at)
        for other in tasks
    )


def _from_exit(task: TaskInstance, records: Sequence[LogRecord]) -> HarnessError | None:
    exited = next((record.exited for record in reversed(records) if record.exited is not None), None)
    if exited is None:
        return None
    return HarnessError(
        CauseCode.TASK_FAILED,
        f"task {task.label} ended itself: sys.exit({exited}){_said_before(records)}",
        hint="return from the task instead: Airflow takes any exit for a failure",
        evidence=last_texts(records),
    )


def _said_before(records: Sequence[LogRecord]) -> str:
    """What a task said last before it ended itself, mostly why."""
    said = [text for text in last_texts(records) if text != "Task exited"]
    return f"; it said last: {in_a_line(said[-1])}" if said else ""


def _from_last_lines(task: TaskInstance, pod: Pod | None, records: Sequence[LogRecord]) -> HarnessError:
    errors = [record.text for record in records if record.level in {"error", "critical"}]
    evidence = tuple(errors[-5:]) or last_texts(records)
    code = next((record.exit_code for record in reversed(records) if record.exit_code), None)
    pod_code = pod.base.exit_code if pod and pod.base else None
    if errors:
        why = f"failed: {first_line(errors[-1])}" + (
            f"; its process ended with exit code {code}" if code else ""
        )
    elif code:
        why = f"failed: its process ended with exit code {code} (os._exit, or native code)"
    elif pod_code:
        why = f"failed: its pod ended with exit code {pod_code}"
    else:
        why = "failed and its log does not say why"
    return HarnessError(CauseCode.TASK_FAILED, f"task {task.label} {why}", evidence=evidence)
