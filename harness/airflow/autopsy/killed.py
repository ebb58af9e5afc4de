"""Why a task's process was ended by a signal, and which processes below it died."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from harness.airflow.autopsy.pod_trouble import MEMORY_HINT, SHARED_MEMORY_HINT
from harness.airflow.logs.excerpts import whole
from harness.airflow.logs.task_log import LogRecord, Raised, last_texts
from harness.airflow.pods.pods import Pod, shown_bytes
from harness.airflow.rest.models import TaskInstance
from harness.cluster.kind.kernel_log import OomKill
from harness.errors import CauseCode, HarnessError

POOL_HINT = "see why that process ended: for such a one multiprocessing waits for ever, where concurrent.futures raises"
SPAWN_HINT = (
    "a process that multiprocessing spawns imports Airflow anew, which no task may: take "
    "multiprocessing.get_context('fork'), or joblib"
)
LAST_LINES_HINT = "harness logs: its last lines tell what it was doing"
_BY_WORDS = {  # in what is told of a process that died
    "SpawnPoolWorker": SPAWN_HINT,
    "SpawnProcess": SPAWN_HINT,
    "SIGBUS": SHARED_MEMORY_HINT,
    "SIGILL": "a compiled package uses instructions that this machine's processor lacks: take its build for older ones",
}
NAMED_CHILDREN = 2
_CHILD_LOST = {"BrokenProcessPool", "TerminatedWorkerError"}  # of concurrent.futures, and of joblib's loky
# subprocess, multiprocessing and PyTorch's DataLoader, a shell's exit code.
_CHILD_KILLED = re.compile(
    r"died with <Signals\.SIGKILL|killed by signal: (?:Killed|9\b)|SIGKILL|exit(?: ?code|ed with)?[ =:]+(?:-9|137)\b"
)
_CHILD_CRASHED = re.compile(
    r"died with <Signals\.SIG|killed by signal: |(?:exit(?: ?code|ed with)?|ended with)[ =:]+(?:-\d+|13[2-9])\b"
)

_CHILD_ENDED = re.compile(r"harness: process (?P<name>.+) ended with (?P<how>.+)")  # by sitecustomize.py


def killed(
    task: TaskInstance,
    pod: Pod | None,
    records: Sequence[LogRecord],
    kills: Sequence[OomKill] | None,
    evidence: tuple[str, ...],
) -> HarnessError | None:
    """What ended the process, as far as the log tells of a signal; None when it tells of none.

    `kills` are those for memory that the node's kernel remembers; None: it could not be asked.
    """
    ended = next((record for record in reversed(records) if record.signal), None)
    if ended is None:
        return None
    limit = pod.limits.memory_bytes if pod else None
    if (found := at_its_limit(task, pod, kills, evidence)) is not None:
        return found
    name = _name(ended.signal or 0)
    if ended.signal == signal.SIGKILL and kills is None:
        about = f" (its memory limit is {shown_bytes(limit)})" if limit else ""
        return HarnessError(
            CauseCode.TASK_FAILED,
            f"task {task.label} was killed ({name}), most likely for using too much memory{about}",
            hint=MEMORY_HINT,
            evidence=evidence,
        )
    how = "was killed" if ended.signal == signal.SIGKILL else "was ended"
    return HarnessError(
        CauseCode.TASK_FAILED,
        f"task {task.label} {how} by {name}" + (", not for its memory" if how == "was killed" else ""),
        hint=_BY_WORDS.get(name, LAST_LINES_HINT),
        evidence=evidence,
    )


def at_its_limit(
    task: TaskInstance, pod: Pod | None, kills: Sequence[OomKill] | None, evidence: tuple[str, ...]
) -> HarnessError | None:
    """What the kernel tells of a kill for memory in the task's pod; None when it tells of none."""
    victim = _victim(pod, kills)
    if victim is None:
        return None
    what = f"was killed at its memory limit{_of(pod)}: its process had a peak of {shown_bytes(victim.held_bytes)}"
    return _out_of_memory(task, f"{what}, the rest is Airflow's", evidence)


def child_killed(
    task: TaskInstance, pod: Pod | None, raised: Sequence[Raised], kills: Sequence[OomKill] | None
) -> HarnessError | None:
    """A process of the task's own that the kernel killed for memory: Python says only that it is gone."""
    found = (entry for first in raised for entry in first.with_inner)
    lost = next((entry for entry in found if _lost_a_child(entry)), None)
    victim = _victim(pod, kills)
    if victim is not None and raised and raised[0].kind == "AirflowTaskTimeout":
        evidence = tuple(whole(str(entry)) for entry in raised)
        return hung_after_kill(task, pod, kills, "its execution_timeout was over", evidence)
    if lost is None or victim is None:
        return None
    return _out_of_memory(
        task,
        f"failed because a process that it had started was killed at the memory limit{_of(pod)}: it had a peak of "
        f"{shown_bytes(victim.held_bytes)} ({lost.kind})",
        tuple(whole(str(entry)) for entry in raised),
    )


def hung_after_kill(
    task: TaskInstance,
    pod: Pod | None,
    kills: Sequence[OomKill] | None,
    until: str,
    evidence: tuple[str, ...],
) -> HarnessError | None:
    """What a task waited for that still ran when its time was over: a process that the kernel had killed for memory.

    `until` is what is told of that time. None where the kernel tells of no kill in the task's pod.
    """
    victim = _victim(pod, kills)
    if victim is None:
        return None
    return _out_of_memory(
        task,
        f"lost a process that it had started, which was killed at the memory limit{_of(pod)} with a peak of "
        f"{shown_bytes(victim.held_bytes)}, and hung since then: {until}",
        evidence,
    )


def child_died(
    task: TaskInstance, records: Sequence[LogRecord], raised: Sequence[Raised]
) -> HarnessError | None:
    """A process of the task's own that crashed, was killed or ended itself, where that is why the task failed."""
    ended = _ended_children(records)
    if not ended or not raised:
        return None
    evidence = (*(whole(str(entry)) for entry in raised), *last_texts(records))
    if raised[0].kind == "AirflowTaskTimeout":
        return hung_after_death(task, records, "its execution_timeout was over", evidence)
    found = [entry for first in raised for entry in first.with_inner]
    if not any(_lost_a_child(entry) or _CHILD_CRASHED.search(entry.message) for entry in found):
        return None
    return HarnessError(
        CauseCode.TASK_FAILED,
        f"task {task.label} failed because a process that it had started died: {ended} ({raised[0].kind})",
        hint=_hint(ended, LAST_LINES_HINT),
        evidence=evidence,
    )


def hung_after_death(
    task: TaskInstance, records: Sequence[LogRecord], until: str, evidence: tuple[str, ...]
) -> HarnessError | None:
    """What a task may wait for that still ran when its time was over; None where no process below it died."""
    ended = _ended_children(records)
    if not ended:
        return None
    return HarnessError(
        CauseCode.TASK_FAILED,
        f"task {task.label} lost a process that it had started, {ended}, and seems to wait for it since then: {until}",
        hint=_hint(ended, POOL_HINT),
        evidence=evidence,
    )


def _hint(ended: str, otherwise: str) -> str:
    return next((hint for word, hint in _BY_WORDS.items() if word in ended), otherwise)


def _ended_children(records: Sequence[LogRecord]) -> str:
    """Each process that died, and of what; the first ones, as pools start another for each."""
    found = [match for record in records if (match := _CHILD_ENDED.fullmatch(record.text))]
    told = ", ".join(f"{match['name']} by {match['how']}" for match in found[:NAMED_CHILDREN])
    more = len(found) - NAMED_CHILDREN
    return f"{told} and {more} more" if more > 0 else told


def _lost_a_child(raised: Raised) -> bool:
    return raised.kind in _CHILD_LOST or _CHILD_KILLED.search(raised.message) is not None


def _victim(pod: Pod | None, kills: Sequence[OomKill] | None) -> OomKill | None:
    return next((kill for kill in reversed(kills or ()) if pod and kill.pod_uid == pod.uid), None)


def _of(pod: Pod | None) -> str:
    limit = pod.limits.memory_bytes if pod else None
    return f" of {shown_bytes(limit)}" if limit else ""


def _out_of_memory(task: TaskInstance, what: str, evidence: tuple[str, ...]) -> HarnessError:
    return HarnessError(
        CauseCode.TASK_OUT_OF_MEMORY, f"task {task.label} {what}", hint=MEMORY_HINT, evidence=evidence
    )


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
