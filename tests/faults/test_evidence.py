"""What stays of a failure: logs after the pods, a bundle without secrets, and the way to have it again."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import scratch
from command import explained, loaded, only_version

from harness.cluster import place

from .broken.case import HEAD, Broken, repository
from .conftest import Cluster
from .kept import JWT, secret_values
from .running import eventually

CANARY = "c4n4ry-of-the-dag"
HOST_CANARY = "c4n4ry-of-the-host"
LEAKY = f"""{HEAD}

@dag(schedule=None)
def leaky():
    @task
    def work():
        import os
        from pathlib import Path

        print("a last word before the end")
        print("db_password={CANARY}")
        print("host", "{HOST_CANARY}")
        print(Path("/proc/1/cmdline").read_bytes().replace(b"\\0", b" ").decode())
        print(dict(os.environ))
        raise RuntimeError("token: {CANARY} in " + os.environ["HOME"])

    work()


leaky()
"""
MEMBERS = {
    "report.json", "request.json", "configuration.json", "pods.json", "events.txt", "manifests.yaml", "versions.json",
    "nodes.json", "quota.json",
}  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """A version that failed and is kept, its bundle's members by name, and what must be in none of them."""

    repository: scratch.Scratch
    said: str
    version: dict[str, Any]
    bundle: Path
    members: dict[str, str]
    secrets: set[str]


@pytest.fixture(scope="module")
def failure(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Failure:
    made = repository(
        tmp_path_factory.mktemp("evidence") / "evidence", (Broken("leaky", LEAKY, "task_failed"),)
    )
    file = made.root.parent / "result.json"
    done = cluster.harness(made.root, "test", "--json", file, AWS_SECRET_ACCESS_KEY=HOST_CANARY)
    assert done.returncode == 1, explained(done)
    version = only_version(loaded(file))
    bundle = Path(version["bundle"])
    with tarfile.open(bundle) as archive:
        names = [Path(name) for name in archive.getnames()]
        assert {len(name.parts) for name in names} <= {2, 3}
        members = {
            "/".join(Path(member.name).parts[1:]): archive.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in archive
        }
    secret = cluster.api.read_namespaced_secret("airflow", version["namespace"])
    return Failure(made, done.stdout + done.stderr, version, bundle, members, set(secret_values(secret.data)))


def test_the_bundle_is_named_and_holds_what_is_known(failure: Failure) -> None:
    assert str(failure.bundle) in failure.said
    assert failure.members.keys() >= MEMBERS, failure.members.get("missing.txt")
    assert "missing.txt" not in failure.members
    task_logs = [text for name, text in failure.members.items() if name.startswith("tasks/")]
    assert any("a last word before the end" in text for text in task_logs)
    assert any("[scheduler]" in text for name, text in failure.members.items() if name.startswith("airflow/"))
    assert "kind: Deployment" in failure.members["manifests.yaml"]
    assert failure.version["commit"] in failure.members["request.json"]


def test_no_secret_is_in_what_is_kept_or_said(cluster: Cluster, failure: Failure) -> None:
    logs = cluster.harness(failure.repository.root, "logs", failure.version["namespace"])
    assert logs.returncode == 0, explained(logs)
    assert "a last word before the end" in logs.stdout
    folder = place.state_folder(cluster.name) / "versions" / failure.version["namespace"]
    places = {f"bundle {name}": text for name, text in failure.members.items()}
    places |= {f"kept {path.name}": path.read_text() for path in folder.rglob("*.log")}
    places |= {"harness test": failure.said, "harness logs": logs.stdout + logs.stderr}
    found = [place for place, text in places.items() if JWT.search(text.encode())]
    found += [
        f"{place}: {secret[:4]}…"
        for secret in failure.secrets
        for place, text in places.items()
        if secret in text
    ]
    found += [
        place
        for place, text in places.items()
        for canary in (CANARY, HOST_CANARY)
        if canary in text and not place.startswith("harness ")
    ]
    assert found == []


def test_the_bundle_is_private_and_leaves_the_repository_alone(failure: Failure) -> None:
    assert failure.bundle.stat().st_mode & 0o077 == 0
    assert failure.repository.git("status", "--porcelain") == ""


def test_logs_outlive_the_pods(cluster: Cluster, failure: Failure) -> None:
    namespace = failure.version["namespace"]
    cluster.api.delete_collection_namespaced_pod(
        namespace, label_selector="kubernetes_executor=True", grace_period_seconds=0
    )
    eventually(lambda: not cluster.pods(namespace, "kubernetes_executor=True"), what="the pods are gone")
    for arguments in ((), (namespace,), (namespace, "--task", "work")):
        logs = cluster.harness(failure.repository.root, "logs", *arguments)
        assert logs.returncode == 0, explained(logs)
        assert "a last word before the end" in logs.stdout


def test_repro_runs_the_same_again(cluster: Cluster, failure: Failure, result: Path) -> None:
    arguments = ("repro", failure.bundle, "--keep", "never", "--json", result)
    done = cluster.harness(failure.repository.root, *arguments)
    assert done.returncode == 1, explained(done)
    again = only_version(loaded(result))
    assert again["commit"] == failure.version["commit"]
    assert again["image"]["digest"] == failure.version["image"]["digest"]
    assert again["tests"][0]["logical_date"] == failure.version["tests"][0]["logical_date"]
    assert again["tests"][0]["cause"]["code"] == failure.version["tests"][0]["cause"]["code"]


def test_logs_outlive_the_version(cluster: Cluster, failure: Failure) -> None:
    namespace = failure.version["namespace"]
    gone = cluster.harness(failure.repository.root, "down", namespace)
    assert gone.returncode == 0, explained(gone)
    logs = cluster.harness(failure.repository.root, "logs", namespace)
    assert logs.returncode == 0, explained(logs)
    assert "a last word before the end" in logs.stdout
