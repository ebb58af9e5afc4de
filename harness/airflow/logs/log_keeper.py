"""Task logs kept while they are written: a pod that is deleted, evicted or lost takes its own with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.airflow.logs.redaction import Redactor
from harness.airflow.pods.pods import Pod
from harness.airflow.pods.watch import ClusterPods
from harness.errors import HarnessError

LIMIT_BYTES = 32 << 20  # of one pod's log
LAST_LINES_S = 5.0
_BETWEEN, _SUFFIX = "~", ".log"


class LogKeeper:
    """Follows the log of each task pod from its start into a file of its own in `folder`.

    `redactor` takes secrets out of each line. Following ends with the pods, and holds up nobody who ends before.
    """

    def __init__(self, pods: ClusterPods, folder: Path, redactor: Redactor) -> None:
        self._pods = pods
        self._folder = folder
        self._redactor = redactor
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()  # several runs may be followed at once

    def finish(self) -> None:
        """Return when the logs have ended, since their pods have, or after LAST_LINES_S."""
        until = time.monotonic() + LAST_LINES_S
        for thread in list(self._threads.values()):
            thread.join(timeout=max(0.0, until - time.monotonic()))

    def see(self, pods: Iterable[Pod]) -> None:
        """Begin to follow those that have started; called again and again with the pods of the run."""
        with self._lock:
            for pod in pods:
                following = self._threads.get(pod.name)
                broken_off = following is not None and not following.is_alive() and not pod.ended
                if pod.started_at is not None and not pod.deleted and (following is None or broken_off):
                    thread = threading.Thread(
                        target=self._follow, args=(pod,), daemon=True, name=f"log {pod.name}"
                    )
                    self._threads[pod.name] = thread
                    thread.start()

    def text(self, pod: Pod) -> str:
        """What is kept of a pod's log so far; empty when there is nothing."""
        path = self._folder / _file_name(pod)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _follow(self, pod: Pod) -> None:
        kept_bytes = 0
        with ExitStack() as opened, suppress(HarnessError, OSError):  # the pod went away, or the disk is full
            file = None
            for line in self._redactor.lines(self._pods.follow_log(pod.name, "base")):
                if file is None:  # not before: a second attempt must not empty what the first one kept
                    path = self._folder / _file_name(pod)
                    file = opened.enter_context(path.open("w", encoding="utf-8", buffering=1))
                kept_bytes += len(line) + 1
                if kept_bytes > LIMIT_BYTES:
                    file.write(f"(the log goes on; no more than {LIMIT_BYTES >> 20} MiB are kept)\n")
                    return
                file.write(line + "\n")


def keep_component_log(folder: Path, component: str, pod: str, text: str) -> None:
    """Keep what a container of Airflow's own said, `text` without secrets, beside the logs of tasks."""
    path = folder / (_BETWEEN.join((component, "1", pod)) + _SUFFIX)
    path.write_text(text, encoding="utf-8", errors="replace")


@dataclass(frozen=True)
class KeptLog:
    """One pod's log as a file. `label` is the task's id, with the index of a mapped one."""

    path: Path
    label: str
    pod: str

    def is_of(self, name: str) -> bool:
        """Whether `name` is its task's, with or without the index of a mapped one, or its pod's."""
        return name in {self.label, self.label.partition("[")[0], self.pod}

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8", errors="replace")


def kept_logs(folder: Path) -> tuple[KeptLog, ...]:
    """What was kept in a folder, the oldest first."""
    found = []
    for path in sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime):
        label, _, try_and_pod = path.name.removesuffix(_SUFFIX).partition(_BETWEEN)
        found.append(KeptLog(path, label, try_and_pod.rpartition(_BETWEEN)[2]))
    return tuple(found)


def _file_name(pod: Pod) -> str:
    """Task, try and pod: all of them are plain names, and a task's may be as long as a file's."""
    label = pod.task_id if pod.map_index < 0 else f"{pod.task_id}[{pod.map_index}]"
    return _BETWEEN.join((label[:140], str(pod.try_number), pod.name)) + _SUFFIX
