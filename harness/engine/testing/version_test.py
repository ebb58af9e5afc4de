"""One version from its commit to its verdict, and away again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import closing, suppress
from dataclasses import dataclass, field

from harness.airflow.logs.redaction import Redactor, secret_values
from harness.airflow.pods.watch import ClusterPods
from harness.airflow.release import release, standby
from harness.airflow.rest.api import AirflowApi
from harness.airflow.values.reading import Values
from harness.cluster.running_cluster import RunningCluster
from harness.cluster.services import kept_results
from harness.engine.admission.admission import Admission, Ticket
from harness.engine.admission.capacity import need_of
from harness.engine.image import values
from harness.engine.noise import known as noise
from harness.engine.testing import measured, memory
from harness.engine.testing.deployment import Deployment, release_of
from harness.engine.testing.ending import Ending, Successor, mark
from harness.engine.testing.evidence import Evidence
from harness.engine.testing.pairs.pairs import AtOnce, Wishes, one_at_a_time
from harness.engine.testing.pairs.side_by_side import needs_runs, tell_kept, undisturbed
from harness.engine.testing.plan import Plan, Request
from harness.engine.testing.runs import Runs
from harness.engine.version import image_result
from harness.errors import UNREACHABLE, CauseCode, HarnessError
from harness.host import disk, process
from harness.image.build import Foundation, build_foundation, image_of
from harness.image.oci import Image
from harness.isolation.receipt import Canaries, cause_of
from harness.progress import Changed, Progress
from harness.report import format
from harness.report.model import Cause, TestResult, VersionResult
from harness.verdict import comparison
from harness.verdict.learnt import Sample
from harness.verdict.sequential import Spread


@dataclass
class VersionTest:
    """What is done for one plan; `run` does it.

    `runs` gets what the tests measured, before anyone judged it, also when that came to nothing: the version that
    is compared with this one waits for it. `known` gets the result before the version goes, which takes its time.
    """

    plan: Plan
    request: Request
    running: RunningCluster
    admission: Admission
    progress: Progress
    runs: Future[comparison.Runs] = field(default_factory=Future)
    wishes: Mapping[str, Wishes] = field(default_factory=dict)
    side_by_side: AtOnce = one_at_a_time
    learnt: Mapping[str, Mapping[str, Spread]] = field(default_factory=dict)
    known: Future[VersionResult] = field(default_factory=Future)

    def __post_init__(self) -> None:
        # Whatever its code says, what the project gave it in secret is told nowhere.
        self.redact = Redactor(secret_values(self.plan.secrets.environment))
        self.progress = Changed(self.progress, self.redact.known)
        self.found = self.plan.found
        told, phases = self.request.on_namespace, dict(self.found.phases)
        self.deployment = Deployment(self.running, self.progress, phases, on_namespace=told)
        self.stopped = threading.Event()
        self._airflow: AirflowApi | None = None
        self._successor: Successor | None = None
        asked = self.plan.project.configuration
        self._evidence = Evidence(self.running, asked, self.progress, self.request.bundle)
        self._ticket: Ticket | None = None
        self._values = Values()
        self._measured_now: dict[str, TestResult] = {}
        self._made: dict[str, TestResult] = {}
        self._samples: list[Sample] = []

    @property
    def namespace(self) -> str | None:
        return self.deployment.namespace

    @property
    def _pods(self) -> ClusterPods:
        return ClusterPods(self.running.api, self.namespace or "", self.running.cluster.name)

    def run(self, base: VersionTest | None = None) -> VersionResult:
        """The version's result, judged against `base`; whatever failed is its cause. `known` has it sooner.

        Raises HarnessError(INTERRUPTED) once it was stopped: what there is of it is removed by whoever stopped it.
        """
        try:
            judged = self._run(base)
            ending = Ending(
                self.running,
                self.request,
                self.plan.project.name,
                self.admission,
                self.deployment,
                self.progress,
                self._successor,
                self._keep,
            )
            found = ending.foreseen(judged)
        except BaseException as error:
            self.known.set_exception(error)
            raise
        self.known.set_result(found)
        return ending.run(found)

    def _run(self, base: VersionTest | None) -> VersionResult:
        measured_runs: comparison.Runs = {}
        try:
            with disk.explained():
                measured_runs = self._measured()
        except HarnessError as error:
            self._check_stopped()
            self.found = self.found.model_copy(update={"cause": Cause.of(error)})
        finally:
            for wishes in self.wishes.values():
                wishes.end()
            self.runs.set_result(measured_runs)
            self._give_way()
        base_runs = self._runs_of(base)
        judged = self._judged(measured_runs, base_runs)
        if self.plan.found.role != "base" and self.found.cause is None:
            sides = {base.plan.commit.tag: base_runs} if base is not None else {}
            self._samples = noise.learnt_of(self.plan.tests, sides | {self.plan.commit.tag: measured_runs})
        self._check_stopped()
        found = self.found.model_copy(update={"tests": (*judged, *self.request.asking.made)})
        return self._with_evidence(found.with_causes(lambda cause: cause.told(self.redact.known)))

    def stop(self) -> None:
        """End it at the next step, wherever it is; its namespace begins to go."""
        self.stopped.set()
        if self._airflow is not None:
            self._airflow.close()
        self.remove(wait=False)

    def remove(self, *, wait: bool, on_change: Callable[[str], None] = lambda _: None) -> None:
        """Remove what there is of the version, as far as that can be done, and of the Airflow for the next one."""
        api, server, tag = self.running.api, self.running.server, self.plan.commit.tag
        if wait and self._successor is not None:
            with suppress(HarnessError):
                standby.remove_unfinished(api, server, self._successor.namespace)
        if (name := self.namespace) is not None:
            with suppress(HarnessError):
                release.remove(api, server, name, tag, deadline_s=20.0, wait=wait, on_change=on_change)

    def pause(self, seconds: float) -> None:
        """Sleep. Raises HarnessError(INTERRUPTED) when stopped meanwhile."""
        self.stopped.wait(seconds)
        self._check_stopped()

    def _check_stopped(self) -> None:
        if self.stopped.is_set():
            raise HarnessError(CauseCode.INTERRUPTED, "interrupted")

    def _measured(self) -> comparison.Runs:
        """The runs of all tests, those measured before among them."""
        foundation, image = self._built()
        wanted = measured.wanted(self.plan, image.digest, self._fingerprint())
        kept: dict[str, TestResult] = {}
        if self.plan.reuse:
            with self.progress.waiting("asking the cluster what was measured before"):
                kept = measured.kept(self.running.server, wanted)
        if kept:
            self.progress.note(measured.told(kept))
        tell_kept(self.wishes, wanted, kept)
        made = self._made
        if self.request.asking.asks or needs_runs(self.wishes.values(), self.pause, self.progress):
            with process.threads(3) as pool, closing(self._deployed(foundation, image, pool)) as airflow:
                planting = pool.submit(Canaries.plant, self.running, airflow, self.namespace or "")
                keeper = self._evidence.keep_logs(self._pods, self.found, self.plan.commit.tag)
                runs = Runs(
                    self.running, airflow, self._pods, self.plan, self.found, keeper,
                    self.deployment.settled, self.pause, self.redact.known, self.side_by_side, self._made,
                )  # fmt: skip
                made = runs.measured(wanted, self.wishes, self.progress, self.request.asking)
                self._check_stopped()
                try:
                    if not any(run.cause and run.cause.code in UNREACHABLE for run in made.values()):
                        self._check_isolation(planting, list(made.values()))
                except HarnessError as error:  # what was measured is told all the same
                    self._check_stopped()
                    self.found = self.found.model_copy(update={"cause": Cause.of(error)})
                with self.deployment.phase("pods_end_s"), self.progress.waiting("waiting for pods to end"):
                    keeper.finish()
                    made = memory.completed(made, self._pods, self.pause)
            self._measured_now = made if self.found.cause is None else {}
        return measured.by_test(wanted, kept | made)

    def _fingerprint(self) -> str | None:
        """What tells the secrets and values that the version gets from others: with them it is another measurement."""
        secrets, parts = self.plan.secrets, [self._values.fingerprint]
        if secrets.environment:
            parts.append(secrets.fingerprint(kept_results.key(self.running.api)) or "")
        return "".join(parts) or None

    def _built(self) -> tuple[Foundation, Image]:
        plan, commit, settings = self.plan, self.plan.commit, self.plan.image
        with self.deployment.phase("image_s"), self.progress.step(f"image of {commit.tag}") as step:
            foundation = build_foundation(
                commit, settings, project=plan.project.name, published=self.running.base, own=plan.own,
                on_line=step.update, log=self.running.log,
            )  # fmt: skip
            image = image_of(commit, settings, foundation, project=plan.project.name)
            step.done(image.digest[:19])
        made_of = image_result(image, foundation, python=settings.python, name=self.running.name_of(image))
        given = values.values_of(plan.project, commit, settings, foundation, plan.secrets.environment)
        self._values = values.told(given, self.progress)
        self.found = self.found.model_copy(update={"image": made_of, "values": values.result_of(given)})
        return foundation, image

    def _deployed(self, foundation: Foundation, image: Image, executor: Executor) -> AirflowApi:
        """The commit's Airflow, once it is its turn."""
        commit, project, settings = self.plan.commit, self.plan.project, self.plan.image
        wanted = release_of(
            self.running, commit, settings, foundation, project.name, image, mlflow=self.plan.mlflow,
            secrets=self.plan.secrets.environment, values=self._values.chart,
        )  # fmt: skip
        self._successor = Successor(wanted, foundation, settings.places, release.new_namespace(project.name))
        self._enter(image)
        self._airflow = self.deployment.run(wanted, foundation, image, settings.places, executor)
        mark(self.running, self.namespace, "running")
        if self._ticket is not None:
            self._ticket.started()
        return self._airflow

    def _enter(self, image: Image) -> None:
        """Wait until there is room for the version."""
        need = need_of(mlflow=self.plan.uses_mlflow)
        self._ticket = self.admission.ask(
            image=image.reference, ref=self.found.ref, namespace=lambda: self.namespace, need=need
        )
        with self.deployment.phase("wait_s"):
            if reason := self._ticket.enter():
                with self.progress.step("waiting for its turn") as step:
                    step.update(reason)
                    self._ticket.wait(step.update)

    def _give_way(self) -> None:
        if self._ticket is not None:
            with suppress(HarnessError):  # it expires
                self._ticket.release()

    def _keep(self) -> None:
        measured.keep(self.running.server, self._measured_now)
        noise.keep_quietly(self.running.server, self._samples)

    def keep_measured(self) -> None:
        """Keep what was measured so far, for a comparison that is ended before its end; no runs that collided."""
        measured.keep(self.running.server, undisturbed(self._made, self.wishes))

    def _check_isolation(self, planting: Future[Canaries], runs: Sequence[TestResult]) -> None:
        """The version's receipt; when it failed, that is the version's cause."""
        assert self.found.image is not None  # noqa: S101  it was deployed
        with self.deployment.phase("receipt_s"), self.progress.step("isolation receipt") as step:
            step.update("its canaries are planted")
            receipt = planting.result().receipt(
                self.found.image,
                [run_id for run in runs for run_id in run.run_ids],
                [task for run in runs for task in run.every_task],
                all(run.verdict == "passed" for run in runs),
                on_change=step.update,
            )
            step.done(format.receipt(receipt))
        self.found = self.found.model_copy(update={"receipt": receipt, "cause": cause_of(receipt)})

    def _runs_of(self, base: VersionTest | None) -> comparison.Runs:
        """What the base's tests measured: it tells that at its end, and each of its steps has a deadline."""
        if base is None:
            return {}
        with self.progress.waiting(f"waiting for the runs of {base.found.ref}"):
            return base.runs.result()

    def _judged(self, runs: comparison.Runs, base: comparison.Runs) -> tuple[TestResult, ...]:
        return tuple(
            comparison.judged(
                settings,
                runs[name][: self.wishes[name].used],
                base.get(name, ()),
                self.plan.base_gates.get(name, {}),
                learnt=self.learnt.get(name),
                sequential=name in self.plan.sequential,
                collision=self.wishes[name].collision,
            )
            for name, settings in self.plan.tests.items()
            if runs.get(name)
        )

    def _with_evidence(self, found: VersionResult) -> VersionResult:
        """All that is to be told of the version, once whatever is seen of it only while it is there was looked at."""
        phases, sent = dict(self.deployment.phases), self.deployment.load_bytes
        update = {"namespace": self.namespace, "phases": phases, "load_bytes": sent}
        found = found.model_copy(update=update)
        evidence, namespace = self._evidence, self.namespace
        return evidence.after(found, namespace, self.plan.commit.tag) if namespace else found
