"""`harness up --registry`: a registry beside a kind cluster, kept from then on, until `--no-registry` or `down`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.cluster.kind import local_registry
from harness.cluster.kind.registry_image import registry_image
from harness.cluster.place import Cluster
from harness.host.sources.choice import Sources
from harness.image.oci import Image
from harness.image.registry import push
from harness.image.registry.address import LocalRegistry
from harness.progress import Progress


def ensure(
    cluster: Cluster,
    asked: bool | None,
    was: LocalRegistry | None,
    source: Sources,
    progress: Progress,
    log: Path,
) -> Cluster:
    """The cluster with the registry that is `asked` for: True, False, or None, which leaves what `was` there.

    Raises HarnessError(CLUSTER_FAILED), and what `registry_image` raises.
    """
    if asked is False:
        if was is not None:
            with progress.step(f"removing the registry {was.host}") as step:
                local_registry.delete(cluster.name)
                local_registry.forget(was, cluster.nodes, cluster.api())
                step.done("with all images in it")
        return replace(cluster, local_registry=None)
    if not asked and was is None:
        return cluster
    with progress.step("registry") as step:
        found = local_registry.find(cluster.name)
        if found is None:
            image = registry_image(source, on_line=step.update, log=log)
            found = local_registry.make(cluster.name, image, port=was.port if was else None)
        elif not found.is_running:
            step.update("starting it again")
            found = local_registry.start(found)
        step.update("waiting until it answers")
        push.ask(found.address)
        local_registry.tell(found, cluster.nodes, cluster.api())
        step.done(f"{found.host}; docker push {found.host}/IMAGE")
    return replace(cluster, local_registry=found)


def fill(cluster: Cluster, image: Image, progress: Progress) -> None:
    """Give the registry what commits' images stand on, so that of these their code alone is sent.

    Raises what `push` raises.
    """
    if cluster.local_registry is None:
        return
    with progress.step("dependencies into the registry") as step:
        sent_bytes = push.push(image, cluster.local_registry.address, on_change=step.update)
        step.done(f"{sent_bytes / 1e6:.0f} MB sent" if sent_bytes else "there already")
