"""Why a task's process was ended by a signal."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from harness.airflow.finding import Finding
from harness.airflow.models import TaskInstance
from harness.airflow.pod_trouble import MEMORY_HINT
from harness.airflow.pods import Pod, shown_bytes
from harness.airflow.task_log import LogRecord
from harness.cluster.kernel_log import OomKill
from harness.errors import CauseCode


def killed(
    task: TaskInstance,
    pod: Pod | None,
    records: Sequence[LogRecord],
    kills: Sequence[OomKill] | None,
    evidence: tuple[str, ...],
) -> Finding | None:
    """What ended the process, as far as the log tells of a signal; None when it tells of none.

    `kills` are those for memory that the node's kernel remembers; None: it could not be asked.
    """
    ended = next((record for record in reversed(records) if record.signal), None)
    if ended is None:
        return None
    limit = pod.limits.memory_bytes if pod else None
    victim = next((kill for kill in reversed(kills or ()) if pod and kill.pod_uid == pod.uid), None)
    if victim is not None:
        at = f" of {shown_bytes(limit)}" if limit else ""
        return Finding(
            CauseCode.TASK_OUT_OF_MEMORY,
            f"task {task.label} was killed at its memory limit{at}: its process had a peak of "
            f"{shown_bytes(victim.held_bytes)}, the rest is Airflow's",
            MEMORY_HINT,
            evidence,
        )
    name = _name(ended.signal or 0)
    if ended.signal == signal.SIGKILL and kills is None:
        about = f" (its memory limit is {shown_bytes(limit)})" if limit else ""
        return Finding(
            CauseCode.TASK_FAILED,
            f"task {task.label} was killed ({name}), most likely for using too much memory{about}",
            MEMORY_HINT,
            evidence,
        )
    how = "was killed" if ended.signal == signal.SIGKILL else "was ended"
    return Finding(
        CauseCode.TASK_FAILED,
        f"task {task.label} {how} by {name}" + (", not for its memory" if how == "was killed" else ""),
        "harness logs: its last lines tell what it was doing",
        evidence,
    )


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
