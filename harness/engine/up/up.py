"""`harness up`: tools, node image, cluster, shared services, and what the project's versions will need."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness.cluster import place
from harness.cluster.kind.sourcing import Materials
from harness.cluster.running_cluster import RunningCluster, locked, log_file
from harness.cluster.services import template
from harness.engine.disk import keep_limits
from harness.engine.image.checked import Checked, checked
from harness.engine.image.values import values_of
from harness.engine.lifetime import remove_expired
from harness.engine.testing.deployment import ensure_template, release_of, stand_by, stands_by
from harness.engine.up import clusters, registry
from harness.engine.up.clusters import Existing, Kind
from harness.host import cache, limits, process
from harness.host.sources.choice import Sources
from harness.image.build import Foundation, build_foundation
from harness.image.oci import Image
from harness.progress import Progress
from harness.project import project as projects


def up(
    name: str,
    start: Path,
    progress: Progress,
    *,
    sources: Sources | None = None,
    beside: bool | None = None,
) -> RunningCluster:
    """Make the cluster be there and ready; what is there already is kept. Returns the cluster.

    `sources`: what a new one is made from; by default what HARNESS_SOURCES says. `beside`: whether there shall be a
    registry beside it; by default as it was.
    Inside a project its dependencies are built, sent to the node while Kubernetes is set up on it, and their
    template database is migrated.
    """
    place.check_name(name)
    limits.check()
    project = projects.find(start)
    with locked(name, progress), ExitStack() as opened:
        opened.callback(place.remove_empty_folders, name)  # one that failed early leaves nothing
        opened.enter_context(cache.client())
        cluster = clusters.find(name, progress, beside=beside)  # what is wrong with Docker is said first
        asked = None
        if project is not None:
            with progress.waiting("reading the working tree"):
                commit = opened.enter_context(project.commit(None))
            asked = _Asked(project, checked(project, commit, opened, progress, name))
        log = log_file(name)
        release = cluster.release(sources, log)
        if asked is None:
            running = cluster.make(release, log, on_node=lambda: None)
        else:
            running = _with_dependencies(cluster, asked, release, progress, log)
        remove_expired(running, progress)
        return running


@dataclass(frozen=True)
class _Asked:
    """The project that is asked for: its working tree, and what makes its images."""

    project: projects.Project
    found: Checked


def _with_dependencies(
    cluster: Kind | Existing,
    asked: _Asked,
    release: Materials | None,
    progress: Progress,
    log: Path,
) -> RunningCluster:
    """The cluster, and on it what all versions with the working tree's lock share."""
    with process.threads(1) as executor:
        building = executor.submit(_foundation, asked, release.base if release else "", progress, log)
        sending: list[Future[None]] = []

        def send() -> None:
            sending.append(executor.submit(lambda: _send(building.result().image, cluster, progress)))

        running = cluster.make(release, log, on_node=send)
        if not sending:
            send()
        foundation = building.result()
        registry.fill(running.cluster, foundation.image, progress)
        given = values_of(asked.project, asked.found.commit, asked.found.settings, foundation, ())
        wanted = release_of(
            running,
            asked.found.commit,
            asked.found.settings,
            foundation,
            asked.project.name,
            foundation.image,
            values=given.chart,
        )
        if stands_by(running, wanted, foundation):  # made from the template, which is never dropped
            sending[0].result()
            return running
        if not template.kept(wanted.template).exists():  # then the image has to migrate it
            sending[0].result()
        _template(running, wanted.template, foundation.image, progress)
        sending[0].result()
    if not running.cluster.placement.namespaces:  # those that were given are for versions
        with progress.step("an Airflow that stands by") as step:
            stand_by(running, wanted, foundation, asked.found.settings.places)
            step.done("for the next test")
    keep_limits(running, progress)
    return running


def _foundation(asked: _Asked, base: str, progress: Progress, log: Path) -> Foundation:
    with progress.step("dependencies") as step:
        foundation = build_foundation(
            asked.found.commit,
            asked.found.settings,
            project=asked.project.name,
            published=base,
            own=asked.found.own,
            on_line=step.update,
            log=log,
        )
        size_bytes = sum(layer.size_bytes for layer in foundation.dependencies.layers)
        own = f"{foundation.own.origin}, " if foundation.own else ""
        named = (
            f"{asked.found.settings.requirements}, {size_bytes / 1e6:.0f} MB"
            if foundation.lock
            else "as it is"
        )
        step.done(f"{own}{named}")
        return foundation


def _send(image: Image, cluster: Kind | Existing, progress: Progress) -> None:
    with progress.step(f"dependencies into the {cluster.where}") as step:
        sent_bytes = cluster.bring(image, on_change=step.update)
        step.done(f"{sent_bytes / 1e6:.0f} MB sent" if sent_bytes else "there already")


def _template(running: RunningCluster, name: str, image: Image, progress: Progress) -> None:
    with progress.step("database template") as step:
        ensure_template(running, name, image, on_change=step.update)
        step.done(name)
