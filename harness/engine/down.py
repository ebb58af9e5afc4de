"""`harness down`: the cluster whole, what is ours of somebody else's, or one version."""

from __future__ import annotations

from collections.abc import Mapping

from harness.airflow.release import release, removal
from harness.airflow.release.versions import Version, find_version
from harness.cluster import labels, place
from harness.cluster.api import KubernetesApi
from harness.cluster.existing import existing
from harness.cluster.kind import kind
from harness.cluster.place import Cluster
from harness.cluster.running_cluster import attach, locked
from harness.cluster.services import services
from harness.errors import CauseCode, HarnessError
from harness.host import cache, process, scratch
from harness.image import node
from harness.progress import Progress, Step

GOING_S = 300.0


def down(name: str, progress: Progress, *, force: bool = False) -> bool:
    """Remove the cluster with everything on it; False when there was none.

    Of one that isn't ours only what carries our labels goes, and the images that we brought.
    Raises HarnessError(USAGE) while versions of other people are on it, unless `force`; with that one that can't be
    reached any more is forgotten.
    """
    place.check_name(name)
    theirs = place.context_of(name) is not None
    try:
        with progress.waiting(f"asking cluster {name}" if theirs else "asking Docker"):
            # Without Docker, when it is no cluster or not allowed: nothing is begun.
            cluster = existing.find(name) if theirs else kind.find(name)
    except HarnessError as error:
        if not (theirs and force and place.state_folder(name).exists()):
            raise
        progress.note(f"{error.message}: only what lies here of it is removed")
        place.remove_state(name)
        return True
    with locked(name, progress):
        if not force and cluster is not None:
            with progress.waiting("looking whose versions are on it"):
                _refuse_others(name, cluster.api())
        title = f"removing what harness put on {name}" if theirs else f"removing cluster {name}"
        with progress.step(title) as step:
            removed = (
                _emptied(cluster, step, progress) if theirs and cluster is not None else kind.delete(name)
            )
            scratch.sweep(cache.root())
            scratch.sweep(cache.clients())
            step.done("removed" if removed else "there was none")
    return removed


def _emptied(cluster: Cluster, step: Step, progress: Progress) -> bool:
    """Remove what is ours from a cluster, from its nodes and from the server it was given, and what lies here of it."""
    api = cluster.api()
    ours = {
        item["metadata"]["name"]: removal.made_at(item)
        for item in api.list("/api/v1/namespaces", labelSelector=labels.SELECTOR)
    }
    _remove(api, {name: made for name, made in ours.items() if name != place.SHARED}, step)
    if (given := services.given(services.recorded(api))) is not None:
        step.update(f"databases at {given.host}")
        try:
            attach(cluster.name).server.clear(services.owner(api))
        except HarnessError as error:
            progress.note(f"what harness made on PostgreSQL at {given} stays there: {error.message}")
    _remove(api, {name: made for name, made in ours.items() if name == place.SHARED}, step)
    step.update("images")
    with process.threads(max(1, len(cluster.nodes))) as executor:
        list(executor.map(node.clear, cluster.nodes))
    place.remove_state(cluster.name)
    return bool(ours)


def _remove(api: KubernetesApi, namespaces: Mapping[str, str], step: Step) -> None:
    """Remove namespaces, each with when it was made, and wait until they are gone."""
    for namespace in namespaces:
        removal.delete_namespace(api, namespace)
    for namespace, made in namespaces.items():
        removal.wait_gone(api, namespace, made, deadline_s=GOING_S, on_change=step.update)


def down_version(name: str, wanted: str, progress: Progress) -> Version:
    """Remove the version that `wanted` (its namespace, ref or commit) names; returns what it was."""
    with progress.waiting(f"asking cluster {name}"):
        running = attach(name)
        version = find_version(running, wanted)
    with progress.step(f"removing version {version.namespace}") as step:
        release.remove(running.api, running.server, version.namespace, on_change=step.update)
        step.done("")
    return version


def _refuse_others(name: str, api: KubernetesApi) -> None:
    try:
        found = api.list("/api/v1/namespaces", labelSelector=f"{labels.SELECTOR},{labels.ROLE}=version")
    except HarnessError:
        return  # nothing that could be asked is there
    others = []
    for item in found:
        notes = item["metadata"].get("annotations") or {}
        author = notes.get(labels.AUTHOR, "")
        if author not in {"", labels.author()}:
            others.append(f"{item['metadata']['name']}: {notes.get(labels.REF, '')}, {author}")
    if others:
        raise HarnessError(
            CauseCode.USAGE,
            f"cluster {name} holds versions of other people",
            evidence=others,
            hint="harness down --force",
        )
