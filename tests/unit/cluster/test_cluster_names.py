"""Names of what is made: whatever a team's folder is called, Kubernetes, PostgreSQL and Docker take them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.airflow.release.release import database_name, new_namespace
from harness.cluster import labels, place
from harness.cluster.kind import network
from harness.errors import CauseCode, HarnessError
from harness.project.values import name_of

LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


@given(st.text())
@example("")
@example("---")
@example("2024 Churn/Model")
@example("a" * 200)
@example("a" * 39 + "-b")
@example("İstanbul")  # its lower case is longer than itself
def test_name_of_anything_is_a_label_with_room_for_a_random_end(text: str) -> None:
    name = name_of(text)
    assert LABEL.fullmatch(name), name
    assert len(f"{name}-12345678") <= 63


@given(st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True))
def test_name_of_a_name_is_itself(name: str) -> None:
    cleaned = re.sub("-+", "-", name)
    assert name_of(cleaned) == cleaned


def test_name_of_keeps_what_can_be_read() -> None:
    assert name_of("Churn_Model.v2") == "churn-model-v2"
    assert name_of("2024") == "p-2024"
    assert name_of("été") == "t"
    assert name_of("日本") == "p"


@given(st.text())
def test_namespace_and_database_of_a_project(project: str) -> None:
    namespace = new_namespace(project)
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?-[0-9a-f]{8}", namespace)
    assert len(namespace) <= 63
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,62}", database_name(namespace))


def test_no_namespace_twice() -> None:
    assert len({new_namespace("x") for _ in range(100)}) == 100


def test_ours() -> None:
    assert labels.ours(project="churn", role="version") == {
        "harness.local/created-by": "harness",
        "harness.local/project": "churn",
        "harness.local/role": "version",
    }
    with pytest.raises(KeyError):
        labels.ours(colour="red")


def test_author_of_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unnamed() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(labels.getpass, "getuser", unnamed)
    assert labels.author().startswith("unknown@")


@pytest.mark.parametrize("name", ["harness", "a", "team-1.test", "0", "a" * 50])
def test_names_of_clusters(name: str) -> None:
    assert place.check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a_b", "a b", "a/b", "../x", "a" * 51, "a\n", "--help", "ä"]
)
def test_names_that_no_cluster_has(name: str) -> None:
    with pytest.raises(HarnessError) as caught:
        place.check_name(name)
    assert caught.value.cause is CauseCode.USAGE
    assert repr(name) in caught.value.message


@given(st.from_regex(place.NAME, fullmatch=True))
def test_each_cluster_has_a_network_of_its_own(name: str) -> None:
    assert network.network_name(name).startswith("harness")
    assert network.network_name(name) != "kind"
    assert network.node_name(name) == f"{name}-control-plane"


def test_a_kubeconfig_is_private_and_goes_with_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(place.STATE_VARIABLE, str(tmp_path / "state"))
    place.state_folder("team").mkdir(parents=True)
    for content in ("one", "another"):
        kept = place.keep_kubeconfig("team", content)
        assert kept.read_text() == content
        assert kept.stat().st_mode & 0o077 == 0
        assert [each.name for each in kept.parent.iterdir()] == ["kubeconfig"]
    assert place.remove_state("team")
    assert not (tmp_path / "state").exists()
    assert not place.remove_state("team")
