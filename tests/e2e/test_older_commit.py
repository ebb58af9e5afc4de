"""HEAD~1 while a changed HEAD is checked out, by a gate above what its model reaches: the version that is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import remains
from command import Watched, explained, loaded, only_version
from conftest import Cluster
from scratch import Checkout, Scratch


@dataclass(frozen=True)
class Kept:
    """What `harness test --ref HEAD~1` printed and reported, and the checkout around it."""

    command: Watched
    version: dict[str, Any]
    before: Checkout
    after: Checkout

    @property
    def namespace(self) -> str:
        return str(self.version["namespace"])

    @property
    def test(self) -> dict[str, Any]:
        (test,) = self.version["tests"]
        return dict(test)


@pytest.fixture(scope="module")
def kept(cluster: Cluster, tiny: Scratch, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    file = tmp_path_factory.mktemp("gate") / "result.json"
    before = Checkout.of(tiny)
    command = cluster.harness.watch(tiny.root, "test", "--ref", "HEAD~1", "--json", file)
    after = Checkout.of(tiny)
    assert command.exit_code == 1, command.text
    return Kept(command, only_version(loaded(file)), before, after)


@pytest.fixture
def airflow(cluster: Cluster, tiny: Scratch, kept: Kept) -> dict[str, str]:
    """What `harness ui` says of the kept version."""
    command = cluster.harness(tiny.root, "ui", "HEAD~1", "--json")
    assert command.returncode == 0, explained(command)
    access: dict[str, str] = json.loads(command.stdout)
    return access


@pytest.fixture
def client(airflow: dict[str, str]) -> Iterator[httpx2.Client]:
    """To 127.0.0.1, asking for the version's host: not every resolver knows *.localhost."""
    address = urlsplit(airflow["url"])
    with httpx2.Client(
        base_url=f"http://127.0.0.1:{address.port}",
        headers={"Host": address.netloc},
        timeout=30,
        trust_env=False,
    ) as client:
        yield client


def test_the_metrics_are_the_older_commits(kept: Kept, tiny: Scratch) -> None:
    assert kept.test["metrics"]["accuracy"]["value"] == 0.61
    assert kept.version["ref"] == "HEAD~1"
    assert kept.version["commit"] == tiny.git("rev-parse", "HEAD~1")
    assert kept.version["dirty"] is None


def test_the_checkout_and_its_git_directory_are_as_they_were(kept: Kept) -> None:
    assert kept.before.status.split() == [
        "M",
        "dags/tiny_model.py",
        "M",
        "harness.toml",
        "??",
        "dags/tiny_weights.py",
    ]
    assert kept.after == kept.before


def test_the_last_lines_hold_metric_value_and_bound(kept: Kept) -> None:
    for part in ("failed", "accuracy", "0.61", "0.7"):
        assert part in kept.command.last_lines


def test_the_gate_is_the_working_trees_and_the_cause(kept: Kept) -> None:
    assert (kept.test["state"], kept.test["verdict"]) == ("success", "failed")
    assert kept.test["cause"]["code"] == "gate_failed"
    assert kept.test["metrics"]["accuracy"]["verdict"] == "failed"
    assert kept.test["metrics"]["accuracy"]["gate"]["min"] == 0.7


def test_the_version_is_kept_whole(kept: Kept, cluster: Cluster) -> None:
    assert cluster.of_version(kept.namespace) == remains.WHOLE


def test_the_output_says_how_to_look_at_it_and_how_to_remove_it(kept: Kept) -> None:
    for command in (f"harness ui {kept.namespace}", f"harness down {kept.namespace}"):
        assert command in kept.command.text


def test_status_lists_it(kept: Kept, cluster: Cluster, tiny: Scratch) -> None:
    command = cluster.harness(tiny.root, "status", "--json")
    assert command.returncode == 0, explained(command)
    listed = {version["namespace"]: version for version in json.loads(command.stdout)["versions"]}
    found = listed[kept.namespace]
    assert (found["ref"], found["commit"]) == ("HEAD~1", kept.version["commit"])
    assert found["state"] == "failed"


def test_logs_of_a_task(kept: Kept, cluster: Cluster, tiny: Scratch) -> None:
    command = cluster.harness(tiny.root, "logs", "HEAD~1", "--task", "evaluate")
    assert command.returncode == 0, explained(command)
    assert "the model is asked" in command.stdout
    assert "eyJ" not in command.stdout, "a token is in the log"


def test_logs_of_an_unknown_task_name_the_near_one(kept: Kept, cluster: Cluster, tiny: Scratch) -> None:
    command = cluster.harness(tiny.root, "logs", "HEAD~1", "--task", "evaluat")
    assert command.returncode == 2, explained(command)
    assert "--task evaluate" in command.stderr


@pytest.mark.parametrize("command", ["logs", "ui", "down"])
def test_an_unknown_version_is_a_usage_error_with_near_names(
    kept: Kept, cluster: Cluster, tiny: Scratch, command: str
) -> None:
    completed = cluster.harness(tiny.root, command, kept.namespace[:-1])
    assert completed.returncode == 2, explained(completed)
    assert f"did you mean {kept.namespace}?" in completed.stderr


def test_its_airflow_can_be_logged_into(airflow: dict[str, str], client: httpx2.Client) -> None:
    login = {"username": airflow["username"], "password": airflow["password"]}
    token = client.post("/auth/token", json=login).raise_for_status().json()["access_token"]
    answer = client.get("/api/v2/dags/tiny", headers={"Authorization": f"Bearer {token}"})
    assert answer.raise_for_status().json()["dag_id"] == "tiny"
    assert "<html" in client.get("/", follow_redirects=True).raise_for_status().text.lower()


def test_its_airflow_lets_nobody_else_in(airflow: dict[str, str], client: httpx2.Client) -> None:
    wrong = {"username": airflow["username"], "password": "guessed"}
    assert client.post("/auth/token", json=wrong).status_code == 401
    assert client.get("/api/v2/dags/tiny").status_code == 401


def test_down_removes_it_whole(kept: Kept, cluster: Cluster, tiny: Scratch) -> None:
    command = cluster.harness(tiny.root, "down", "HEAD~1")
    assert command.returncode == 0, explained(command)
    assert cluster.left_of_version(kept.namespace) == set()
    assert kept.namespace not in cluster.harness(tiny.root, "status", "--json").stdout
