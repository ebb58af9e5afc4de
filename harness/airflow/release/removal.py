"""A namespace of ours removed, with all that is in it, and awaited with a reason."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.cluster import labels
from harness.cluster.api import KubernetesApi, Manifest
from harness.errors import CauseCode, HarnessError
from harness.host import background

CLAIMS_GO_S = 2.0


def made_at(namespace: Manifest | None) -> str:
    """When what it holds was made, which tells one version from the next where a namespace stays."""
    if namespace is None:
        return ""
    return str((namespace["metadata"].get("annotations") or {}).get(labels.CREATED_AT, ""))


def holds(api: KubernetesApi, namespace: str, tag: str) -> bool:
    """Whether a namespace still has the version of that tag: one that stays may have the next one."""
    if not api.stays(namespace):
        return True
    found = api.get(f"/api/v1/namespaces/{namespace}") or {"metadata": {}}
    return bool((found["metadata"].get("annotations") or {}).get(labels.TAG) == tag)


def delete_namespace(api: KubernetesApi, namespace: str, *, wait: bool = True) -> bool:
    """Let a namespace of ours begin to go; False when there is none. Raises HarnessError(USAGE) for others'.

    `wait`: somebody waits until it is gone, so it is worth two seconds that its volume claims go first.
    """
    path = f"/api/v1/namespaces/{namespace}"
    found = api.get(path)
    if found is None:
        return False
    if (found["metadata"].get("labels") or {}).get(labels.CREATED_BY) != "harness":
        raise HarnessError(
            CauseCode.USAGE,
            f"namespace {namespace} was not made by harness: it stays",
            hint="harness status",
        )
    # Pods first and without a farewell: a namespace that waits for them looks again only seconds later.
    for owner in ("deployments", "replicasets"):  # these would make new pods
        api.delete(f"/apis/apps/v1/namespaces/{namespace}/{owner}", propagationPolicy="Background")
    api.delete(f"{path}/pods", gracePeriodSeconds=0)
    if wait:
        _remove_claims(api, path)
    api.delete(path)
    return True


def wait_gone(
    api: KubernetesApi,
    namespace: str,
    made: str | None = None,
    *,
    deadline_s: float,
    on_change: Callable[[str], None],
) -> None:
    """Return when the namespace is gone, or one that stays has another version than the one `made` then.

    Raises HarnessError(CLUSTER_FAILED) with what is left in it.
    """
    path = f"/api/v1/namespaces/{namespace}"
    until = time.monotonic() + deadline_s
    while (namespaced := api.get(path)) is not None and made in {None, made_at(namespaced)}:
        left = _left(namespaced)
        if time.monotonic() > until:
            raise HarnessError(
                CauseCode.CLUSTER_FAILED,
                f"namespace {namespace} was not gone after {deadline_s:.0f} s: {left[0]}",
                evidence=left,
                hint=f"harness down {namespace}",
            )
        on_change(left[0])
        background.check()
        time.sleep(0.2)


def _remove_claims(api: KubernetesApi, namespace_path: str) -> None:
    """Remove the claims of volumes, which go once no pod is there that uses them.

    Kubernetes keeps them until then, and looks again at a namespace in which it found one only eight seconds later.
    """
    path = f"{namespace_path}/persistentvolumeclaims"
    api.delete(path)
    until = time.monotonic() + CLAIMS_GO_S
    while api.list(path) and time.monotonic() < until:
        background.check()
        time.sleep(0.05)


def _left(namespace: Manifest) -> list[str]:
    """What keeps a namespace from going, as Kubernetes tells it."""
    conditions = namespace.get("status", {}).get("conditions") or []
    told = [each["message"] for each in conditions if each.get("status") != "False" and each.get("message")]
    return told or ["Kubernetes has not said what is left in it"]
