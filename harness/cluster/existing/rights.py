"""What harness must be allowed to do on a cluster that it did not make, asked of the cluster itself.

By https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

from __future__ import annotations

import hashlib
import re
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from harness.cluster.api import KubernetesApi, KubernetesError, Manifest
from harness.cluster.place import SHARED
from harness.errors import CauseCode, HarnessError
from harness.host import process

NAME, LOOKING = "harness", "harness-looking"  # of roles; a binding's begins with it
ASKED_AT_ONCE = 8
GRANTED_S = 600.0  # for so long an answer is believed that grants everything
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
TOGETHER = "deletecollection"
_ALL = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
_MADE = ("get", "list", "create", "update", "patch", "delete")
RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Right:
    """Verbs on one kind of object, and what they are for. `namespace`: where; empty for everywhere."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    needed: str
    namespace: str = ""

    @property
    def name(self) -> str:
        """As `kubectl auth can-i` takes it, and where."""
        kind, _, part = self.resource.partition("/")
        name = f"{kind}.{self.group}{f'/{part}' if part else ''}" if self.group else self.resource
        return f"{name} in {self.namespace}" if self.namespace else name


# In each version's namespace, and in that of what versions share. They come and go, so in all namespaces.
NAMESPACED = (
    Right("", "pods", _ALL, "control planes and tasks run"),
    Right("", "pods/log", ("get",), "their logs are read"),
    Right("", "pods/exec", ("create", "get"), "the database is set up, and code handed over"),
    Right("", "pods/portforward", ("create", "get"), "the gateway is reached"),
    Right("", "events", ("get", "list", "watch"), "why a pod does not start is told"),
    Right("", "secrets", _MADE, "passwords, and Helm's releases"),
    Right("", "configmaps", _MADE, "settings"),
    Right("", "services", _MADE, "Airflow and PostgreSQL are found"),
    Right("", "serviceaccounts", _MADE, "each version has its own"),
    Right("", "persistentvolumeclaims", (*_MADE, TOGETHER), "artifacts and the database"),
    Right("", "resourcequotas", _MADE, "a version is bounded"),
    Right("", "limitranges", _MADE, "a task has a request"),
    Right("apps", "deployments", (*_MADE, TOGETHER), "control planes, PostgreSQL, the gateway"),
    Right("apps", "replicasets", ("get", "list", "deletecollection"), "removal is quick"),
    Right("networking.k8s.io", "networkpolicies", _MADE, "versions are kept apart"),
    Right(RBAC, "roles", _MADE, "a control plane may make its tasks' pods"),
    Right(RBAC, "rolebindings", _MADE, "a control plane may make its tasks' pods"),
    Right("coordination.k8s.io", "leases", _MADE, "versions take turns"),
)
# Of the cluster as a whole. Of what is no namespace nothing is ever made or changed.
NODES = Right("", "nodes", ("get", "list", "watch"), "room is counted, and a lost node noticed")
WIDE = (
    Right("", "namespaces", ("get", "list", "create", "patch", "delete"), "each version has its own"),
    NODES,
)
# Of each namespace that was given, where none may be made.
ITSELF = Right("", "namespaces", ("get", "patch"), "it is marked while it is in use")
# What goes without: a check or a number is missing then.
WELCOME = (
    Right(
        "storage.k8s.io",
        "storageclasses",
        ("list",),
        "`harness doctor` looks whether there is the one you name",
    ),
    Right("", "nodes/proxy", ("get",), "`harness status` tells what versions use"),
    Right("networking.k8s.io", "servicecidrs", ("list",), "tasks are kept out of all services"),
    Right(
        "authorization.k8s.io", "subjectaccessreviews", ("create",), "the isolation receipt asks for accounts"
    ),
)
EVERY = (*WIDE, *NAMESPACED)


def wanted(given: Sequence[str]) -> tuple[Right, ...]:
    """All that are needed; with `given` namespaces, in these and in that of what versions share alone."""
    if not given:
        return EVERY
    places = (SHARED, *given)
    return (NODES, *(replace(each, namespace=place) for place in places for each in _inside()))


def _inside() -> tuple[Right, ...]:
    """In a namespace that stays, what is ours must be removed by itself."""
    emptied = (
        replace(each, verbs=(*each.verbs, TOGETHER))
        if "delete" in each.verbs and TOGETHER not in each.verbs
        else each
        for each in NAMESPACED
    )
    return (ITSELF, *emptied)


def missing(api: KubernetesApi, wanted: Iterable[Right]) -> tuple[Right, ...]:
    """Those that the cluster does not grant, each with the verbs that are lacking.

    Raises HarnessError(CLUSTER_FAILED, LOGIN_FAILED).
    """
    with process.threads(ASKED_AT_ONCE) as executor:
        return tuple(_missing(api, wanted, executor))


def check(api: KubernetesApi, context: str, given: Sequence[str] = ()) -> None:
    """Raises HarnessError(PERMISSION_MISSING) with all that is lacking.

    What was granted in the last ten minutes is not asked again.
    """
    every = wanted(given)
    granted = api.kubeconfig.with_name("rights")
    known = hashlib.sha256(repr(every).encode() + api.kubeconfig.read_bytes()).hexdigest()
    with suppress(OSError):
        if granted.read_text() == known and time.time() - granted.stat().st_mtime < GRANTED_S:
            return
    lacking = missing(api, every)
    if lacking:
        raise HarnessError(
            CauseCode.PERMISSION_MISSING,
            f"context {context!r} lets harness do too little: {len(lacking)} of {len(every)} rights are missing",
            evidence=[f"{each.name}: {', '.join(each.verbs)} ({each.needed})" for each in lacking],
            hint=f"harness doctor --context {shlex.quote(context)} --rbac, for whoever administers the cluster",
        )
    granted.write_text(known)


def _missing(api: KubernetesApi, wanted: Iterable[Right], executor: Executor) -> Iterator[Right]:
    asked = [
        (right, verb, executor.submit(_allowed, api, right, verb)) for right in wanted for verb in right.verbs
    ]
    refused: dict[Right, list[str]] = {}
    for right, verb, answer in asked:
        if not answer.result():
            refused.setdefault(right, []).append(verb)
    for right, verbs in refused.items():
        yield replace(right, verbs=tuple(verbs))


def _allowed(api: KubernetesApi, right: Right, verb: str) -> bool:
    kind, _, part = right.resource.partition("/")
    attributes = {
        "group": right.group, "resource": kind, "subresource": part, "verb": verb, "namespace": right.namespace
    }  # fmt: skip
    answer = api.create(
        REVIEWS,
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        },
    )
    return bool(answer["status"].get("allowed"))


def who(api: KubernetesApi) -> str:
    """The name by which the cluster knows the login; empty where it does not tell."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        return str(api.create(WHO, review)["status"]["userInfo"]["username"])
    except (KubernetesError, KeyError):
        return ""


def manifests(user: str, given: Sequence[str] = ()) -> list[Manifest]:
    """The roles with all rights, and their bindings to `user`: what an administrator can apply.

    With `given` namespaces these too, and one role in each; of the cluster as a whole then only what is looked at.
    """
    if not given:
        return [*_role(NAME, (*EVERY, *WELCOME), user)]
    found = [*_role(LOOKING, (NODES, *WELCOME), user)]
    for place in (SHARED, *given):
        found.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}})
        found += _role(NAME, _inside(), user, place)
    return found


def _role(name: str, rights: Iterable[Right], user: str, namespace: str = "") -> Iterator[Manifest]:
    """A role, and a binding of this user's own: others may have theirs."""
    kind = "Role" if namespace else "ClusterRole"
    metadata: Manifest = {"labels": {"app.kubernetes.io/part-of": NAME}}
    if namespace:
        metadata["namespace"] = namespace
    bound = f"{name}:{re.sub('[/%]', '-', user or 'USER')}"
    rules: list[dict[str, Any]] = [
        {"apiGroups": [each.group], "resources": [each.resource], "verbs": list(each.verbs)}
        for each in rights
    ]
    yield {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name, **metadata}, "rules": rules}
    yield {
        "apiVersion": f"{RBAC}/v1",
        "kind": f"{kind}Binding",
        "metadata": {"name": bound, **metadata},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
        "subjects": [_subject(user)],
    }


def _subject(user: str) -> dict[str, str]:
    kind, _, account = user.partition("system:serviceaccount:")
    if not kind and account:
        namespace, _, name = account.partition(":")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"kind": "User", "name": user or "USER", "apiGroup": RBAC}
