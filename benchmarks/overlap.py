"""Which versions were at work at the same time, by what their pods themselves tell."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType

from benchmarks.repositories import PROJECT
from harness.airflow.pods.pods import Pod
from harness.cluster import labels
from harness.cluster.api import KubernetesApi
from harness.errors import HarnessError

INTERVAL_S = 0.5
Span = tuple[datetime, datetime]


class Overlap:
    """Looks at the project's pods from the beginning of a `with` block to its end.

    A version's span is from the start of its first container, task pods' and control plane's, to the end of its
    last. A removed pod tells no end: then the last time counts at which it was seen to run. An Airflow that stood
    by was no version yet: its span begins when it is one.
    """

    def __init__(self, api: KubernetesApi) -> None:
        self.spans: dict[str, Span] = {}
        self._api = api
        self._since: dict[str, datetime] = {}  # when a namespace was first seen to be a version
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="overlap", daemon=True)

    def __enter__(self) -> Overlap:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=60)

    def most(self, namespaces: Collection[str]) -> int:
        """How many of these versions were at work at the same time, at most."""
        return most([span for namespace, span in self.spans.items() if namespace in namespaces])

    def _work(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            with suppress(HarnessError):  # of a busy API server; the next look tells more
                self._look()

    def _look(self) -> None:
        selector = f"{labels.PROJECT}={PROJECT}"
        now = datetime.now(UTC)
        for item in self._api.list("/api/v1/namespaces", labelSelector=f"{selector},{labels.ROLE}=version"):
            self._since.setdefault(item["metadata"]["name"], now)
        for item in self._api.list("/api/v1/pods", labelSelector=selector):
            namespace = item["metadata"]["namespace"]
            for container in Pod.of(item).containers if namespace in self._since else ():
                if container.started_at is not None:
                    end = container.ended_at or now
                    begin = max(container.started_at, self._since[namespace])
                    first, last = self.spans.get(namespace, (begin, end))
                    self.spans[namespace] = (min(first, begin), max(last, end))


def most(spans: Iterable[Span]) -> int:
    """How many of these spans have a moment in common."""
    known = list(spans)
    return max((sum(first <= begin < last for first, last in known) for begin, _ in known), default=0)
