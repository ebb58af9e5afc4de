"""The runs that a version is asked for, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.airflow.logs.log_keeper import LogKeeper
from harness.airflow.pods.watch import ClusterPods
from harness.airflow.release import control_plane, mlflow_server
from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.xcom_backend import SETTING
from harness.airflow.run import pools
from harness.cluster.running_cluster import RunningCluster
from harness.engine.testing import dag_test
from harness.engine.testing.measured import Wanted
from harness.engine.testing.plan import Plan
from harness.image.lock.of_commit import edited
from harness.progress import Progress
from harness.report.model import TestResult, VersionResult

MLFLOW_DEADLINE_S = 180.0


@dataclass(frozen=True)
class Runs:
    """A version that is ready for its runs.

    `settled` returns once DAGs can run, `pause` sleeps, `redact` takes the version's secrets out of what is kept.
    """

    running: RunningCluster
    airflow: AirflowApi
    pods: ClusterPods
    plan: Plan
    found: VersionResult
    keeper: LogKeeper
    settled: Callable[[], None]
    pause: Callable[[float], None]
    redact: Callable[[str], str]

    def made(self, wanted: Sequence[Wanted], progress: Progress) -> dict[str, TestResult]:
        """Their results by their keys; after a test's first failure no more of it is run.

        Raises HarnessError(API_SERVER_LOST) when the pools can't be made.
        """
        pools.make(self.airflow, self.plan.secrets.pools)
        if self.plan.uses_mlflow:
            self.settled()
            mlflow_server.start(self.running.api, self.pods.namespace)
        made: dict[str, TestResult] = {}
        failed: set[str] = set()
        for each in wanted:
            if each.test not in failed:
                found = dag_test.run(self._dag_test(each, progress), progress)
                parameters = {name: self.redact(value) for name, value in found.parameters.items()}
                made[each.key] = found.model_copy(update={"parameters": parameters})
                if made[each.key].verdict != "passed":
                    failed.add(each.test)
        return made

    def _ready(self, progress: Progress) -> None:
        """Return when DAGs can run, with what they log to."""
        self.settled()
        if self.plan.uses_mlflow:
            with progress.waiting("waiting for the version's MLflow") as step:
                mlflow_server.wait_ready(
                    self.running.api,
                    self.pods.namespace,
                    deadline_s=MLFLOW_DEADLINE_S,
                    on_change=step.update,
                )

    def _dag_test(self, wanted: Wanted, progress: Progress) -> dag_test.DagTest:
        commit = self.plan.commit
        image = self.plan.project.image_settings(commit)
        return dag_test.DagTest(
            api=self.airflow,
            pods=self.pods,
            name=wanted.test,
            settings=wanted.settings,
            logical_date=wanted.date,
            dags_folder=image.dags_folder,
            read_source=dag_test.source_reader(commit, image.dags_folder),
            sleep=self.pause,
            keeper=self.keeper,
            before_run=lambda: self._ready(progress),
            image=self.found.image.name if self.found.image else "",
            gated=tuple(self.plan.tests[wanted.test].gates),
            is_base=self.found.role == "base",
            shared=image.shared,
            has_xcom_backend=SETTING in image.env,
            execute=self._execute,
            requirements=edited(commit, image),
        )

    def _execute(self, argv: Sequence[str]) -> str:
        """What a program prints in the version's control plane."""
        return control_plane.output(self.running.server, self.running.api, self.pods.namespace, argv)
