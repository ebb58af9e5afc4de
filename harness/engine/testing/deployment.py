"""A version's Airflow on the cluster: one that stood by and is claimed, else a new one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from harness.airflow.release import code_environment, control_plane, release, standby
from harness.airflow.release.component_watch import TAIL_LINES, ComponentWatch
from harness.airflow.release.elsewhere import Elsewhere
from harness.airflow.release.release import Login, Release
from harness.airflow.rest import session
from harness.airflow.rest.api import CONTROL_PLANE, WITHOUT_CODE, AirflowApi
from harness.airflow.values import pods
from harness.cluster import ranges
from harness.cluster.images import pod_spec, where
from harness.cluster.running_cluster import RunningCluster
from harness.cluster.services import template
from harness.cluster.services.database import TemplateMissingError
from harness.engine.image.other_images import bring
from harness.engine.image.values import unheard
from harness.errors import CauseCode, HarnessError
from harness.host.sources import ca_bundle
from harness.image.build import Foundation
from harness.image.layer import Layer
from harness.image.oci import Image
from harness.progress import Progress, Step
from harness.project.commit import Commit
from harness.project.image_settings import ImageSettings

READY_DEADLINE_S = 180.0
HEALTHY_DEADLINE_S = 60.0
LARGEST_BUNDLE_BYTES = 1_000_000  # a ConfigMap takes a MiB in all


@dataclass
class Deployment:
    """One version's way onto the cluster.

    `namespace` is what there is to remove, from its first moment on; `phases` are the seconds that each step
    took, `load_bytes` what the node lacked of the image, `stood_by` whether its Airflow did. `on_namespace` is told
    each namespace before anything is made in it.
    """

    running: RunningCluster
    progress: Progress
    phases: dict[str, float] = field(default_factory=dict)
    namespace: str | None = None
    load_bytes: int = 0
    stood_by: bool = False
    on_namespace: Callable[[str], None] = lambda _: None
    _pending: list[Future[None]] = field(default_factory=list)

    def run(
        self, wanted: Release, foundation: Foundation, image: Image, code: Sequence[str], executor: Executor
    ) -> AirflowApi:
        """The version's Airflow; `code` are the paths that the image has below its root.

        It parses DAGs when this returns. What a DAG run needs besides is done by threads of `executor`: `settled`
        waits for it.
        """
        if names := unheard(wanted.env, mlflow=wanted.mlflow):
            self.progress.note(
                f"[image.env] {', '.join(names)}: set by harness itself, so that does not count"
            )
        executor.submit(session.prepare)
        layers = image.layers[len(foundation.image.layers) :]
        self._pending = [executor.submit(self._load, image, pods.images(wanted.values))]
        if standby.fits(wanted, code, layers):
            airflow = self._claimed(wanted, foundation, layers, executor)
            if airflow is not None:
                return airflow
        wanted, login = self._prepared(wanted, foundation)
        self.settled()
        return self._installed(wanted, login)

    def _begin(self, namespace: str) -> None:
        self.namespace = namespace
        self.on_namespace(namespace)

    def settled(self) -> None:
        """Return when DAGs can run: the node has the image, and Helm knows the release; both have deadlines."""
        with self.progress.waiting("waiting until the node has the image and Helm knows the release"):
            for each in self._pending:
                each.result()

    def _claimed(
        self, wanted: Release, foundation: Foundation, layers: Sequence[Layer], executor: Executor
    ) -> AirflowApi | None:
        """The Airflow that stood by, made this version's; None when there is none, or it turns out to be broken."""
        running, dependencies = self.running, self.running.name_of(foundation.image)
        with self.phase("prepare_s"), self.progress.waiting("looking for an Airflow that stands by"):
            found = standby.claim(running.api, wanted, dependencies)
        if found is None:
            return None
        taken = found.release.namespace
        self._begin(taken)
        try:
            if wanted.elsewhere is not None:
                wanted.elsewhere.give_login(running.api, taken)
            code_environment.give_secrets(running.api, found.release)
            with (
                self.phase("deploy_s"),
                self.progress.step(f"Airflow of {wanted.tag}, which stood by") as step,
            ):
                standby.hand_over(
                    running.api,
                    running.helm,
                    running.server,
                    found.release,
                    dependencies,
                    layers,
                    deadline_s=READY_DEADLINE_S,
                    on_change=step.update,
                )
                finishing = executor.submit(
                    standby.finish, running.api, running.helm, found.release, dependencies
                )
                airflow = self._ready(found.release, found.login, step, WITHOUT_CODE)
        except HarnessError as error:
            if error.cause is CauseCode.DEPENDENCIES_INCOMPATIBLE:
                raise  # a new one would end in the same way
            self.progress.note(f"{taken} stood by and can't be used, a new one is made: {error.message}")
            with suppress(HarnessError):
                release.remove(running.api, running.server, taken, wait=False)
            self.namespace = None
            return None
        self._pending.append(finishing)
        self.stood_by = True
        return airflow

    def _prepared(self, wanted: Release, foundation: Foundation) -> tuple[Release, Login]:
        """Namespace, database and Secret; the template they need is made first where there is none yet."""
        api, server = self.running.api, self.running.server
        is_given = bool(self.running.cluster.placement.namespaces)  # then it is known once it is taken
        title = "namespace and database" if is_given else f"database and namespace {wanted.namespace}"
        with self.phase("prepare_s"), self.progress.step(title) as step:
            wanted = self._placed(wanted)
            code_environment.give_secrets(api, wanted)
            step.update("copying the database template")
            try:
                return wanted, release.prepare(api, wanted, server)
            except TemplateMissingError:
                self.running.load(foundation.image, on_change=step.update)
                ensure_template(self.running, wanted.template, foundation.image, on_change=step.update)
                return wanted, release.prepare(api, wanted, server)

    def _placed(self, wanted: Release) -> Release:
        """The release in a namespace of its own: one that is made, or the first free one of those that were given."""
        api, given = self.running.api, self.running.cluster.placement.namespaces
        if not given:
            self._begin(wanted.namespace)
            release.create_namespace(api, wanted)
            return wanted
        placed = release.take_given(api, self.running.server, wanted, given)
        self._begin(placed.namespace)
        return placed

    def _installed(self, wanted: Release, login: Login) -> AirflowApi:
        with self.phase("deploy_s"), self.progress.step(f"Airflow of {wanted.tag}") as step:
            step.update("Helm installs it")
            release.install(self.running.helm, wanted)
            return self._ready(wanted, login, step, CONTROL_PLANE)

    def _ready(self, deployed: Release, login: Login, step: Step, components: Sequence[str]) -> AirflowApi:
        api, namespace = self.running.api, deployed.namespace
        watch = ComponentWatch(lambda: control_plane.log(api, namespace, tail_lines=TAIL_LINES))
        control_plane.wait_ready(
            api, namespace, deadline_s=READY_DEADLINE_S, on_change=step.update, check=watch.check
        )
        gateway = f"http://127.0.0.1:{self.running.cluster.gateway_port}"
        # Not to the step: the api-server is spoken to long after this one has ended, by several threads.
        airflow = AirflowApi(
            gateway,
            deployed.base_url.removeprefix("http://"),
            login.username,
            login.password,
            on_silence=lambda text: self.progress.note(f"    {text}"),
            check=watch.check,
        )
        try:
            airflow.wait_healthy(HEALTHY_DEADLINE_S, components, on_change=step.update)
        except BaseException:
            airflow.close()
            raise
        step.done(deployed.base_url)
        return airflow

    def _load(self, image: Image, others: Sequence[str]) -> None:
        with (
            self.phase("load_s"),
            self.progress.step(f"image into the {where(self.running.cluster)}") as step,
        ):
            self.load_bytes = self.running.load(image, on_change=step.update)
            step.done(f"{self.load_bytes:,} bytes sent" if self.load_bytes else "there already")
        bring(self.running, dict.fromkeys(others, ("further containers of task pods",)), self.progress)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the seconds of what is done within."""
        started_s = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = round(self.phases.get(name, 0.0) + time.monotonic() - started_s, 3)


def release_of(
    running: RunningCluster,
    commit: Commit,
    settings: ImageSettings,
    foundation: Foundation,
    project: str,
    image: Image,
    *,
    secrets: Mapping[str, str] | None = None,
    mlflow: tuple[str, ...] | None = None,
    values: Mapping[str, Any] | None = None,
) -> Release:
    """What the Airflow of a commit is made from, in a namespace that was never used before."""
    namespace = release.new_namespace(project)
    bundle = ca_bundle.find()
    return Release(
        namespace=namespace,
        project=project,
        commit=commit.sha,
        ref=commit.ref,
        tag=commit.tag,
        image=running.name_of(image),
        template=template.template_name(foundation.dependencies.migrations),
        dags_folder=settings.dags_folder,
        base_url=f"http://{namespace}.localhost:{running.cluster.gateway_port}",
        root=settings.root,
        python_path=settings.python_path,
        shared=settings.shared,
        shared_tmp=settings.shared_tmp,
        env=settings.env,
        ca_bundle=_readable(bundle) if bundle else "",
        inside=ranges.inside(running.api),
        secrets=secrets or {},
        mlflow=mlflow is not None,
        mlflow_addresses=mlflow or (),
        values=values or {},
        user_id=foundation.base.user_id,
        code_in_image=foundation.own is not None and foundation.own.holds_code(settings),
        elsewhere=Elsewhere.of(running.cluster) if running.cluster.forwarded else None,
    )


def ensure_template(
    running: RunningCluster, name: str, image: Image, *, on_change: Callable[[str], None]
) -> None:
    """Make the database template with the Airflow of an image that the cluster can run, unless it is there."""
    template.ensure(
        running.api,
        running.server,
        name,
        running.name_of(image),
        spec=pod_spec(running.cluster),
        on_change=on_change,
    )


def _readable(bundle: ca_bundle.CaBundle) -> str:
    """The bundle's content. Raises HarnessError(USAGE) for one that can't be read, or is too large."""
    text = bundle.content().decode(errors="replace")  # beside the certificates are comments, of any encoding
    if len(text.encode()) > LARGEST_BUNDLE_BYTES:
        raise HarnessError(
            CauseCode.USAGE,
            f"{bundle.path} (from {bundle.origin}) has more than {LARGEST_BUNDLE_BYTES >> 10} KiB of certificates, "
            "which pods can't be given",
            hint="export SSL_CERT_FILE=FILE, a PEM file with fewer",
        )
    return text


def stand_by(
    running: RunningCluster,
    wanted: Release,
    foundation: Foundation,
    code: Sequence[str],
    *,
    namespace: str = "",
) -> None:
    """Start the control plane that the next version like `wanted` will take; it gets ready by itself.

    The node has the image of the dependencies: with that alone the control plane starts. `namespace`: which to make.
    """
    if standby.fits(wanted, code, ()):
        blank = release.in_namespace(wanted, namespace or release.new_namespace(wanted.project))
        standby.make(running.api, running.helm, running.server, blank, running.name_of(foundation.image))


def stands_by(running: RunningCluster, wanted: Release, foundation: Foundation) -> bool:
    """Whether a control plane for a version like `wanted` is there already."""
    return standby.is_there(running.api, standby.key(wanted, running.name_of(foundation.image)))
