"""The runs that a version is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial

from harness.airflow.logs.log_keeper import LogKeeper
from harness.airflow.parsing.other_images import other_images
from harness.airflow.pods.watch import ClusterPods
from harness.airflow.release import control_plane, mlflow_server, release
from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.xcom_backend import SETTING
from harness.airflow.run import pools
from harness.cluster.running_cluster import RunningCluster
from harness.engine.admission.processors import Busy, counted
from harness.engine.asking import NOBODY, Asking
from harness.engine.image.other_images import bring
from harness.engine.testing import dag_test
from harness.engine.testing.measured import Wanted
from harness.engine.testing.pairs.pairs import AtOnce, Wishes
from harness.engine.testing.pairs.side_by_side import Pause, SideBySide
from harness.engine.testing.plan import Plan
from harness.errors import HarnessError
from harness.image.lock.of_commit import edited
from harness.isolation import by_pods, written
from harness.progress import Progress
from harness.project.commit import Commit
from harness.project.configuration import TestSettings
from harness.project.places import CodeFiles
from harness.report.model import TaskResult, TestResult, VersionResult

MLFLOW_DEADLINE_S = 180.0
DETAILS_S = 10.0


@dataclass(frozen=True)
class Runs:
    """A version that is ready for its runs.

    `settled` returns once DAGs can run, `pause` sleeps, `redact` takes the version's secrets out of what is kept.
    `side_by_side`: how many runs may go at once, by how many processors the first one kept busy;
    `made` gets their results by their keys; `told` holds what was said of the version, so that no test says it again.
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
    side_by_side: AtOnce
    made: dict[str, TestResult]
    told: set[str] = field(default_factory=set)

    def measured(
        self,
        wanted: Sequence[Wanted],
        wishes: Mapping[str, Wishes],
        progress: Progress,
        asking: Asking = NOBODY,
    ) -> dict[str, TestResult]:
        """Their results by their keys, of as many as are wanted; after a test's first failure no more of it is run.

        Raises HarnessError(API_SERVER_LOST) when the pools can't be made.
        """
        pools.make(self.airflow, self.plan.secrets.pools)
        if self.plan.uses_mlflow:
            self.settled()
            mlflow_server.start(self.running.api, self.pods.namespace)
        runs = SideBySide(
            partial(self._run, progress, {run.test for run in wanted if run.index > 0}),
            self.pause,
            self._most,
            self._changes,
            self.made,
        )
        runs.measure(wanted, wishes)
        if asking.asks:
            asking.serve(partial(self._asked, progress), self.airflow, self.pause)
        return runs.apart(wanted, wishes)

    def _run(
        self, progress: Progress, repeated: Set[str], run: Wanted, pause: Pause, parsed: bool
    ) -> TestResult:
        if not parsed and run.test in repeated:
            self._busy.begin()
        return self._redacted(dag_test.run(self._dag_test(run, progress, pause, parsed), progress))

    @cached_property
    def _busy(self) -> Busy:
        cluster = self.running.cluster
        return Busy(partial(counted, self.running.api, cluster.placement, here=bool(cluster.nodes)))

    def _changes(self) -> dict[str, float] | None:
        """When files on the version's volume were changed, as its nodes tell it, or its pods."""
        running, namespace = self.running, self.pods.namespace
        shared = self.plan.project.image_settings(self.plan.commit).shared
        if running.cluster.nodes:
            return written.changes(running.api, running.cluster.nodes, namespace, shared)
        return by_pods.changes(running, namespace, shared)

    def _asked(self, progress: Progress, name: str, settings: TestSettings) -> TestResult:
        """One run that somebody asks for. Without a logical date it is that of the moment."""
        wanted = Wanted("", name, 0, settings, settings.logical_date or datetime.now(UTC))
        return self._redacted(dag_test.run(self._dag_test(wanted, progress, self.pause, False), progress))

    def _redacted(self, found: TestResult) -> TestResult:
        parameters = {name: self.redact(value) for name, value in found.parameters.items()}
        notes = (*found.notes, *([self._place] if self._place else []))
        tasks = tuple(self._with_digest(task) for task in found.tasks)
        return found.model_copy(update={"parameters": parameters, "notes": notes, "tasks": tasks})

    def _with_digest(self, task: TaskResult) -> TaskResult:
        """With the image's digest, where its node knows it by that of its configuration: nodes differ in that."""
        image = self.found.image
        if image is None or task.image_digest != image.config_digest:
            return task
        return task.model_copy(update={"image_digest": image.digest})

    @cached_property
    def _place(self) -> str:
        """What is to be known of where the pods ran; nothing where there is only one place."""
        cluster = self.running.cluster
        if not cluster.forwarded or not cluster.placement.on_one_node:
            return ""
        usable = [each for each in self.running.api.list("/api/v1/nodes") if cluster.placement.takes(each)]
        if len(usable) < 2:
            return ""
        mode = cluster.placement.access_mode
        return f"all its pods were kept on one node of {len(usable)}, since its volume is {mode}"

    def _most(self, dag_id: str) -> int:
        """How many runs of a DAG may go at once.

        One where tasks are skipped, for which the DAG is paused first, where the run leads to runs of other DAGs, and
        where a file or MLflow holds the metrics: what belongs to which is known from the time at which it went.
        """
        alone = any(
            test.skip or (test.metrics is not None and (test.metrics.file or test.metrics.mlflow))
            for test in self.plan.tests.values()
        )
        most = self.side_by_side(self._busy.so_far)
        if alone or most == 1 or self.airflow.dependencies().leads_on(dag_id):
            return 1
        allowed = None
        with suppress(
            HarnessError
        ):  # Airflow fails to tell the details of a DAG whose default_args are no JSON
            allowed = (self.airflow.find(f"dags/{dag_id}/details", deadline_s=DETAILS_S) or {}).get(
                "max_active_runs"
            )
        return min(most, allowed) if isinstance(allowed, int) else most

    def _ready(self, dag_id: str, progress: Progress) -> None:
        """Return when DAGs can run, with what they log to and the images that their tasks ask for."""
        self.settled()
        images = other_images(self.running.server, release.database_name(self.pods.namespace), dag_id)
        bring(self.running, {name: tasks for name, tasks in images.items() if name != self._image}, progress)
        if self.plan.uses_mlflow:
            with progress.waiting("waiting for the version's MLflow") as step:
                mlflow_server.wait_ready(
                    self.running.api,
                    self.pods.namespace,
                    deadline_s=MLFLOW_DEADLINE_S,
                    on_change=step.update,
                )

    def _dag_test(self, wanted: Wanted, progress: Progress, pause: Pause, parsed: bool) -> dag_test.DagTest:
        commit = self.plan.commit
        image = self.plan.image
        return dag_test.DagTest(
            api=self.airflow,
            pods=self.pods,
            name=wanted.test,
            settings=wanted.settings,
            logical_date=wanted.date,
            dags_folder=image.dags_folder,
            read_source=source_reader(commit, image.dags_folder),
            sleep=pause,
            keeper=self.keeper,
            before_run=lambda: self._ready(wanted.settings.dag, progress),
            image=self._image,
            gated=tuple(
                wanted.settings.gates
                if wanted.test not in self.plan.tests
                else self.plan.tests[wanted.test].gates
            ),
            is_base=self.found.role == "base",
            code=CodeFiles(
                image.root, image.code, commit.paths, image.shared, image.shared_tmp, source_reader(commit)
            ),
            shared=image.shared,
            has_xcom_backend=SETTING in image.env,
            execute=self._execute,
            requirements=edited(commit, image),
            parse=not parsed,
            beside=parsed and self._most(wanted.settings.dag) > 1,
            told=self.told,
        )

    @property
    def _image(self) -> str:
        return self.found.image.name if self.found.image else ""

    def _execute(self, argv: Sequence[str]) -> str:
        """What a program prints in the version's control plane."""
        return control_plane.output(self.running.server, self.running.api, self.pods.namespace, argv)


def source_reader(commit: Commit, folder: str = ".") -> Callable[[str], str | None]:
    """Reads a file of a folder, such as that of the DAGs, as it is at the commit; None where there is none."""

    def read(file: str) -> str | None:
        content = commit.read(f"{folder}/{file}")
        return None if content is None else content.decode(errors="replace")

    return read
