"""Why a run failed: from task instances, pods, events and a task's log to one cause. Pure functions."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.airflow.models import AuditEvent, DagRun, Frame, TaskInstance
from harness.airflow.pod_trouble import MEMORY_HINT, trouble
from harness.airflow.pods import Pod, Resources, shown_bytes
from harness.airflow.redaction import redact
from harness.airflow.task_log import LogRecord, Raised, parse_log
from harness.errors import CauseCode
from harness.report.model import Cause

CODE_ROOT = "/opt/airflow"
EVIDENCE_LINES = 12
_MISSING_FILE = re.compile(r"No such file or directory: '(?P<path>[^']+)'")
_MISSING_MODULE = re.compile(r"No module named '(?P<name>[^'.]+)")


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
    code_root: str = CODE_ROOT,
) -> Cause:
    """The cause of a failed run. `task` is its root_failure, `log` the JSON lines of that task's last try.

    `audit` is Airflow's event log of the run, `room` what the largest node can hold, `code_root` where the
    user's code lies in the image. Tokens and passwords are masked in all that is returned.
    """
    if task is None:
        return _no_failed_task(run, tasks)
    records = parse_log(log)
    pod = last_pod(pods, task)
    raised = next((record.raised for record in reversed(records) if record.raised), ())
    found = (
        _from_pod(task, pod, records, raised, room)
        or _from_signal(task, pod, records)
        or _from_exception(task, raised, code_root)
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


def last_pod(pods: Iterable[Pod], task: TaskInstance) -> Pod | None:
    """The pod of a task's last try: the one it says it ran on, else the newest made for that try."""
    mine = [pod for pod in pods if pod.key == (task.task_id, task.map_index, task.try_number)]
    named = next((pod for pod in mine if pod.name == task.pod), None)
    return named or max(mine, key=lambda pod: (pod.created_at is not None, pod.created_at), default=None)


@dataclass(frozen=True)
class _Found:
    code: CauseCode
    message: str
    hint: str = ""
    evidence: tuple[str, ...] = ()


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
) -> _Found | None:
    found = trouble(pod, room) if pod else None
    if pod is None or found is None:
        return None
    # A pod that was removed while its task failed of itself is no news.
    if found.error.cause is CauseCode.POD_DELETED and raised and not _was_terminated(records, raised):
        return None
    last = _last_texts(records)
    return _Found(
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


def _from_signal(task: TaskInstance, pod: Pod | None, records: Sequence[LogRecord]) -> _Found | None:
    killed = next((record for record in reversed(records) if record.signal), None)
    if killed is None:
        return None
    name = _signal_name(killed.signal or 0)
    evidence = _last_texts(records)
    if killed.signal == 9:
        limit = pod.limits.memory_bytes if pod else None
        about = f" (its memory limit is {shown_bytes(limit)})" if limit else ""
        return _Found(
            CauseCode.TASK_FAILED,
            f"task {task.label} was killed ({name}), most likely for using too much memory{about}",
            MEMORY_HINT,
            evidence,
        )
    return _Found(CauseCode.TASK_FAILED, f"task {task.label} was ended by {name}", "", evidence)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _from_exception(task: TaskInstance, raised: Sequence[Raised], code_root: str) -> _Found | None:
    if not raised:
        return None
    first = raised[0]
    ours = _users_frames(first, code_root)
    place = f" at {ours[0]}" if ours else ""
    root = raised[-1]
    because = f" (from {root})" if len(raised) > 1 else ""
    evidence: list[str] = []
    for entry in raised:
        evidence.append(str(entry))
        evidence += [f"  {frame}" for frame in _users_frames(entry, code_root)[:4]]
        if entry.frames and not _is_users(entry.frames[-1], code_root):
            evidence.append(f"  {_shortened(entry.frames[-1], code_root)}")
    return _Found(
        CauseCode.TASK_FAILED,
        f"task {task.label} failed{place}: {first}{because}",
        next((hint for entry in raised if (hint := _exception_hint(entry, code_root))), ""),
        tuple(evidence),
    )


def _users_frames(raised: Raised, code_root: str) -> list[Frame]:
    """The frames in the user's own code, innermost first."""
    return [_shortened(frame, code_root) for frame in reversed(raised.frames) if _is_users(frame, code_root)]


def _is_users(frame: Frame, code_root: str) -> bool:
    path = PurePosixPath(frame.file)
    return path.is_relative_to(code_root) and not {"site-packages", "dist-packages"} & set(path.parts)


def _shortened(frame: Frame, code_root: str) -> Frame:
    path = PurePosixPath(frame.file)
    for folder in ("site-packages", "dist-packages"):
        if folder in path.parts:
            return Frame("/".join(path.parts[path.parts.index(folder) + 1 :]), frame.line, frame.name)
    shown = path.relative_to(code_root) if path.is_relative_to(code_root) else path
    return Frame(str(shown), frame.line, frame.name)


def _exception_hint(raised: Raised, code_root: str) -> str:
    if raised.kind == "FileNotFoundError" and (match := _MISSING_FILE.search(raised.message)):
        path = PurePosixPath(match["path"])
        base = PurePosixPath(code_root)
        folder = path.relative_to(base).parent if path.is_relative_to(base) else None
        where = f'`shared = ["{folder}"]`' if folder and folder.parts else "its folder as `shared`"
        return (
            "each task runs in a pod of its own: if an earlier task wrote this file, put "
            f"{where} under [image] in harness.toml, or hand it over through $HARNESS_ARTIFACTS_URL"
        )
    if raised.kind == "ModuleNotFoundError" and (match := _MISSING_MODULE.search(raised.message)):
        return f"add {match['name']} to the file that [image] requirements names in harness.toml"
    if raised.kind == "MemoryError":
        return MEMORY_HINT
    return ""


def _from_audit(task: TaskInstance, audit: Sequence[AuditEvent]) -> _Found | None:
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
        return _Found(
            CauseCode.QUOTA_EXCEEDED,
            f"task {task.label} got no pod: {match[0]}",
            "lower the task's requests, or run fewer tasks at once (max_active_tasks)",
            evidence,
        )
    code = CauseCode.TASK_FAILED if task.started_at else CauseCode.POD_NOT_STARTED
    reason = texts[-1].split("Extra info: ")[-1]
    return _Found(code, f"task {task.label} was failed by Airflow: {_first_line(reason)}", "", evidence)


def _from_last_lines(task: TaskInstance, pod: Pod | None, records: Sequence[LogRecord]) -> _Found:
    errors = [record.text for record in records if record.level in {"error", "critical"}]
    evidence = tuple(errors[-5:]) or _last_texts(records)
    if errors:
        return _Found(
            CauseCode.TASK_FAILED, f"task {task.label} failed: {_first_line(errors[-1])}", "", evidence
        )
    code = pod.base.exit_code if pod and pod.base else None
    if code:
        return _Found(
            CauseCode.TASK_FAILED,
            f"task {task.label} failed: its pod ended with exit code {code}",
            "",
            evidence,
        )
    return _Found(
        CauseCode.TASK_FAILED, f"task {task.label} failed and its log does not say why", "", evidence
    )


def _last_texts(records: Sequence[LogRecord]) -> tuple[str, ...]:
    return tuple(record.text for record in records if not record.text.startswith("::"))[-4:]


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:300]
