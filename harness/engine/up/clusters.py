"""The cluster that `up` works on, with what versions share on it: made, found again, or somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness import versions
from harness.cluster import images, place
from harness.cluster.existing import existing, rights
from harness.cluster.kind import kind, local_registry, network
from harness.cluster.kind.kind import NodeContainer
from harness.cluster.kind.sourcing import Materials, ensure_node_image, from_packages, services_from_packages
from harness.cluster.place import Cluster
from harness.cluster.running_cluster import RunningCluster
from harness.cluster.services import services
from harness.engine.up import origin, registry
from harness.errors import CauseCode, HarnessError
from harness.hints import for_cluster
from harness.host import cache
from harness.host.docker import client as docker_client
from harness.host.sources.choice import Sources
from harness.image.node import load_on
from harness.image.oci import Image
from harness.image.registry.address import LocalRegistry
from harness.progress import Progress

READY_DEADLINE_S = 180.0


@dataclass(frozen=True)
class Kind:
    """Our own kind cluster, whose node is `container` if there is one.

    `registry`: whether there shall be one beside it; None for what there was, `registry_was`.
    """

    name: str
    container: NodeContainer | None
    progress: Progress
    registry: bool | None = None
    registry_was: LocalRegistry | None = None
    where: str = "node"

    def bring(self, image: Image, *, on_change: Callable[[str], None]) -> int:
        """Put the image on the node, which need not be ready; returns the bytes that were sent."""
        return load_on(image, [network.node_name(self.name)], on_change=on_change)

    def release(self, option: Sources | None, log: Path) -> Materials | None:
        """What it is made from, as `origin.chosen` tells it."""
        return origin.chosen(self.name, origin.made_from(self.container), option, self.progress, log)

    def make(self, release: Materials | None, log: Path, *, on_node: Callable[[], None]) -> RunningCluster:
        """`on_node` is called as soon as the node takes images, if kind tells when a new one does."""
        found = self._running()
        if found is not None:
            on_node()
        materials = release or self._packages(self.container.image if found and self.container else "", log)
        if found is None:
            with self.progress.step(f"kind cluster {self.name} (Kubernetes {versions.KUBERNETES})") as step:
                ensure_node_image(materials, on_line=step.update, log=log)
                found = kind.create(
                    self.name,
                    materials.node_image,
                    materials.tools,
                    mounts=(
                        docker_client.sees(cache.root()),
                        docker_client.sees(place.state_folder(self.name)),
                    ),
                    on_line=step.update,
                    on_node=on_node,
                    log=log,
                )
                kind.wait_answering(found, deadline_s=READY_DEADLINE_S, on_change=step.update)
                step.done(f"http://127.0.0.1:{found.gateway_port}")
        network.keep_packets(self.name)
        found = registry.ensure(found, self.registry, self.registry_was, materials.source, self.progress, log)
        return _with_services(found, materials, self.progress)

    def _running(self) -> Cluster | None:
        """The cluster if it can be used: started again when it was stopped, removed when it was never finished."""
        name, container, progress = self.name, self.container, self.progress
        if container is None:
            return None
        if container.status not in {"running", kind.GOING}:
            with progress.step(f"starting cluster {name} again"):
                kind.start(name, container)
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
            kind.delete(name, for_another=True)
        return None

    def _packages(self, used: str, log: Path) -> Materials:
        """`used`: the image of the node that runs; empty when one will be started."""
        with self.progress.step("tools and node image") as step:
            materials = from_packages(used=used, on_line=step.update, log=log)
            step.done(materials.node_image)
        if not materials.is_current:
            renewed = for_cluster("harness down && harness up", self.name)
            self.progress.note(
                f"the node was made by an earlier harness, and stays as it is; anew: {renewed}"
            )
        return materials


@dataclass(frozen=True)
class Existing:
    """A cluster that we did not make, and only put what is ours on."""

    cluster: Cluster
    progress: Progress

    @property
    def where(self) -> str:
        return images.where(self.cluster)

    def bring(self, image: Image, *, on_change: Callable[[str], None]) -> int:
        """Make the cluster be able to run the image; returns the bytes that were sent."""
        return images.bring(self.cluster, image, on_change=on_change)

    def release(self, option: Sources | None, log: Path) -> Materials | None:
        """What its services and tools come from, as `origin.chosen` tells it."""
        source = services.recorded(self.cluster.api()).get("source")
        made = Sources(source) if source else None
        return origin.chosen(self.cluster.name, made, option, self.progress, log, needs_node=False)

    def make(self, release: Materials | None, log: Path, *, on_node: Callable[[], None]) -> RunningCluster:
        """`on_node` is called at once: its nodes take images."""
        on_node()
        materials = release
        if materials is None:
            with self.progress.step("tools and services") as step:
                materials = services_from_packages(on_line=step.update, log=log)
                step.done(materials.services["postgresql"])
        return _with_services(self.cluster, replace(materials, node_image=""), self.progress)


def find(name: str, progress: Progress, *, beside: bool | None = None) -> Kind | Existing:
    """The cluster by that name, ours whether it is there or not, or a context's.

    `beside`: whether there shall be a registry. Raises HarnessError: DOCKER_MISSING; CLUSTER_FAILED where the name of
    its container is another's; USAGE where a context's is to have one; for a context what `existing.find` raises.
    """
    if place.context_of(name) is not None:
        if beside is not None:
            raise HarnessError(
                CauseCode.USAGE,
                "--registry is for clusters that harness makes; this one gets its images through [registry]",
                hint="harness up; or name a registry in contexts.toml",
            )
        with progress.waiting(f"asking cluster {name}"):
            found = existing.find(name)
            rights.check(found.api(), place.context_of(name) or "", found.placement.namespaces)
            return Existing(found, progress)
    with progress.waiting("asking Docker"):
        container = kind.node_container(name)
        if container is None:
            docker_client.refuse_elsewhere()
        if beside:
            local_registry.refuse_anothers(name)
        return Kind(name, container, progress, beside, local_registry.find(name))


def _with_services(cluster: Cluster, materials: Materials, progress: Progress) -> RunningCluster:
    variable = cluster.database_variable
    given = services.keep_login(cluster.api(), variable) if variable else None
    running = RunningCluster.to(cluster, materials.tools, materials.base, given)
    with progress.step("PostgreSQL and gateway") as step:
        names = {}
        for image in materials.images:
            step.update(f"{image.reference} into the {images.where(cluster)}")
            running.load(image, on_change=step.update)
            names[image.reference] = running.name_of(image)
        step.update("Helm installs what has changed")
        services.install(
            running.api,
            running.helm,
            {service: names.get(name, name) for service, name in materials.services.items()},
            origin=materials.origin,
            cluster=cluster,
            given=given,
        )
        try:
            services.wait_ready(running.api, deadline_s=READY_DEADLINE_S, on_change=step.update, given=given)
            if given is not None:
                step.update(f"databases at {given.host}")
                running.server.claim(services.owner(running.api))
        except HarnessError:
            if given is not None:
                services.unfinished(running.api)
            raise
        step.done(f"ready, PostgreSQL at {given.host}" if given else "ready")
    return running
