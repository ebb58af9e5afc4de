"""`harness doctor --context`: what a cluster that isn't ours offers, and what harness may do there. Changes nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from harness.cluster import place
from harness.cluster.api import KubernetesApi, KubernetesError, Manifest
from harness.cluster.existing import existing, rights
from harness.cluster.place import Cluster
from harness.cluster.services import given_server, services
from harness.errors import CauseCode, HarnessError
from harness.hints import for_cluster
from harness.host import machine
from harness.host.doctor.check import Check, Report
from harness.image.registry import push

_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
DEFAULT = "storageclass.kubernetes.io/is-default-class"


def examine(name: str) -> Report:
    """Look at the cluster of a context. Raises what `existing.find` raises: then there is nothing to look at."""
    cluster = existing.find(name)
    api, context = cluster.api(), place.context_of(name) or ""
    notes: list[str] = []
    user = rights.who(api)
    checks = [
        *_nodes(api, cluster, notes),
        *_registry(cluster),
        *_storage(api, cluster, notes),
        *_database(api, cluster),
        *_rights(api, cluster),
    ]
    title = f"context {context}, {api.server}" + (f", as {user}" if user else "")
    return Report(title, tuple(checks), tuple(notes), subject=f"Context {context}")


def role_of(name: str) -> list[Manifest]:
    """The role that the context's login needs, for whoever may give it."""
    cluster = existing.find(name)
    return rights.manifests(rights.who(cluster.api()), cluster.placement.namespaces)


def _nodes(api: KubernetesApi, cluster: Cluster, notes: list[str]) -> Iterator[Check]:
    try:
        nodes = api.list("/api/v1/nodes")
    except KubernetesError:  # a missing right, which is told as one
        notes.append("not checked: the nodes, which may not be listed")
        return
    usable = [each for each in nodes if cluster.placement.takes(each)]
    needed = "a node that takes pods, by its taints and by `node_selector` and `tolerations` of contexts.toml"
    version = str((api.get("/version") or {}).get("gitVersion", ""))
    found = f"{version}, {len(usable)} of {len(nodes)} nodes take pods"
    if not usable:
        edit = "add tolerations to the context's entry in contexts.toml; kubectl describe nodes"
        hint = for_cluster(edit, cluster.name)
        yield Check("nodes", "missing", found, needed, hint, CauseCode.CLUSTER_MISSING)
        return
    yield Check("nodes", "ok", found, needed)
    kinds = {str(each["status"]["nodeInfo"]["architecture"]) for each in usable}
    ours = machine.architecture()
    if kinds != {ours}:
        some = ", ".join(sorted(kinds))
        yield Check(
            "architecture", "warning" if ours in kinds else "missing", some,
            f"images are made for {ours}, as this machine is",
            f'node_selector = {{"kubernetes.io/arch" = "{ours}"}} in the context\'s entry in contexts.toml',
            CauseCode.CLUSTER_MISSING,
        )  # fmt: skip


def _registry(cluster: Cluster) -> Iterator[Check]:
    if cluster.registry is None:
        return
    needed = "images reach the cluster through it"
    try:
        push.ask(cluster.registry)
    except HarnessError as error:
        yield Check("registry", "missing", error.message, needed, error.hint, error.cause)
    else:
        yield Check("registry", "ok", f"{cluster.registry.host} answers", needed)


def _storage(api: KubernetesApi, cluster: Cluster, notes: list[str]) -> Iterator[Check]:
    wanted, mode = cluster.placement.storage_class, cluster.placement.access_mode
    try:
        classes = api.list(_CLASSES)
    except KubernetesError:
        notes.append("not checked: the storage classes, which may not be listed")
        return
    names = [str(each["metadata"]["name"]) for each in classes]
    standard = [
        str(each["metadata"]["name"])
        for each in classes
        if (each["metadata"].get("annotations") or {}).get(DEFAULT) == "true"
    ]
    needed = "volumes for the database and for each version"
    hint = (
        f"set storage_class of the context's entry in contexts.toml, to one of: {', '.join(names) or 'none'}"
    )
    if wanted and wanted not in names:
        yield Check(
            "storage class", "missing", f"there is no {wanted}", needed, hint, CauseCode.CLUSTER_MISSING
        )
    elif not wanted and not standard:
        found = "the cluster has no default"
        yield Check("storage class", "missing", found, needed, hint, CauseCode.CLUSTER_MISSING)
    else:
        where = "; a version's pods stay on one node" if cluster.placement.on_one_node else ""
        yield Check("storage class", "ok", f"{wanted or standard[0]}, {mode}{where}", needed)


def _database(api: KubernetesApi, cluster: Cluster) -> Iterator[Check]:
    variable = cluster.database_variable
    if not variable:
        return
    needed = "the PostgreSQL server that contexts.toml names by `database_url_env`"
    try:
        login = given_server.read(variable)
    except HarnessError as error:
        yield Check("PostgreSQL", "missing", error.message, needed, error.hint, error.cause)
        return
    known = services.given(services.recorded(api))
    if login is None and known is None:
        lacking = given_server.missing(variable)
        yield Check("PostgreSQL", "missing", lacking.message, needed, lacking.hint, lacking.cause)
    elif login is not None:
        yield Check("PostgreSQL", "ok", f"{login.server}, as {login.role}, from {variable}", needed)
    else:
        yield Check("PostgreSQL", "ok", f"{known}, by the login that the cluster keeps", needed)


def _rights(api: KubernetesApi, cluster: Cluster) -> Iterator[Check]:
    every = rights.wanted(cluster.placement.namespaces)
    lacking = rights.missing(api, every)
    context = shlex.quote(place.context_of(cluster.name) or "")
    printed = f"harness doctor --context {context} --rbac"
    hint = for_cluster(f"{printed} | kubectl apply -f - (by an administrator)", cluster.name)
    for each in lacking:
        verbs = f"may not {', '.join(each.verbs)}"
        said = hint if each is lacking[-1] else ""
        yield Check(each.name, "missing", verbs, each.needed, said, CauseCode.PERMISSION_MISSING)
    if not lacking:
        needed = "what harness makes, it must be allowed to"
        yield Check("rights", "ok", f"all {len(every)} that are needed", needed)
    for each in rights.missing(api, rights.WELCOME):
        yield Check(each.name, "warning", f"may not {', '.join(each.verbs)}", each.needed)
