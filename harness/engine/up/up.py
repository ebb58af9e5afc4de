"""`harness up`: tools, node image, cluster, shared services, and what the project's versions will need."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness.cluster import place
from harness.cluster.kind.materials import Supply
from harness.cluster.running import Attached, locked, log_file
from harness.cluster.services import template
from harness.engine.lifetime import remove_expired
from harness.engine.testing.deployment import release_of, stand_by, stands_by
from harness.engine.up import clusters
from harness.engine.up.clusters import Existing, Kind
from harness.host import process
from harness.host.sources.choice import Sources
from harness.image.build import Foundation, check, foundation
from harness.image.node import load_on
from harness.image.oci import Image
from harness.progress import Progress
from harness.project import project as projects
from harness.project.commit import Commit
from harness.project.configuration import ImageSettings


def up(name: str, start: Path, progress: Progress, *, sources: Sources | None = None) -> Attached:
    """Make the cluster be there and ready; what is there already is kept. Returns the cluster.

    `sources`: what a new one is made from; by default what HARNESS_SOURCES says.
    Inside a project its dependencies are built, sent to the node while Kubernetes is set up on it, and their
    template database is migrated.
    """
    place.check_name(name)
    project = projects.find(start)
    with locked(name, progress), ExitStack() as opened:
        opened.callback(place.remove_empty_folders, name)  # one that failed early leaves nothing
        cluster = clusters.find(name, progress)  # what is wrong with Docker is said first
        asked = None
        if project is not None:
            with progress.waiting("reading the working tree"):
                commit = opened.enter_context(project.commit(None))
                asked = _Asked(project, commit, project.image_settings(commit))
                check(commit, asked.settings)
        log = log_file(name)
        release = cluster.release(sources, log)
        if asked is None:
            attached = cluster.make(release, log, on_node=lambda: None)
        else:
            attached = _with_dependencies(cluster, asked, release, progress, log)
        remove_expired(attached, progress)
        return attached


@dataclass(frozen=True)
class _Asked:
    """The project that is asked for: its working tree, and what makes its images."""

    project: projects.Project
    commit: Commit
    settings: ImageSettings


def _with_dependencies(
    cluster: Kind | Existing,
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
            sending.append(aside.submit(lambda: _send(building.result().image, cluster.nodes, progress)))

        attached = cluster.make(release, log, on_node=send)
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


def _send(image: Image, nodes: Iterable[str], progress: Progress) -> None:
    with progress.step("dependencies into the node") as step:
        sent_bytes = load_on(image, nodes, on_change=step.update)
        step.done(f"{sent_bytes / 1e6:.0f} MB sent" if sent_bytes else "there already")


def _template(attached: Attached, name: str, image: Image, progress: Progress) -> None:
    with progress.step("database template") as step:
        template.ensure(attached.api, attached.server, name, image.reference, on_change=step.update)
        step.done(name)
