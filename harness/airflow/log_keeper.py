"""Task logs kept while they are written: a pod that is deleted, evicted or lost takes its own with it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.airflow.pods import Pod
from harness.airflow.redaction import Redactor
from harness.airflow.watch import ClusterPods
from harness.errors import HarnessError

LIMIT_BYTES = 32 << 20  # of one pod's log
LAST_LINES_S = 5.0


class LogKeeper:
    """Follows the log of each task pod from its start into a file of its own in `folder`.

    `redactor` takes secrets out of each line. Use it as a context manager: it ends once the pods have.
    """

    def __init__(self, pods: ClusterPods, folder: Path, redactor: Redactor) -> None:
        self._pods = pods
        self._folder = folder
        self._redactor = redactor
        self._threads: dict[str, threading.Thread] = {}

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for thread in self._threads.values():
            thread.join(timeout=LAST_LINES_S if kind is None else 0.0)

    def see(self, pods: Iterable[Pod]) -> None:
        """Begin to follow those that have started; called again and again with the pods of the run."""
        for pod in pods:
            following = self._threads.get(pod.name)
            broken_off = following is not None and not following.is_alive() and not pod.ended
            if pod.started_at is not None and not pod.deleted and (following is None or broken_off):
                thread = threading.Thread(
                    target=self._follow, args=(pod,), daemon=True, name=f"log {pod.name}"
                )
                self._threads[pod.name] = thread
                thread.start()

    def text(self, pod: str) -> str:
        """What is kept of a pod's log so far; empty when there is nothing."""
        path = self._folder / file_name(pod)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _follow(self, pod: Pod) -> None:
        kept_bytes = 0
        with ExitStack() as opened, suppress(HarnessError, OSError):  # the pod went away, or the disk is full
            file = None
            for line in self._redactor.lines(self._pods.follow_log(pod.name, "base")):
                if file is None:  # not before: a second attempt must not empty what the first one kept
                    path = self._folder / file_name(pod.name)
                    file = opened.enter_context(path.open("w", encoding="utf-8", buffering=1))
                kept_bytes += len(line) + 1
                if kept_bytes > LIMIT_BYTES:
                    file.write(f"(the log goes on; no more than {LIMIT_BYTES >> 20} MiB are kept)\n")
                    return
                file.write(line + "\n")


def file_name(pod: str) -> str:
    """The file of a pod's log; a pod's name is a plain file name."""
    return f"{pod}.log"
