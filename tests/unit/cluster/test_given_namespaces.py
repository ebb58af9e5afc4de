"""Namespaces that were given: taken by one at a time, emptied of what is ours alone, and given back."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.airflow.release import removal
from harness.cluster import labels
from harness.cluster.api import KubernetesApi, KubernetesError, Manifest
from harness.cluster.existing.given_namespaces import NAMESPACES, GivenNamespaces, _selected

OURS = labels.ours(role="version")


class Store:
    """What an API server keeps: objects by their paths, with labels to be selected by."""

    def __init__(self) -> None:
        self.objects: dict[str, Manifest] = {}
        self.version = 0
        for name in ("harness-system", "ml-a", "ml-b", "theirs"):
            self.put(f"{NAMESPACES}/{name}", name, {"kubernetes.io/metadata.name": name})

    def put(self, path: str, name: str, marks: dict[str, str]) -> None:
        self.version += 1
        self.objects[path] = {
            "metadata": {
                "name": name, "labels": marks, "annotations": {}, "resourceVersion": str(self.version),
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "status": {"phase": "Active"},
        }  # fmt: skip

    def request(
        self, method: str, path: str, body: Any = None, *, query: dict[str, str] | None = None, **_: Any
    ) -> Any:
        selector = (query or {}).get("labelSelector", "")
        inside = [key for key in self.objects if key.rpartition("/")[0] == path]
        if method == "GET" and path in self.objects:
            return self.objects[path]
        if method == "GET":
            if path.rpartition("/")[0] == NAMESPACES:
                raise KubernetesError(404, method, path, "not found")
            return {"items": [self.objects[key] for key in inside if _selected(self.objects[key], selector)]}
        if method == "POST":
            self.put(
                f"{path}/{body['metadata']['name']}", body["metadata"]["name"], body["metadata"]["labels"]
            )
            return self.objects[f"{path}/{body['metadata']['name']}"]
        if method == "DELETE":
            for key in inside:
                if _selected(self.objects[key], selector):
                    del self.objects[key]
            return None
        assert method == "PATCH"
        return self._patched(path, body["metadata"])

    def _patched(self, path: str, changes: Manifest) -> Manifest:
        known = self.objects[path]["metadata"]
        if changes.get("resourceVersion", known["resourceVersion"]) != known["resourceVersion"]:
            raise KubernetesError(409, "PATCH", path, "it was changed")
        self.version += 1
        for part in ("labels", "annotations"):
            merged = {**known[part], **changes.get(part, {})}
            known[part] = {key: text for key, text in merged.items() if text is not None}
        known["resourceVersion"] = str(self.version)
        return self.objects[path]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store()
    monkeypatch.setattr(KubernetesApi, "request", lambda _, *words, **named: store.request(*words, **named))
    return store


@pytest.fixture
def api() -> GivenNamespaces:
    with patch("harness.cluster.api.Login"):
        return GivenNamespaces(Path("/nowhere"), ("ml-a", "ml-b"), "harness-system")


def taken(name: str) -> Manifest:
    marks = {**OURS, "pod-security.kubernetes.io/enforce": "restricted"}
    return {"metadata": {"name": name, "labels": marks, "annotations": {labels.REF: "main"}}}


def test_one_that_nobody_has_is_not_there(store: Store, api: GivenNamespaces) -> None:
    assert api.get(f"{NAMESPACES}/ml-a") is None
    assert api.list(NAMESPACES, labelSelector=labels.SELECTOR) == []
    api.create(NAMESPACES, taken("ml-a"))
    assert [each["metadata"]["name"] for each in api.list(NAMESPACES, labelSelector=labels.SELECTOR)] == [
        "ml-a"
    ]
    assert (
        "pod-security.kubernetes.io/enforce" not in store.objects[f"{NAMESPACES}/ml-a"]["metadata"]["labels"]
    )


def test_of_two_one_takes_it(store: Store, api: GivenNamespaces) -> None:
    api.create(NAMESPACES, taken("ml-a"))
    with pytest.raises(KubernetesError) as raised:
        api.create(NAMESPACES, taken("ml-a"))
    assert raised.value.status == 409
    with pytest.raises(KubernetesError):
        api.create(NAMESPACES, taken("ml-c"))


def test_it_is_emptied_of_what_is_ours_and_given_back(store: Store, api: GivenNamespaces) -> None:
    api.create(NAMESPACES, taken("ml-a"))
    own = f"{NAMESPACES}/ml-a"
    store.put(f"{own}/secrets/airflow", "airflow", OURS)
    store.put(f"{own}/secrets/sh.helm.release.v1.airflow.v1", "h", {"owner": "helm", "name": "airflow"})
    store.put(f"{own}/secrets/regcred", "regcred", {})
    store.put(f"{own}/pods/theirs", "theirs", {"app": "theirs"})
    store.put(f"{own}/pods/ours", "ours", OURS)
    assert removal.delete_namespace(api, "ml-a", wait=False)
    removal.wait_gone(api, "ml-a", deadline_s=5, on_change=lambda _: None)
    left = {key for key in store.objects if key.startswith(f"{own}/")}
    assert left == {f"{own}/secrets/regcred", f"{own}/pods/theirs"}
    metadata = store.objects[own]["metadata"]
    assert metadata["labels"] == {"kubernetes.io/metadata.name": "ml-a"}
    assert metadata["annotations"] == {}
    api.create(NAMESPACES, taken("ml-a"))


def test_it_is_not_given_back_while_a_pod_of_ours_ends(
    store: Store, api: GivenNamespaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.create(NAMESPACES, taken("ml-a"))
    own = f"{NAMESPACES}/ml-a"
    api.delete(own)
    store.put(f"{own}/pods/ours", "ours", OURS)
    going = api.get(own)
    assert going is not None
    assert "there are still pods" in str(going["status"])
    with pytest.raises(KubernetesError):
        api.create(NAMESPACES, taken("ml-a"))
    del store.objects[f"{own}/pods/ours"]
    api.create(NAMESPACES, taken("ml-a"))


def test_who_waits_for_one_does_not_wait_for_the_version_after(store: Store, api: GivenNamespaces) -> None:
    """Nor removes that one, which had the namespace as soon as it was empty."""
    first, second = taken("ml-a"), taken("ml-a")
    first["metadata"]["annotations"] |= {labels.TAG: "one", labels.CREATED_AT: "2026-01-01T00:00:00+00:00"}
    second["metadata"]["annotations"] |= {labels.TAG: "two", labels.CREATED_AT: "2026-01-01T00:00:09+00:00"}
    made = removal.made_at(api.create(NAMESPACES, first))
    removal.delete_namespace(api, "ml-a", wait=False)
    api.create(NAMESPACES, second)
    removal.wait_gone(api, "ml-a", made, deadline_s=1, on_change=lambda _: None)
    assert not removal.holds(api, "ml-a", "one")
    assert removal.holds(api, "ml-a", "two")


def test_namespaces_of_others_are_theirs(store: Store, api: GivenNamespaces) -> None:
    """What was not given is looked at as it is, and nothing in it is removed together."""
    assert api.get(f"{NAMESPACES}/theirs") is not None
    store.put(f"{NAMESPACES}/theirs/pods/x", "x", {})
    api.delete(f"{NAMESPACES}/theirs/pods", gracePeriodSeconds=0)
    assert f"{NAMESPACES}/theirs/pods/x" in store.objects


@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")))
def test_selectors(marks: dict[str, str]) -> None:
    item = {"metadata": {"labels": marks}}
    assert _selected(item, "") is True
    assert _selected(item, "a=x") == (marks.get("a") == "x")
    assert _selected(item, "a!=x,b=y") == (marks.get("a") != "x" and marks.get("b") == "y")
    assert _selected(item, "a in (x, y),c=z") == (marks.get("a") in ("x", "y") and marks.get("c") == "z")
