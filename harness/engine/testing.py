"""`harness test`: each version built, deployed, run and judged."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from harness.airflow import release
from harness.airflow.api import AirflowApi
from harness.airflow.watch import ClusterPods
from harness.cluster import kind, labels, template
from harness.cluster.database import TemplateMissingError
from harness.commit import WORKING_TREE, Commit
from harness.config import ImageSettings, TestSettings
from harness.engine import trial
from harness.engine.attached import Attached, attach
from harness.engine.look import versions
from harness.engine.project import Project, load
from harness.errors import HarnessError
from harness.host import ca_bundle, disk
from harness.image.build import DOMAIN, check, foundation, image_of
from harness.image.node import load as load_image
from harness.image.node import prune
from harness.image.oci import Image
from harness.progress import Progress, Step
from harness.report.model import Cause, ImageResult, Result, TestResult, VersionResult

Keep = Literal["never", "on-failure", "always"]
READY_DEADLINE_S = 180.0
HEALTHY_DEADLINE_S = 60.0


@dataclass(frozen=True)
class Request:
    """What `harness test` was asked for."""

    names: tuple[str, ...] = ()
    refs: tuple[str, ...] = ()
    keep: Keep = "on-failure"
    cluster: str = "harness"


def test(start: Path, request: Request, progress: Progress) -> Result:
    """Run the tests of each version and return everything that is known of it; failures are in the result.

    What the repository alone can tell is found out before the cluster is asked for anything.
    """
    with ExitStack() as opened:
        try:
            project = load(start)
            tests = project.tests(request.names)
            kind.check_name(request.cluster)
            commits: list[tuple[Commit, VersionResult]] = []
            refused: list[VersionResult] = []
            for ref in request.refs or (None,):
                commit, found = _checked(project, ref, opened)
                if commit is None or found.cause is not None:
                    refused.append(found)
                else:
                    commits.append((commit, found))
            if refused:
                return Result.of(tuple(refused))
            attached = attach(request.cluster)
        except HarnessError as error:
            return Result.of((), Cause.of(error))
        trips = [_Trip(project, attached, tests, request, progress, found) for _, found in commits]
        return Result.of(tuple(trip.run(commit) for trip, (commit, _) in zip(trips, commits, strict=True)))


def _checked(project: Project, ref: str | None, opened: ExitStack) -> tuple[Commit | None, VersionResult]:
    """The commit of a ref, open, and its result so far: with a cause when no image can be made of it."""
    found = VersionResult(ref=ref or WORKING_TREE, commit="")
    commit = None
    started_s = time.monotonic()
    try:
        with disk.explained():
            commit = opened.enter_context(project.commit(ref))
            found = found.model_copy(update={"commit": commit.sha, "dirty": commit.dirty})
            check(commit, project.image_settings(commit))
    except HarnessError as error:
        return commit, found.model_copy(update={"cause": Cause.of(error)})
    return commit, found.model_copy(update={"phases": {"check_s": round(time.monotonic() - started_s, 3)}})


class _Trip:
    """One version from its commit to its verdict, and away again."""

    def __init__(
        self,
        project: Project,
        attached: Attached,
        tests: dict[str, TestSettings],
        request: Request,
        progress: Progress,
        found: VersionResult,
    ) -> None:
        self.project = project
        self.attached = attached
        self.tests = tests
        self.request = request
        self.progress = progress
        self.phases = dict(found.phases)
        self.namespace: str | None = None
        self.found = found

    def run(self, commit: Commit) -> VersionResult:
        """The version's result; whatever failed is its cause. Interrupted, what was made is removed."""
        try:
            with disk.explained():
                airflow = self._deployed(commit)
                self.found = self.found.model_copy(update={"tests": self._tests(airflow, commit)})
        except HarnessError as error:
            self.found = self.found.model_copy(update={"cause": Cause.of(error)})
        except BaseException:
            self._remove_quietly()
            raise
        return self._settled(self.found)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        started_s = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + round(time.monotonic() - started_s, 3)

    def _deployed(self, commit: Commit) -> AirflowApi:
        """The commit's Airflow, ready. The image is sent while the database and the namespace are made."""
        settings = self.project.image_settings(commit)
        with self._phase("image_s"), self.progress.step(f"image of {commit.tag}") as step:
            ground = foundation(
                commit,
                settings,
                project=self.project.name,
                published=self.attached.base,
                on_line=step.update,
                log=self.attached.log,
            )
            image = image_of(commit, settings, ground, project=self.project.name)
            step.done(image.digest[:19])
        self.found = self.found.model_copy(update={"image": _image_result(image)})
        wanted = self._release(
            commit, image, settings, template.template_name(ground.dependencies.migrations)
        )
        self.namespace = wanted.namespace
        with ThreadPoolExecutor(max_workers=1) as aside:
            loading = aside.submit(self._load, image)
            with (
                self._phase("prepare_s"),
                self.progress.step(f"database and namespace {wanted.namespace}") as step,
            ):
                login = self._prepared(wanted, ground.image, step)
            loading.result()
        with self._phase("deploy_s"), self.progress.step(f"Airflow of {commit.tag}") as step:
            release.install(self.attached.helm, wanted)
            release.wait_ready(
                self.attached.api, wanted.namespace, deadline_s=READY_DEADLINE_S, on_change=step.update
            )
            gateway = f"http://127.0.0.1:{self.attached.cluster.gateway_port}"
            host = wanted.base_url.removeprefix("http://")
            airflow = AirflowApi(gateway, host, login.username, login.password)
            airflow.wait_healthy(HEALTHY_DEADLINE_S)
            step.done(wanted.base_url)
        return airflow

    def _load(self, image: Image) -> None:
        with self._phase("load_s"), self.progress.step("image into the node") as step:
            sent = load_image(image, self.attached.cluster.node)
            step.done(f"{sent.load_bytes:,} bytes sent" if sent.load_bytes else "there already")
        self.found = self.found.model_copy(update={"load_bytes": sent.load_bytes})

    def _prepared(self, wanted: release.Release, migrator: Image, step: Step) -> release.Login:
        """Namespace, database and Secret; the template they need is made first where there is none yet."""
        api, server = self.attached.api, self.attached.server
        release.create_namespace(api, wanted)
        try:
            return release.prepare(api, wanted, server)
        except TemplateMissingError:
            load_image(migrator, self.attached.cluster.node)
            template.ensure(api, server, wanted.template, migrator.reference, on_change=step.update)
            return release.prepare(api, wanted, server)

    def _release(
        self, commit: Commit, image: Image, settings: ImageSettings, template_name: str
    ) -> release.Release:
        namespace = release.new_namespace(self.project.name)
        bundle = ca_bundle.find()
        return release.Release(
            namespace=namespace,
            project=self.project.name,
            commit=commit.sha,
            ref=commit.ref,
            tag=commit.tag,
            image=image.reference,
            template=template_name,
            dags_folder=settings.dags_folder,
            base_url=f"http://{namespace}.localhost:{self.attached.cluster.gateway_port}",
            shared=settings.shared,
            ca_bundle=bundle.path.read_text(encoding="utf-8") if bundle else "",
        )

    def _tests(self, airflow: AirflowApi, commit: Commit) -> tuple[TestResult, ...]:
        self._mark("running")
        pods = ClusterPods(self.attached.api, self.namespace or "")
        folder = self.project.image_settings(commit).dags_folder

        def read_source(file: str) -> str | None:
            content = commit.read(f"{folder}/{file}")
            return None if content is None else content.decode(errors="replace")

        dates = logical_dates(self.tests, commit.date)
        with airflow:
            return tuple(
                trial.run(
                    trial.Trial(airflow, pods, name, settings, dates[name], folder, read_source),
                    self.progress,
                )
                for name, settings in self.tests.items()
            )

    def _settled(self, found: VersionResult) -> VersionResult:
        found = found.model_copy(update={"namespace": self.namespace, "phases": self.phases})
        keep = self.request.keep == "always" or (
            self.request.keep == "on-failure" and found.verdict != "passed" and self.namespace is not None
        )
        if keep and self.namespace is not None:
            self._mark(found.verdict)
            self._say_how_to_look(self.namespace)
        elif self.namespace is not None:
            try:
                with self._phase("remove_s"), self.progress.step(f"removing {self.namespace}"):
                    release.remove(self.attached.api, self.attached.server, self.namespace)
                    self._prune()
            except HarnessError as error:
                cause = found.cause or Cause.of(error)
                found = found.model_copy(update={"cause": cause, "kept": True})
        return found.model_copy(
            update={"kept": keep and self.namespace is not None, "phases": dict(self.phases)}
        )

    def _prune(self) -> None:
        """Take from the node the images that no version on the cluster uses any more, but for the newest."""
        repository = f"{DOMAIN}/{self.project.name}"
        tags = {version.tag for version in versions(self.attached)}
        in_use = frozenset(f"{repository}:{tag}" for tag in tags)
        with suppress(HarnessError):  # the next test tries again
            prune(self.attached.cluster.node, repository, in_use)

    def _say_how_to_look(self, namespace: str) -> None:
        name = self.request.cluster
        where = namespace if name == kind.DEFAULT_NAME else f"{namespace} --name {name}"
        self.progress.note(f"{namespace} is kept. Look: harness ui {where}, harness logs {where}")
        self.progress.note(f"Remove: harness down {where}")

    def _mark(self, state: str) -> None:
        with suppress(HarnessError):  # for `harness status` alone
            self.attached.api.patch(
                f"/api/v1/namespaces/{self.namespace}", {"metadata": {"annotations": {labels.STATE: state}}}
            )

    def _remove_quietly(self) -> None:
        if self.namespace is not None:
            with suppress(HarnessError):
                release.remove(self.attached.api, self.attached.server, self.namespace, deadline_s=20.0)


def logical_dates(tests: Mapping[str, TestSettings], date: datetime) -> dict[str, datetime]:
    """Each test's logical date: its own, else midnight UTC of `date`.

    Airflow takes one run of a DAG per logical date, so a second test of the same DAG runs a second later:
    `ds` stays the same.
    """
    midnight = date.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    taken = {(settings.dag, settings.logical_date) for settings in tests.values()}
    dates = {}
    for name, settings in tests.items():
        chosen = settings.logical_date or midnight
        while settings.logical_date is None and (settings.dag, chosen) in taken:
            chosen += timedelta(seconds=1)
        taken.add((settings.dag, chosen))
        dates[name] = chosen
    return dates


def _image_result(image: Image) -> ImageResult:
    return ImageResult(
        name=image.reference,
        digest=image.digest,
        config_digest=image.config_digest,
        base_digest=image.base_digest,
    )
