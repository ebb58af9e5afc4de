"""Why Airflow itself failed a task, from its event log."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress

from harness.airflow.logs.excerpts import first_line
from harness.airflow.rest.models import AuditEvent, TaskInstance
from harness.errors import CauseCode, HarnessError

_INVALID_CONFIG = "Invalid executor_config passed"


def from_audit(task: TaskInstance, audit: Sequence[AuditEvent]) -> HarnessError | None:
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
        return HarnessError(
            CauseCode.QUOTA_EXCEEDED,
            f"task {task.label} got no pod: {match[0]}",
            hint="lower the task's requests, or run fewer tasks at once (max_active_tasks)",
            evidence=evidence,
        )
    code = CauseCode.TASK_FAILED if task.started_at else CauseCode.POD_NOT_STARTED
    reason = texts[-1].split("Extra info: ")[-1]
    if (refusal := _refusal(reason)) is not None:
        return HarnessError(
            code,
            f"task {task.label} got no pod: Kubernetes refused it: {refusal}",
            hint="check the task's pod_override; a version's namespace enforces the pod security standard `restricted`",
            evidence=(refusal,),
        )
    if _INVALID_CONFIG in reason:
        return HarnessError(
            CauseCode.TASK_FAILED,
            f"task {task.label} got no pod: the KubernetesExecutor can't read its executor_config",
            hint='executor_config takes {"pod_override": V1Pod(...)} of the kubernetes package alone',
            evidence=evidence,
        )
    return HarnessError(
        code, f"task {task.label} was failed by Airflow: {first_line(reason)}", evidence=evidence
    )


def _refusal(text: str) -> str | None:
    """The API server's own words in what its client made an exception of."""
    found = re.search(r'"message":("(?:[^"\\]|\\.)*")', text)
    with suppress(
        ValueError
    ):  # Python may have shown it as one of its own texts, which JSON need not understand
        return str(json.loads(found[1].replace("\\'", "'"), strict=False)) if found else None
    return None
