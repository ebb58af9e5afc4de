"""What a user sees when the DAG or the model is not good, and what can be done with the version that is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import remains
import schema
from command import Watched, explained, loaded
from conftest import Cluster
from scratch import TINY_DAG, TINY_TOML, Scratch

IMPORT_ERROR_DEADLINE_S = 30.0


@dataclass(frozen=True)
class Kept:
    """A version whose gate failed: what was printed and reported."""

    command: Watched
    version: dict[str, Any]

    @property
    def namespace(self) -> str:
        return str(self.version["namespace"])


@pytest.fixture(scope="module")
def kept(cluster: Cluster, tiny: Scratch, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """`--ref main`, by the working tree's gate, which is above what main's model reaches."""
    tiny.write("harness.toml", TINY_TOML.format(minimum=0.95))
    file = tmp_path_factory.mktemp("gate") / "result.json"
    command = cluster.harness.watch(tiny.root, "test", "--ref", "main", "--json", file)
    assert command.exit_code == 1, command.text
    document = loaded(file)
    assert schema.violations(document) == []
    return Kept(command, document["versions"][0])


@pytest.fixture
def airflow(cluster: Cluster, tiny: Scratch, kept: Kept) -> dict[str, str]:
    """What `harness ui` says of the kept version."""
    command = cluster.harness(tiny.root, "ui", "main", "--json")
    assert command.returncode == 0, explained(command)
    access: dict[str, str] = json.loads(command.stdout)
    return access


def _client(url: str) -> httpx.Client:
    """To 127.0.0.1, asking for the version's host: not every resolver knows *.localhost."""
    address = urlsplit(url)
    return httpx.Client(
        base_url=f"http://127.0.0.1:{address.port}",
        headers={"Host": address.netloc},
        timeout=30,
        trust_env=False,
    )


class TestGateAboveWhatTheModelReaches:
    def test_the_last_lines_hold_metric_value_and_bound(self, kept: Kept) -> None:
        for part in ("failed", "accuracy", "0.72", "0.95"):
            assert part in kept.command.last_lines

    def test_the_result_names_the_gate_as_the_cause(self, kept: Kept) -> None:
        (test,) = kept.version["tests"]
        assert (test["state"], test["verdict"]) == ("success", "failed")
        assert test["cause"]["code"] == "gate_failed"
        assert test["metrics"]["accuracy"]["verdict"] == "failed"
        assert test["metrics"]["accuracy"]["gate"]["min"] == 0.95

    def test_the_version_is_kept_and_the_output_says_how_to_look_and_how_to_remove(
        self, kept: Kept, cluster: Cluster
    ) -> None:
        assert cluster.of_version(kept.namespace) == remains.WHOLE
        assert "harness ui" in kept.command.text
        assert "harness down" in kept.command.text

    def test_status_lists_it(self, kept: Kept, cluster: Cluster, tiny: Scratch) -> None:
        command = cluster.harness(tiny.root, "status", "--json")
        assert command.returncode == 0, explained(command)
        listed = {version["namespace"]: version for version in json.loads(command.stdout)["versions"]}
        found = listed[kept.namespace]
        assert (found["ref"], found["commit"]) == ("main", kept.version["commit"])
        assert found["state"] == "failed"

    def test_logs_of_a_task(self, kept: Kept, cluster: Cluster, tiny: Scratch) -> None:
        command = cluster.harness(tiny.root, "logs", "main", "--task", "evaluate")
        assert command.returncode == 0, explained(command)
        assert "the model is asked" in command.stdout
        assert "eyJ" not in command.stdout, "a token is in the log"

    def test_logs_of_an_unknown_task_name_the_near_one(
        self, kept: Kept, cluster: Cluster, tiny: Scratch
    ) -> None:
        command = cluster.harness(tiny.root, "logs", "main", "--task", "evaluat")
        assert command.returncode == 2
        assert "--task evaluate" in command.stderr

    @pytest.mark.parametrize("command", ["logs", "ui", "down"])
    def test_an_unknown_version_is_a_usage_error_with_near_names(
        self, kept: Kept, cluster: Cluster, tiny: Scratch, command: str
    ) -> None:
        completed = cluster.harness(tiny.root, command, kept.namespace[:-1])
        assert completed.returncode == 2, explained(completed)
        assert f"did you mean {kept.namespace}?" in completed.stderr

    def test_its_airflow_can_be_logged_into(self, airflow: dict[str, str]) -> None:
        with _client(airflow["url"]) as client:
            login = {"username": airflow["username"], "password": airflow["password"]}
            token = client.post("/auth/token", json=login).raise_for_status().json()["access_token"]
            answer = client.get("/api/v2/dags/tiny", headers={"Authorization": f"Bearer {token}"})
            assert answer.raise_for_status().json()["dag_id"] == "tiny"
            assert "<html" in client.get("/", follow_redirects=True).raise_for_status().text.lower()

    def test_its_airflow_lets_nobody_else_in(self, airflow: dict[str, str]) -> None:
        with _client(airflow["url"]) as client:
            wrong = {"username": airflow["username"], "password": "guessed"}
            assert client.post("/auth/token", json=wrong).status_code == 401
            assert client.get("/api/v2/dags/tiny").status_code == 401

    def test_down_removes_it_and_nothing_else(self, kept: Kept, cluster: Cluster, tiny: Scratch) -> None:
        command = cluster.harness(tiny.root, "down", "main")
        assert command.returncode == 0, explained(command)
        assert cluster.left_of_version(kept.namespace) == set()
        status = cluster.harness(tiny.root, "status", "--json")
        assert kept.namespace not in status.stdout
        assert status.returncode == 0


class TestSyntaxError:
    @pytest.fixture(scope="class")
    def broken(self, cluster: Cluster, tiny: Scratch, tmp_path_factory: pytest.TempPathFactory) -> Watched:
        tiny.write("dags/tiny.py", TINY_DAG.replace("def evaluate():", "def evaluate(:"))
        file = tmp_path_factory.mktemp("syntax") / "result.json"
        command = cluster.harness.watch(tiny.root, "test", "--keep", "never", "--json", file)
        document = loaded(file)
        assert schema.violations(document) == []
        assert document["versions"][0]["tests"][0]["cause"]["code"] == "dag_import_error", command.text
        return command

    def test_it_fails_with_file_line_and_message(self, broken: Watched) -> None:
        line = TINY_DAG.splitlines().index("    def evaluate():") + 1
        assert broken.exit_code == 1
        assert f"tiny.py:{line}" in broken.last_lines
        assert "invalid syntax" in broken.last_lines

    def test_it_is_said_within_seconds_of_the_version_being_ready(self, broken: Watched) -> None:
        (ready,) = [line for line in broken.lines if "Airflow of" in line.text and "ready" in line.text]
        (said,) = [line for line in broken.lines if line.text.startswith("✗ parsing")]
        assert said.at_s - ready.at_s < IMPORT_ERROR_DEADLINE_S
