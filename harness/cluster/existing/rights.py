"""What harness must be allowed to do on a cluster that it did not make, asked of the cluster itself.

By https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from harness.cluster.api import KubernetesApi, KubernetesError, Manifest
from harness.errors import CauseCode, HarnessError
from harness.host import process

NAME = "harness"  # of the role and of its binding
ASKED_AT_ONCE = 8
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_ALL = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
_MADE = ("get", "list", "create", "update", "patch", "delete")
RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Right:
    """Verbs on one kind of object, and what they are for."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    needed: str

    @property
    def name(self) -> str:
        """As `kubectl auth can-i` takes it."""
        kind, _, part = self.resource.partition("/")
        return f"{kind}.{self.group}{f'/{part}' if part else ''}" if self.group else self.resource


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
    Right("", "persistentvolumeclaims", (*_MADE, "deletecollection"), "artifacts and the database"),
    Right("", "resourcequotas", _MADE, "a version is bounded"),
    Right("", "limitranges", _MADE, "a task has a request"),
    Right("apps", "deployments", (*_MADE, "deletecollection"), "control planes, PostgreSQL, the gateway"),
    Right("apps", "replicasets", ("get", "list", "deletecollection"), "removal is quick"),
    Right("networking.k8s.io", "networkpolicies", _MADE, "versions are kept apart"),
    Right(RBAC, "roles", _MADE, "a control plane may make its tasks' pods"),
    Right(RBAC, "rolebindings", _MADE, "a control plane may make its tasks' pods"),
    Right("coordination.k8s.io", "leases", _MADE, "versions take turns"),
)
# Of the cluster as a whole. Of what is no namespace nothing is ever made or changed.
WIDE = (
    Right("", "namespaces", ("get", "list", "create", "patch", "delete"), "each version has its own"),
    Right("", "nodes", ("get", "list", "watch"), "room is counted, and a lost node noticed"),
)
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


def missing(api: KubernetesApi, wanted: Iterable[Right] = EVERY) -> tuple[Right, ...]:
    """Those that the cluster does not grant, each with the verbs that are lacking.

    Raises HarnessError(CLUSTER_FAILED, LOGIN_FAILED).
    """
    with process.threads(ASKED_AT_ONCE) as executor:
        return tuple(_missing(api, wanted, executor))


def check(api: KubernetesApi, context: str) -> None:
    """Raises HarnessError(PERMISSION_MISSING) with all that is lacking."""
    lacking = missing(api)
    if lacking:
        raise HarnessError(
            CauseCode.PERMISSION_MISSING,
            f"context {context!r} lets harness do too little: {len(lacking)} of {len(EVERY)} rights are missing",
            evidence=[f"{each.name}: {', '.join(each.verbs)} ({each.needed})" for each in lacking],
            hint=f"harness doctor --context {shlex.quote(context)} --rbac, for whoever administers the cluster",
        )


def _missing(api: KubernetesApi, wanted: Iterable[Right], executor: Executor) -> Iterator[Right]:
    asked = [
        (right, verb, executor.submit(_allowed, api, right, verb)) for right in wanted for verb in right.verbs
    ]
    refused: dict[Right, list[str]] = {}
    for right, verb, answer in asked:
        if not answer.result():
            refused.setdefault(right, []).append(verb)
    for right, verbs in refused.items():
        yield Right(right.group, right.resource, tuple(verbs), right.needed)


def _allowed(api: KubernetesApi, right: Right, verb: str) -> bool:
    kind, _, part = right.resource.partition("/")
    attributes = {"group": right.group, "resource": kind, "subresource": part, "verb": verb}
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


def manifests(user: str) -> list[Manifest]:
    """The role with all rights, and its binding to `user`: what an administrator can apply."""
    rules: list[dict[str, Any]] = [
        {"apiGroups": [each.group], "resources": [each.resource], "verbs": list(each.verbs)}
        for each in (*EVERY, *WELCOME)
    ]
    marks = {"app.kubernetes.io/part-of": NAME}
    return [
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": NAME, "labels": marks},
            "rules": rules,
        },
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": NAME, "labels": marks},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": NAME},
            "subjects": [_subject(user)],
        },
    ]


def _subject(user: str) -> dict[str, str]:
    kind, _, account = user.partition("system:serviceaccount:")
    if not kind and account:
        namespace, _, name = account.partition(":")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"kind": "User", "name": user or "USER", "apiGroup": RBAC}
