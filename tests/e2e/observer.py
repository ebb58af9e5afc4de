"""Looks at the cluster while the product works, with the official client and without the product's code."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from kubernetes import client, config

from harness.host import process

INTERVAL_S = 0.5


@dataclass
class ObservedPod:
    """A pod as it was seen: what the executor says it is for, and every imageID its container had."""

    namespace: str
    name: str
    labels: dict[str, str]
    annotations: dict[str, str]
    phases: set[str] = field(default_factory=set)
    image_ids: set[str] = field(default_factory=set)

    @property
    def instance(self) -> tuple[str, int]:
        """Task id and map index of the task instance that runs in it."""
        return self.annotations["task_id"], int(self.annotations.get("map_index", "-1"))


class Observer:
    """Collects task pods and Helm releases from the beginning of a `with` block to its end."""

    def __init__(self, kubeconfig: Path, helm: Path) -> None:
        self.pods: dict[tuple[str, str], ObservedPod] = {}
        self.releases: set[tuple[str, str, str]] = set()
        # Of each version: from its first pod to its last.
        self.spans: dict[str, tuple[datetime, datetime]] = {}
        self._began = datetime.now(UTC)
        self._api = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))
        self._helm = [helm, "list", "--all-namespaces", "--output", "json", "--kubeconfig", kubeconfig]
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="observer")

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=60)
        if self._error is not None and error is None:
            raise self._error

    def _work(self) -> None:
        try:
            while not self._stop.wait(INTERVAL_S):
                running = self._look()
                if running - {namespace for namespace, _, _ in self.releases}:
                    listed = json.loads(process.run(self._helm).stdout)
                    self.releases |= {(each["namespace"], each["name"], each["status"]) for each in listed}
        except Exception as error:  # noqa: BLE001  raised where the block ends
            self._error = error

    def _look(self) -> set[str]:
        """Note what is there; returns the namespaces in which a task's container runs right now."""
        for pod in self._api.list_pod_for_all_namespaces(label_selector="harness.local/project").items:
            for status in pod.status.container_statuses or []:
                if status.state.running:
                    # One that stood by was not at work before somebody watched.
                    started, now = max(status.state.running.started_at, self._began), datetime.now(UTC)
                    first, _ = self.spans.get(pod.metadata.namespace, (started, now))
                    self.spans[pod.metadata.namespace] = (min(first, started), now)
        running = set()
        for pod in self._api.list_pod_for_all_namespaces(label_selector="kubernetes_executor").items:
            key = (pod.metadata.namespace, pod.metadata.name)
            seen = self.pods.setdefault(
                key, ObservedPod(*key, dict(pod.metadata.labels), dict(pod.metadata.annotations or {}))
            )
            seen.phases.add(pod.status.phase)
            seen.image_ids |= {each.image_id for each in pod.status.container_statuses or [] if each.image_id}
            if pod.status.phase == "Running":
                running.add(pod.metadata.namespace)
        return running
