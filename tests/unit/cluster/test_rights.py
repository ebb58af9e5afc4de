"""What a cluster lets us do: asked verb by verb, and told whole before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.cluster.api import Manifest
from harness.cluster.existing import rights
from harness.errors import CauseCode, HarnessError


class Cluster:
    """Answers what may be done; `refused` holds verbs with the kinds that they are refused on."""

    def __init__(self, folder: Path, *refused: tuple[str, str], user: str = "jane") -> None:
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text("{}")
        self.asked = 0
        self.refused = set(refused)
        self.user = user
        self.made: list[str] = []

    def create(self, path: str, manifest: Manifest) -> Manifest:
        if path == rights.WHO:
            return {"status": {"userInfo": {"username": self.user}}}
        assert path == rights.REVIEWS
        self.asked += 1
        asked = manifest["spec"]["resourceAttributes"]
        kind = "/".join(part for part in (asked["resource"], asked.get("subresource")) if part)
        return {"status": {"allowed": (asked["verb"], kind) not in self.refused}}


def test_all_of_them(tmp_path: Path) -> None:
    cluster: Any = Cluster(tmp_path)
    assert rights.missing(cluster, rights.EVERY) == ()
    rights.check(cluster, "team")


def test_what_was_granted_is_not_asked_again_for_a_while(tmp_path: Path) -> None:
    cluster: Any = Cluster(tmp_path)
    rights.check(cluster, "team")
    asked = cluster.asked
    rights.check(cluster, "team")
    assert cluster.asked == asked
    rights.check(cluster, "team", ["ml-a"])  # others are wanted
    assert cluster.asked > asked
    asked = cluster.asked
    cluster.kubeconfig.write_text('{"another": "login"}')
    rights.check(cluster, "team", ["ml-a"])
    assert cluster.asked > asked


def test_in_given_namespaces_nothing_is_wanted_elsewhere_but_a_look_at_nodes(tmp_path: Path) -> None:
    nodes, *inside = rights.wanted(["ml-a", "ml-b"])
    assert (nodes.resource, nodes.namespace) == ("nodes", "")
    assert {each.namespace for each in inside} == {"harness-system", "ml-a", "ml-b"}
    assert all(rights.TOGETHER in each.verbs for each in inside if "delete" in each.verbs)
    kinds = [each["kind"] for each in rights.manifests("jane", ["ml-a", "ml-b"])]
    assert kinds == ["ClusterRole", "ClusterRoleBinding", *["Namespace", "Role", "RoleBinding"] * 3]


def test_only_the_verbs_that_lack_are_told(tmp_path: Path) -> None:
    cluster: Any = Cluster(tmp_path, ("create", "namespaces"), ("get", "pods/log"), ("create", "pods"))
    assert [(each.name, each.verbs) for each in rights.missing(cluster, rights.EVERY)] == [
        ("namespaces", ("create",)),
        ("pods", ("create",)),
        ("pods/log", ("get",)),
    ]
    with pytest.raises(HarnessError) as raised:
        rights.check(cluster, "my team")
    assert raised.value.cause is CauseCode.PERMISSION_MISSING
    assert raised.value.exit_code == 3
    assert len(raised.value.evidence) == 3
    assert raised.value.hint.startswith("harness doctor --context 'my team' --rbac")


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        (
            "system:serviceaccount:ci:harness",
            {"kind": "ServiceAccount", "name": "harness", "namespace": "ci"},
        ),
        ("jane", {"kind": "User", "name": "jane", "apiGroup": rights.RBAC}),
        ("", {"kind": "User", "name": "USER", "apiGroup": rights.RBAC}),
    ],
)
def test_the_role_is_bound_to_who_asks(user: str, subject: dict[str, str]) -> None:
    role, binding = rights.manifests(user)
    assert binding["subjects"] == [subject]
    granted = {
        (group, kind) for rule in role["rules"] for group in rule["apiGroups"] for kind in rule["resources"]
    }
    assert granted == {(each.group, each.resource) for each in (*rights.EVERY, *rights.WELCOME)}


def test_nothing_but_namespaces_is_made_or_changed_outside_of_them() -> None:
    changing = {"create", "update", "patch", "delete", "deletecollection"}
    changed = {each.resource for each in rights.WIDE if changing & set(each.verbs)}
    assert changed == {"namespaces"}
