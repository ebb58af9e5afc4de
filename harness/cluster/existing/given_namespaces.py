"""A cluster where namespaces are others' to make: those that were given are used in turn, and emptied after use.

For all that works on such a cluster, a given namespace is there from when it is taken until it has been emptied.
Taking it puts our labels on it; giving it back removes them, with all that carries them. What else lies in it stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from harness.cluster import labels
from harness.cluster.api import KubernetesApi, KubernetesError, Manifest

NAMESPACES = "/api/v1/namespaces"
# What a version and the shared services consist of; the first ones make others, or hold them.
KINDS = (
    ("apis/apps/v1", "deployments"),
    ("apis/apps/v1", "replicasets"),
    ("api/v1", "pods"),
    ("api/v1", "persistentvolumeclaims"),
    ("api/v1", "services"),
    ("api/v1", "secrets"),
    ("api/v1", "configmaps"),
    ("api/v1", "serviceaccounts"),
    ("api/v1", "resourcequotas"),
    ("api/v1", "limitranges"),
    ("apis/networking.k8s.io/v1", "networkpolicies"),
    ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    ("apis/rbac.authorization.k8s.io/v1", "roles"),
    ("apis/coordination.k8s.io/v1", "leases"),
)
LASTING = ("pods", "persistentvolumeclaims")  # what is there for a while after it was told to go
GOING = "going"
_HELM = "owner=helm,name in (airflow,cluster)"  # Helm's own records bear no label of ours
_ONE = re.compile(rf"{NAMESPACES}/([^/]+)")
_COLLECTION = re.compile(r"/apis?/.*namespaces/[^/]+/[a-z]+")
_EVERYWHERE = re.compile(r"/(api/v1|apis/apps/v1)/(pods|deployments)")


class GivenNamespaces(KubernetesApi):
    """The API of such a cluster. `given` are the namespaces for versions, `shared` is that of what versions share."""

    def __init__(self, kubeconfig: Path, given: tuple[str, ...], shared: str) -> None:
        super().__init__(kubeconfig)
        self._names = (shared, *given)

    def stays(self, namespace: str) -> bool:
        """As elsewhere."""
        return namespace in self._names

    def list(self, path: str, **query: str) -> list[Manifest]:
        """As elsewhere; of what lies in all namespaces, what lies in those that were given."""
        if path == NAMESPACES:
            found = (self.get(f"{NAMESPACES}/{name}") for name in self._names)
            selector = query.get("labelSelector", "")
            return [each for each in found if each is not None and _selected(each, selector)]
        paths = [path]
        if everywhere := _EVERYWHERE.fullmatch(path):
            group, kind = everywhere.groups()
            paths = [f"/{group}/namespaces/{name}/{kind}" for name in self._names]
        listed: list[Manifest] = []
        for each in paths:
            listed += super().list(each, **query)
        return listed

    def get(self, path: str, **query: str) -> Manifest | None:
        """As elsewhere; a given namespace that nobody has taken is not there."""
        found = super().get(path, **query)
        name = self._name_of(path)
        if name is None or found is None:
            return found
        if not _is_ours(found):
            return None
        return self._emptied(name, found) if _is_going(found) else found

    def create(self, path: str, manifest: Manifest) -> Manifest:
        """As elsewhere; a namespace is taken. Raises KubernetesError(409) for one that somebody has."""
        if path != NAMESPACES:
            return super().create(path, manifest)
        metadata = manifest["metadata"]
        own = f"{NAMESPACES}/{metadata['name']}"
        self.get(own)  # one that is empty by now is given back
        there = super().get(own)
        if there is None or there["metadata"].get("deletionTimestamp"):
            raise KubernetesError(404, "POST", path, f"the namespace {metadata['name']} is not there")
        if _is_ours(there):
            raise KubernetesError(409, "POST", path, f"the namespace {metadata['name']} is in use")
        seen = {"resourceVersion": there["metadata"]["resourceVersion"]}
        marks = {key: text for key, text in metadata["labels"].items() if key.startswith(labels.PREFIX)}
        notes = metadata.get("annotations") or {}
        return self.patch(own, {"metadata": {"labels": marks, "annotations": notes, **seen}})

    def apply(self, path: str, manifest: Manifest) -> Manifest:
        """As elsewhere; the namespace of what versions share is taken, unless it is already."""
        name = self._name_of(path)
        if name is None:
            return super().apply(path, manifest)
        return self.get(path) or self.create(NAMESPACES, manifest)

    def delete(self, path: str, **options: object) -> bool:
        """As elsewhere; a namespace is emptied, and of what is removed together what is ours goes."""
        if self._name_of(path) is not None:
            if self.get(path) is None:
                return False
            self.patch(path, {"metadata": {"labels": {labels.ROLE: GOING}}})
            for group, kind in KINDS:
                self._clear(path.replace(NAMESPACES, f"/{group}/namespaces"), kind)
            return True
        if _COLLECTION.fullmatch(path):
            return self._delete(path, labels.SELECTOR, options)
        return super().delete(path, **options)

    def _name_of(self, path: str) -> str | None:
        """The given namespace that a path is of."""
        found = _ONE.fullmatch(path)
        return found[1] if found and found[1] in self._names else None

    def _clear(self, path: str, kind: str) -> None:
        self._delete(f"{path}/{kind}", labels.SELECTOR, {})
        if kind == "secrets":
            self._delete(f"{path}/{kind}", _HELM, {})

    def _delete(self, path: str, selector: str, options: dict[str, object]) -> bool:
        body = {"kind": "DeleteOptions", "apiVersion": "v1", **options}
        try:
            self.request("DELETE", path, body, query={"labelSelector": selector})
        except KubernetesError as error:
            if error.status == 404:
                return False
            raise
        return True

    def _emptied(self, name: str, found: Manifest) -> Manifest | None:
        """None once nothing of ours is in it, whereupon it is given back; else the namespace, with what is left."""
        left = list(self._left(name))
        if left:
            condition = {"status": "True", "message": f"there are still {' and '.join(left)}"}
            status = {**(found.get("status") or {}), "phase": "Terminating", "conditions": [condition]}
            marks = {**found["metadata"], "deletionTimestamp": found["metadata"]["creationTimestamp"]}
            return {**found, "metadata": marks, "status": status}
        metadata = found["metadata"]
        ours = {
            part: dict.fromkeys(key for key in metadata.get(part) or {} if key.startswith(labels.PREFIX))
            for part in ("labels", "annotations")
        }
        with suppress(KubernetesError):  # somebody else has given it back at the same moment
            seen = {"resourceVersion": metadata["resourceVersion"]}
            self.patch(f"{NAMESPACES}/{name}", {"metadata": {**ours, **seen}})
        return None

    def _left(self, name: str) -> Iterator[str]:
        for kind in LASTING:
            if super().list(f"{NAMESPACES}/{name}/{kind}", labelSelector=labels.SELECTOR):
                yield kind


def _is_ours(namespace: Manifest) -> bool:
    return (namespace["metadata"].get("labels") or {}).get(labels.CREATED_BY) == "harness"


def _is_going(namespace: Manifest) -> bool:
    return (namespace["metadata"].get("labels") or {}).get(labels.ROLE) == GOING


def _selected(item: Manifest, selector: str) -> bool:
    """Whether labels fit a selector of `a=b`, `a!=b` and `a in (b,c)`, which are those in use here."""
    marks = item["metadata"].get("labels") or {}
    for part in re.findall(r"[^,(]+(?:\([^)]*\))?", selector):
        key, operator, value = re.fullmatch(r"\s*(\S+?)\s*(!=| in |=)\s*(.*)", part).groups()  # type: ignore[union-attr]
        values = [each.strip() for each in value.strip("()").split(",")]
        if (marks.get(key) in values) == (operator == "!="):
            return False
    return True
