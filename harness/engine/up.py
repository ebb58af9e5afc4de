"""`harness up`: tools, node image, cluster, shared services, and what the project's versions will need."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness import versions
from harness.cluster import kind, services, template
from harness.cluster.kind import NodeContainer
from harness.cluster.supply import Supply, ensure_node_image, from_packages
from harness.commit import Commit
from harness.config import ImageSettings
from harness.engine import origin
from harness.engine import project as projects
from harness.engine.attached import Attached, locked, log_file
from harness.engine.deployment import release_of, stand_by, stands_by
from harness.engine.lifetime import remove_expired
from harness.errors import HarnessError
from harness.host import process
from harness.host.sources import Sources
from harness.image.build import Foundation, check, foundation
from harness.image.node import load
from harness.image.oci import Image
from harness.progress import Progress, Step

READY_DEADLINE_S = 180.0


def up(name: str, start: Path, progress: Progress, *, sources: Sources | None = None) -> Attached:
    """Make the cluster be there and ready; what is there already is kept. Returns the cluster.

    `sources`: what a new one is made from; by default what HARNESS_SOURCES says.
    Inside a project its dependencies are built, sent to the node while Kubernetes is set up on it, and their
    template database is migrated.
    """
    kind.check_name(name)
    project = projects.find(start)
    with locked(name, progress), ExitStack() as opened:
        with progress.waiting("asking Docker"):
            container = kind.node_container(name)  # what is wrong with Docker is said first
        opened.callback(kind.remove_empty_folders, name)  # one that failed early leaves nothing
        asked = None
        if project is not None:
            with progress.waiting("reading the working tree"):
                commit = opened.enter_context(project.commit(None))
                asked = _Asked(project, commit, project.image_settings(commit))
                check(commit, asked.settings)
        log = log_file(name)
        release = origin.chosen(name, container, sources, progress, log)
        if asked is None:
            attached = _cluster(name, container, release, progress, log, on_node=lambda: None)
        else:
            attached = _with_dependencies(name, container, asked, release, progress, log)
        remove_expired(attached, progress)
        return attached


@dataclass(frozen=True)
class _Asked:
    """The project that is asked for: its working tree, and what makes its images."""

    project: projects.Project
    commit: Commit
    settings: ImageSettings


def _with_dependencies(
    name: str,
    container: NodeContainer | None,
    asked: _Asked,
    release: Supply | None,
    progress: Progress,
    log: Path,
) -> Attached:
    """The cluster, and on it what all versions with the working tree's lock share."""
    with process.beside(1) as aside:
        building = aside.submit(_foundation, asked, release.base if release else "", progress, log)
        sending: list[Future[None]] = []

        def send() -> None:
            node = kind.node_name(name)
            sending.append(aside.submit(lambda: _send(building.result().image, node, progress)))

        attached = _cluster(name, container, release, progress, log, on_node=send)
        if not sending:
            send()
        ground = building.result()
        wanted = release_of(attached, asked.commit, asked.settings, ground, asked.project.name, ground.image)
        if stands_by(attached, wanted, ground):  # made from the template, which is never dropped
            sending[0].result()
            return attached
        if not template.kept(wanted.template).exists():  # then the image has to migrate it
            sending[0].result()
        _template(attached, wanted.template, ground.image, progress)
        sending[0].result()
    with progress.step("an Airflow that stands by") as step:
        stand_by(attached, wanted, ground, asked.settings.code)
        step.done("for the next test")
    return attached


def _cluster(
    name: str,
    container: NodeContainer | None,
    release: Supply | None,
    progress: Progress,
    log: Path,
    *,
    on_node: Callable[[], None],
) -> Attached:
    """`on_node` is called as soon as the node takes images, if kind tells when a new one does."""
    found = _running(name, container, progress)
    if found is not None:
        on_node()
    supply = release or _packages(progress, log, container.image if found and container else "")
    if found is None:
        with progress.step(f"kind cluster {name} (Kubernetes {versions.KUBERNETES})") as step:
            ensure_node_image(supply, on_line=step.update, log=log)
            found = kind.create(
                name, supply.node_image, supply.tools, on_line=step.update, on_node=on_node, log=log
            )
            kind.wait_answering(found, deadline_s=READY_DEADLINE_S, on_change=step.update)
            step.done(f"http://127.0.0.1:{found.gateway_port}")
    attached = Attached.to(found, supply.tools, supply.base)
    with progress.step("PostgreSQL and gateway") as step:
        for image in supply.images:
            step.update(f"{image.reference} into the node")
            load(image, found.node)
        step.update("Helm installs what has changed")
        services.install(attached.api, attached.helm, supply.services, origin=supply.origin)
        services.wait_ready(attached.api, deadline_s=READY_DEADLINE_S, on_change=step.update)
        step.done("ready")
    return attached


def _running(name: str, container: NodeContainer | None, progress: Progress) -> kind.KindCluster | None:
    """The cluster if it can be used: started again when it was stopped, removed when it was never finished."""
    if container is None:
        return None
    if container.status not in {"running", kind.GOING}:
        with progress.step(f"starting cluster {name} again"):
            kind.start(name, container.status)
        cluster = kind.find(name)
    else:
        cluster = kind.cluster_of(name, container)
    if cluster is not None:
        deadline_s = READY_DEADLINE_S if container.status != "running" else 30.0
        try:
            with progress.waiting(f"waiting for cluster {name}") as step:
                kind.wait_answering(cluster, deadline_s=deadline_s, on_change=step.update)
        except HarnessError as error:
            progress.note(f"cluster {name} does not answer and is made anew: {error.message}")
        else:
            return cluster
    with progress.step(f"removing what is left of cluster {name}"):
        kind.delete(name)
    return None


def _packages(progress: Progress, log: Path, used: str) -> Supply:
    """`used`: the image of the node that runs; empty when one will be started."""
    with progress.step("tools and node image") as step:
        supply = from_packages(used=used, on_line=_counted(step), log=log)
        step.done(supply.node_image)
    return supply


def _counted(step: Step) -> Callable[[str], None]:
    """Compilers name each package they are done with: show how many, since the names alone say little."""
    done: Counter[str] = Counter()

    def show(line: str) -> None:
        title, _, package = line.partition(": ")
        if title.startswith("compiling ") and re.fullmatch(r"[\w.-]+(/[\w.-]+)*", package):
            done[title] += 1
            step.update(f"{title}: {done[title]} packages, {package}")
        elif title not in done:  # what else a compiler says between packages would only flicker
            step.update(line)

    return show


def _foundation(asked: _Asked, base: str, progress: Progress, log: Path) -> Foundation:
    with progress.step("dependencies") as step:
        ground = foundation(
            asked.commit,
            asked.settings,
            project=asked.project.name,
            published=base,
            on_line=step.update,
            log=log,
        )
        size_bytes = ground.dependencies.layer.size_bytes
        step.done(f"{asked.settings.requirements}, {size_bytes / 1e6:.0f} MB")
        return ground


def _send(image: Image, node: str, progress: Progress) -> None:
    with progress.step("dependencies into the node") as step:
        sent = load(image, node, on_change=step.update)
        step.done(f"{sent.load_bytes / 1e6:.0f} MB sent" if sent.load_bytes else "there already")


def _template(attached: Attached, name: str, image: Image, progress: Progress) -> None:
    with progress.step("database template") as step:
        template.ensure(attached.api, attached.server, name, image.reference, on_change=step.update)
        step.done(name)
