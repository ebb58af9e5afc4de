"""What versions share: the namespace harness-system with one PostgreSQL server and one gateway."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from harness import __version__
from harness.cluster import labels
from harness.cluster.api import FORBIDDEN, KubernetesApi, KubernetesError, Manifest
from harness.cluster.images import give_login, pull_login, pull_secrets
from harness.cluster.place import SHARED, Cluster
from harness.cluster.services import given_server
from harness.cluster.services.given_server import GivenServer
from harness.cluster.services.helm import Helm, chart, fingerprint
from harness.errors import CauseCode, HarnessError

NAMESPACE = SHARED
RELEASE = "cluster"
LAST_LINES = 5
REFUSALS = 2  # one may be a server that starts
DATABASE = "database"  # key of what is recorded: where a given server is
_DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments"
_MARKER = f"/api/v1/namespaces/{NAMESPACE}/configmaps/harness"


def recorded(api: KubernetesApi) -> Mapping[str, str]:
    """What the cluster remembers of how it was made; empty when `up` did not come to its end."""
    found = api.get(_MARKER)
    return dict(found.get("data") or {}) if found else {}


def install(
    api: KubernetesApi,
    helm: Helm,
    images: Mapping[str, str],
    *,
    origin: Mapping[str, str],
    cluster: Cluster,
    given: GivenServer | None = None,
) -> bool:
    """Install or mend the shared services; `images` names those of `postgresql` and `gateway`.

    `origin` (source, Kubernetes version, …) is kept in the cluster. A gateway that is reached by a port-forward gets no
    port of the nodes. `given`: the server whose login `keep_login` put there; no other is made. True when something had
    to be changed. Raises HarnessError: CLUSTER_FAILED when the namespace is others', USAGE when the cluster has another
    server, with the databases of its versions.
    """
    resolver = _resolver(api)
    login = pull_login(cluster)
    values: dict[str, Any] = {
        "labels": labels.ours(role="shared"),
        "postgresql": {"image": images["postgresql"]},
        "gateway": {"image": images["gateway"], "resolver": resolver},
    }
    if cluster.forwarded:
        values["gateway"]["serviceType"] = "ClusterIP"
        values["postgresql"]["storageClass"] = cluster.placement.storage_class
        values["pods"] = cluster.placement.pods()
        values["imagePullSecrets"] = pull_secrets(cluster, login)
    if given is not None:
        values["postgresql"] |= {"login": given_server.LOGIN, "loginVersion": given_server.kept_version(api)}
    wanted = fingerprint(chart("cluster"), values)
    known = recorded(api)
    _refuse_other_server(known, given)
    if known.get("services") == wanted and _unready(api) == []:
        if not dict(origin).items() <= known.items():
            record(api, {**known, **origin})
        return False
    _apply_namespace(api)
    give_login(api, NAMESPACE, login, labels.ours(role="shared"))
    if given is None:
        _keep_password(api)
    helm.upgrade(RELEASE, chart("cluster"), NAMESPACE, values)
    record(api, {**origin, "services": wanted, "harness": __version__, DATABASE: str(given or "")})
    return True


def given(made: Mapping[str, str]) -> GivenServer | None:
    """The PostgreSQL server that a cluster was given, by what `recorded` tells; None where it made one of its own."""
    return GivenServer.parse(made[DATABASE]) if made.get(DATABASE) else None


def unfinished(api: KubernetesApi) -> None:
    """Let the cluster count as one whose `up` did not come to its end."""
    record(api, {key: value for key, value in recorded(api).items() if key != "services"})


def owner(api: KubernetesApi) -> str:
    """What tells this cluster's installation from all others, for as long as it lasts."""
    return str((api.get(f"/api/v1/namespaces/{NAMESPACE}") or {"metadata": {"uid": ""}})["metadata"]["uid"])


def keep_login(api: KubernetesApi, variable: str) -> GivenServer:
    """Put the login of the server that an environment variable names into the cluster; what is there stays without it.

    Raises HarnessError: SECRET_MISSING when neither has it, CONFIG_INVALID for what is no URL, CLUSTER_FAILED when the
    namespace is others'.
    """
    login = given_server.read(variable)
    if login is not None:
        _apply_namespace(api)
        given_server.keep(api, login)
        return login.server
    known = given(recorded(api))
    if known is None or given_server.kept_version(api) is None:
        raise given_server.missing(variable)
    return known


def _refuse_other_server(known: Mapping[str, str], wanted: GivenServer | None) -> None:
    if "services" in known and given(known) != wanted:
        has = known.get(DATABASE) or "one of its own"
        raise HarnessError(
            CauseCode.USAGE,
            f"the cluster's PostgreSQL server is {has}, with its versions' databases, and {wanted or 'one of its own'} "
            "is wanted",
            hint="harness down && harness up",
        )


def _resolver(api: KubernetesApi) -> str:
    """The address of the cluster's DNS; empty where it may not be asked for, for the gateway to find out itself."""
    try:
        dns = api.get("/api/v1/namespaces/kube-system/services/kube-dns")
    except KubernetesError as error:
        if error.status != FORBIDDEN:
            raise
        return ""
    if dns is None:
        raise HarnessError(
            CauseCode.CLUSTER_FAILED, "the cluster has no DNS service", hint="harness down && harness up"
        )
    return str(dns["spec"]["clusterIP"])


def record(api: KubernetesApi, data: Mapping[str, str]) -> None:
    """Keep how the cluster was made, in the cluster."""
    api.apply(
        _MARKER,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "harness", "labels": labels.ours(role="shared")},
            "data": dict(data),
        },
    )


def wait_ready(
    api: KubernetesApi,
    *,
    deadline_s: float,
    on_change: Callable[[str], None],
    given: GivenServer | None = None,
) -> None:
    """Return when every deployment of the namespace is available.

    Raises HarnessError: CLUSTER_FAILED; DATABASE_FAILED as soon as the `given` server has refused the login twice.
    """
    until = time.monotonic() + deadline_s
    last = ""
    while unready := _unready(api):
        if unready[0] != last:
            last = unready[0]
            on_change(last)
        if given is not None and given_server.refusals(api) >= REFUSALS:
            words = _last_words(api)
            reason = words[-1].partition(": ")[2] if words else "its pod ends at once"
            raise HarnessError(
                CauseCode.DATABASE_FAILED,
                f"PostgreSQL at {given} can't be used: {reason}",
                evidence=words,
                hint="harness up, once the server takes the login, or with the right one",
            )
        if time.monotonic() > until:
            raise HarnessError(
                CauseCode.CLUSTER_FAILED,
                f"the shared services were not ready within {deadline_s:.0f} s: {unready[0]}",
                evidence=[*unready, *_last_words(api)],
                hint="harness down && harness up",
            )
        time.sleep(0.25)


def _unready(api: KubernetesApi) -> list[str]:
    """What is not ready yet, with the reason as far as the pods tell it."""
    deployments = api.list(_DEPLOYMENTS.format(NAMESPACE))
    missing = {"postgres", "gateway"} - {item["metadata"]["name"] for item in deployments}
    found = [f"{name} is not there" for name in sorted(missing)]
    for item in deployments:
        if item.get("status", {}).get("availableReplicas", 0) < item["spec"]["replicas"]:
            found.append(f"{item['metadata']['name']}: {_pod_state(api, item['metadata']['name'])}")
    # Without names nobody finds PostgreSQL: on a busy machine the cluster's DNS starts after it.
    for item in _dns_deployments(api):
        if item.get("status", {}).get("availableReplicas", 0) < 1:
            found.append(f"{item['metadata']['name']}: the cluster's DNS does not answer yet")
    return found


def _dns_deployments(api: KubernetesApi) -> list[Manifest]:
    """Nothing where they may not be listed."""
    try:
        return api.list(_DEPLOYMENTS.format("kube-system"), labelSelector="k8s-app=kube-dns")
    except KubernetesError as error:
        if error.status != FORBIDDEN:
            raise
        return []


def _pod_state(api: KubernetesApi, name: str) -> str:
    pods = api.list(f"/api/v1/namespaces/{NAMESPACE}/pods", labelSelector=f"app.kubernetes.io/name={name}")
    if not pods:
        return "no pod yet"
    status: Manifest = pods[-1]["status"]
    for container in status.get("containerStatuses") or []:
        for state in container["state"].values():
            if state.get("reason"):
                return f"{state['reason']} {state.get('message', '')}".strip()
    for condition in status.get("conditions") or []:
        if condition["status"] != "True" and condition.get("message"):
            return str(condition["message"])
    return str(status["phase"])


def _last_words(api: KubernetesApi) -> list[str]:
    """What containers printed last that are not ready, those that ended before they were started again."""
    said: list[str] = []
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    with suppress(HarnessError):  # the API stopped answering: why they aren't ready is known without
        for pod in api.list(pods):
            for container in pod["status"].get("containerStatuses") or []:
                if not container.get("ready"):
                    log = api.text(
                        f"{pods}/{pod['metadata']['name']}/log",
                        container=container["name"],
                        tailLines=str(LAST_LINES),
                        previous=str(container.get("restartCount", 0) > 0).lower(),
                    )
                    said += [f"{container['name']} printed: {line}" for line in (log or "").splitlines()]
    return said


def _apply_namespace(api: KubernetesApi) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}"
    found = api.get(path)
    if found is not None and (found["metadata"].get("labels") or {}).get(labels.CREATED_BY) != "harness":
        raise HarnessError(
            CauseCode.CLUSTER_FAILED,
            f"namespace {NAMESPACE} is there and was not made by harness: it is left alone",
            hint=f"kubectl get namespace {NAMESPACE} --output yaml",
        )
    api.apply(
        path,
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE,
                "labels": labels.ours(role="shared") | {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        },
    )


def _keep_password(api: KubernetesApi) -> None:
    """Make the server's password unless there is one: the data on the volume belongs to it."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "postgres", "labels": labels.ours(role="shared")},
        "stringData": {"password": secrets.token_urlsafe(32)},
    }
    try:
        api.create(f"/api/v1/namespaces/{NAMESPACE}/secrets", secret)
    except KubernetesError as error:
        if error.status != 409:
            raise
