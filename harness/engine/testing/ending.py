"""What becomes of a version whose verdict is known: it goes or is kept, and the next test's Airflow is started."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from harness.airflow.release import control_plane, release
from harness.airflow.release.release import Release
from harness.airflow.release.versions import KEPT_S
from harness.cluster import labels
from harness.cluster.running_cluster import RunningCluster
from harness.engine import lifetime
from harness.engine.admission.admission import Admission
from harness.engine.testing.deployment import Deployment, stand_by
from harness.engine.testing.plan import Request
from harness.errors import HarnessError
from harness.hints import option
from harness.host import process
from harness.image.build import Foundation
from harness.progress import Progress
from harness.report.model import Cause, VersionResult

REMOVAL_DEADLINE_S = 600.0  # a busy cluster takes its time, and the verdict is known


@dataclass(frozen=True)
class Successor:
    """What the next test of the same dependencies takes: an Airflow like `wanted`, in a namespace of its own."""

    wanted: Release
    foundation: Foundation
    code: tuple[str, ...]
    namespace: str


@dataclass(frozen=True)
class Ending:
    """The end of one version on the cluster. `keep_results` hands what was measured over to the cluster."""

    running: RunningCluster
    request: Request
    project: str
    admission: Admission
    deployment: Deployment
    progress: Progress
    successor: Successor | None
    keep_results: Callable[[], None]

    def foreseen(self, found: VersionResult) -> VersionResult:
        """The result with whether the version stays, which is told before `run` sees to it."""
        is_asked = self.request.keep == "on-failure" and found.verdict != "passed"
        kept = found.namespace is not None and (is_asked or self.request.keep == "always")
        return found.model_copy(update={"kept": kept})

    def run(self, found: VersionResult) -> VersionResult:
        """Let the version rest if it is kept, else remove it; a removal that fails becomes the result's cause."""
        if found.namespace is None:
            return found
        if found.kept:
            self._rest(found.namespace, found.verdict)
            return found
        try:
            self._remove(found.namespace)
        except HarnessError as error:
            if found.cause is not None:  # the version has one cause only
                self.progress.note(f"{found.namespace} was not removed: {error.message}. Next: {error.hint}")
            found = found.model_copy(update={"cause": found.cause or Cause.of(error), "kept": True})
        return found.model_copy(update={"phases": dict(self.deployment.phases)})

    def _rest(self, namespace: str, verdict: str) -> None:
        mark(self.running, namespace, verdict)
        where = f"{namespace}{option(self.request.cluster)}"
        self.progress.note(f"{namespace} is kept. Look: harness ui {where}, harness logs {where}")
        self.progress.note(f"Remove: harness down {where}")
        with self.progress.waiting(f"letting {namespace} rest, and starting what the next test takes"):
            with suppress(HarnessError):
                lifetime.keep(self.running.api, namespace, self.request.kept_s or KEPT_S)
                control_plane.rest(self.running.api, self.running.server, namespace)
            self.keep_results()
            self._stand_by()

    def _remove(self, namespace: str) -> None:
        with self.deployment.phase("remove_s"), self.progress.step(f"removing {namespace}") as step:
            with process.threads(1) as executor:
                executor.submit(self.keep_results)
                executor.submit(self._stand_by)
                release.remove(
                    self.running.api,
                    self.running.server,
                    namespace,
                    deadline_s=REMOVAL_DEADLINE_S,
                    on_change=step.update,
                )
                lifetime.remove_images(self.running, self.project, self.admission.leases)
                step.update("it is gone; starting what the next test takes")
            step.done("")

    def _stand_by(self) -> None:
        """Start what the next test of the same dependencies will take; without it that one is only slower."""
        next_one = self.successor
        if next_one is None or not (self.request.stand_by or self.deployment.stood_by):
            return
        with suppress(HarnessError):
            if not self.admission.is_crowded():  # then one that ends later does it
                self.running.load(next_one.foundation.image)
                stand_by(
                    self.running,
                    next_one.wanted,
                    next_one.foundation,
                    next_one.code,
                    namespace=next_one.namespace,
                )


def mark(running: RunningCluster, namespace: str | None, state: str) -> None:
    """Say on the version's namespace how far it is: for `harness status` alone."""
    with suppress(HarnessError):
        path = f"/api/v1/namespaces/{namespace}"
        running.api.patch(path, {"metadata": {"annotations": {labels.STATE: state}}})
