"""Why a run failed: from task instances, pods, events and a task's log to one cause. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from harness.airflow.exception_hints import hint_for, missing_file, not_a_metric
from harness.airflow.finding import Finding
from harness.airflow.killed import killed
from harness.airflow.models import AuditEvent, DagRun, TaskInstance
from harness.airflow.pod_trouble import trouble
from harness.airflow.pods import Pod, Resources
from harness.airflow.redaction import redact
from harness.airflow.task_log import LogRecord, Raised, parse_log
from harness.airflow.user_frames import is_users, shortened, users_frames
from harness.cluster.kernel_log import OomKill
from harness.errors import CauseCode
from harness.report.model import Cause

CODE_ROOT = "/opt/airflow"
EVIDENCE_LINES = 12
_TOKEN_REFUSED = re.compile(
    r"ServerResponseError.*(?:Invalid auth token|Signature has expired|token.*expired)", re.DOTALL
)
# Beginnings of what Airflow says around every task, which tells nothing about this one.
_AIRFLOWS_OWN = (
    "DAG bundles loaded",
    "Executing workload",
    "Filling up the DagBag",
    "Secrets backends loaded",
    "Task finished",
    "Using Public CAs",
    "Worker startup parse complete",
    "Workload finished",
)


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
    code_root: str = CODE_ROOT,
) -> Cause:
    """The cause of a failed run. `task` is its root_failure, `log` the JSON lines of that task's last try.

    `audit` is Airflow's event log of the run, `room` what the largest node can hold, `metrics_task` the one that
    returns the metrics, `kills` whom the kernel killed for memory (None where that is unknown), `code_root` where
    the user's code lies in the image. Tokens and passwords are masked in all that is returned.
    """
    if task is None:
        return _no_failed_task(run, tasks)
    records = parse_log(log)
    pod = last_pod(pods, task)
    raised = next((record.raised for record in reversed(records) if record.raised), ())
    found = (
        _from_pod(task, pod, records, raised, room)
        or killed(task, pod, records, kills, _last_texts(records))
        or _from_token(task, raised)
        or _from_metrics(task, raised, metrics_task)
        or _from_exception(task, records, raised, code_root, _ended_before(task, tasks))
        or _from_exit(task, records)
        or _from_audit(task, audit)
        or _from_last_lines(task, pod, records)
    )
    others = sum(1 for other in tasks if other.state == "failed" and other.key != task.key)
    suffix = ("" if task.try_number <= 1 else f" (try {task.try_number} of {task.max_tries + 1})") + (
        f"; {others} more failed" if others else ""
    )
    return Cause(
        code=found.code.code,
        message=redact(found.message + suffix),
        task_id=task.task_id,
        hint=found.hint or "harness logs",
        evidence=tuple(redact(line) for line in found.evidence[:EVIDENCE_LINES]),
    )


def last_said(log: str) -> tuple[str, ...]:
    """The last lines of a task's log that are not Airflow's own, secrets masked."""
    return tuple(redact(text) for text in _last_texts(parse_log(log)))


def last_pod(pods: Iterable[Pod], task: TaskInstance) -> Pod | None:
    """The pod of a task's last try: the one it says it ran on, else the newest made for that try."""
    mine = [pod for pod in pods if pod.key == (task.task_id, task.map_index, task.try_number)]
    named = next((pod for pod in mine if pod.name == task.pod), None)
    return named or max(mine, key=lambda pod: (pod.created_at is not None, pod.created_at), default=None)


def _no_failed_task(run: DagRun, tasks: Sequence[TaskInstance]) -> Cause:
    states = ", ".join(f"{task.label} {task.state}" for task in tasks if task.state != "success")
    return Cause(
        code=CauseCode.TASK_FAILED.code,
        message=f"DAG {run.dag_id} failed without a failed task" + (f": {states}" if states else ""),
        hint="see the DAG's dagrun_timeout, and which of its tasks may be skipped",
    )


def _from_pod(
    task: TaskInstance,
    pod: Pod | None,
    records: Sequence[LogRecord],
    raised: Sequence[Raised],
    room: Resources | None,
) -> Finding | None:
    found = trouble(pod, room) if pod else None
    if pod is None or found is None:
        return None
    # A pod that was removed while its task failed of itself is no news.
    if found.error.cause is CauseCode.POD_DELETED and raised and not _was_terminated(records, raised):
        return None
    last = _last_texts(records)
    return Finding(
        found.error.cause,
        f"task {task.label}: {found.error.message}",
        found.error.hint,
        found.error.evidence or last,
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


def _from_exit(task: TaskInstance, records: Sequence[LogRecord]) -> Finding | None:
    exited = next((record.exited for record in reversed(records) if record.exited is not None), None)
    if exited is None:
        return None
    return Finding(
        CauseCode.TASK_FAILED,
        f"task {task.label} ended itself: sys.exit({exited})",
        "return from the task instead: Airflow takes any exit for a failure",
        _last_texts(records),
    )


def _from_token(task: TaskInstance, raised: Sequence[Raised]) -> Finding | None:
    """A token that Airflow gave the task when it was queued, and refused when the task came with it."""
    if not any(_TOKEN_REFUSED.search(str(entry)) for entry in raised):
        return None
    return Finding(
        CauseCode.API_SERVER_LOST,
        f"task {task.label}: its token had expired, so Airflow refused what it asked: it waited for too long",
        "run the test again; harness status shows what else the cluster was doing",
        tuple(map(str, raised)),
    )


def _from_metrics(task: TaskInstance, raised: Sequence[Raised], metrics_task: str | None) -> Finding | None:
    """Numbers that Airflow itself refused to keep, which therefore never came to be read as metrics."""
    wrong = next((found for entry in raised if (found := not_a_metric(entry))), None)
    if wrong is None or task.task_id != metrics_task:
        return None
    return Finding(
        CauseCode.METRICS_INVALID,
        f"task {task.label}: {wrong}",
        "harness logs: see where the training went wrong",
        tuple(map(str, raised)),
    )


def _from_exception(
    task: TaskInstance,
    records: Sequence[LogRecord],
    raised: Sequence[Raised],
    code_root: str,
    has_earlier: bool,
) -> Finding | None:
    if not raised:
        return None
    first = raised[0]
    ours = users_frames(first, code_root)
    place = f" at {ours[0]}" if ours else ""
    root = raised[-1]
    because = f" (from {root})" if len(raised) > 1 else ""
    lost = next((path for entry in raised if (path := missing_file(entry))), None) if has_earlier else None
    if lost is not None:
        because += (
            f"; each task has a file system of its own: what an earlier task wrote to {lost} is not in it"
        )
    evidence: list[str] = []
    for entry in raised:
        evidence.append(str(entry))
        evidence += [f"  {frame}" for frame in users_frames(entry, code_root)[:4]]
        if entry.frames and not is_users(entry.frames[-1], code_root):
            evidence.append(f"  {shortened(entry.frames[-1], code_root)}")
    if not ours:  # raised by an operator: what was printed before tells more than its frames
        evidence += _last_texts([record for record in records if not record.raised])
    return Finding(
        CauseCode.TASK_FAILED,
        f"task {task.label} failed{place}: {first}{because}",
        next((hint for entry in raised if (hint := hint_for(entry, code_root))), ""),
        tuple(evidence),
    )


def _from_audit(task: TaskInstance, audit: Sequence[AuditEvent]) -> Finding | None:
    """What Airflow's executor or scheduler noted when it failed the task itself."""
    texts = [
        event.text
        for event in audit
        if event.event in {"state mismatch", "heartbeat timeout", "stuck in queued reschedule"}
        and event.task_id == task.task_id
        and (event.map_index is None or event.map_index == task.map_index)
        and (event.try_number is None or event.try_number == task.try_number)
    ]
    if not texts:
        return None
    evidence = tuple(texts[-3:])
    if (match := re.search(r"exceeded quota[^\"\\]*", texts[-1])) is not None:
        return Finding(
            CauseCode.QUOTA_EXCEEDED,
            f"task {task.label} got no pod: {match[0]}",
            "lower the task's requests, or run fewer tasks at once (max_active_tasks)",
            evidence,
        )
    code = CauseCode.TASK_FAILED if task.started_at else CauseCode.POD_NOT_STARTED
    reason = texts[-1].split("Extra info: ")[-1]
    if (refusal := _refusal(reason)) is not None:
        return Finding(
            code,
            f"task {task.label} got no pod: Kubernetes refused it: {refusal}",
            "check the task's pod_override; a version's namespace enforces the pod security standard `restricted`",
            (refusal,),
        )
    return Finding(code, f"task {task.label} was failed by Airflow: {_first_line(reason)}", "", evidence)


def _refusal(text: str) -> str | None:
    """The API server's own words in what its client made an exception of."""
    found = re.search(r'"message":("(?:[^"\\]|\\.)*")', text)
    return str(json.loads(found[1], strict=False)) if found else None


def _from_last_lines(task: TaskInstance, pod: Pod | None, records: Sequence[LogRecord]) -> Finding:
    errors = [record.text for record in records if record.level in {"error", "critical"}]
    evidence = tuple(errors[-5:]) or _last_texts(records)
    if errors:
        return Finding(
            CauseCode.TASK_FAILED, f"task {task.label} failed: {_first_line(errors[-1])}", "", evidence
        )
    code = pod.base.exit_code if pod and pod.base else None
    if code:
        return Finding(
            CauseCode.TASK_FAILED,
            f"task {task.label} failed: its pod ended with exit code {code}",
            "",
            evidence,
        )
    return Finding(
        CauseCode.TASK_FAILED, f"task {task.label} failed and its log does not say why", "", evidence
    )


def _last_texts(records: Sequence[LogRecord]) -> tuple[str, ...]:
    told = (record.text for record in records if not record.text.startswith(("::", *_AIRFLOWS_OWN)))
    return tuple(told)[-4:]


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:300]
