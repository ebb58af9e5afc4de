"""What a cluster elsewhere gives: a PostgreSQL server that is there already, and namespaces where none may be made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import schema
from command import explained
from kubernetes import client
from kubernetes.stream import stream
from three_nodes import ThreeNodes

from .elsewhere import Elsewhere, grant, somebody
from .running import eventually

pytestmark = pytest.mark.slow


def test_a_given_database_server(elsewhere: Elsewhere, theirs: str) -> None:
    """Databases and roles of ours go with `down`; the login is no superuser's, and stands in none of our files."""
    file = elsewhere.folder / "allowed" / "contexts.toml"
    before = file.read_text()
    file.write_text(before.replace("access_mode", 'database_url_env = "TEAM_POSTGRES_URL"\naccess_mode'))
    given = replace(elsewhere, environ={**elsewhere.environ, "TEAM_POSTGRES_URL": theirs})
    try:
        without = elsewhere("up")
        assert without.returncode == 3, explained(without)
        wrong = replace(
            given, environ={**given.environ, "TEAM_POSTGRES_URL": theirs.replace("may-make", "hush-hush")}
        )
        refused = wrong("up")
        assert refused.returncode == 4, explained(refused)
        assert "password authentication failed" in refused.stderr + refused.stdout
        assert "hush-hush" not in refused.stderr + refused.stdout
        made = given("up")
        assert made.returncode == 0, explained(made)
        elsewhere.one_line(0.93)
        # Two, for each has a receipt beside the other; the cluster knows the login now.
        tested = elsewhere.tested("--keep", "always", "--ref", "HEAD", "--ref", "HEAD~1")["versions"]
        assert {each["receipt"]["verdict"] for each in tested} == {"passed"}
        assert "harness" in _databases(elsewhere)
        assert any(each.startswith("v_") for each in _databases(elsewhere))
        gone = elsewhere("down", "--force")
        assert gone.returncode == 0, explained(gone)
        assert _databases(elsewhere) == {"postgres", "theirs"}
    finally:
        file.write_text(before)


@pytest.fixture(scope="module")
def theirs(elsewhere: Elsewhere) -> str:
    """The URL of a server in a pod of theirs, for a role that may make databases and roles; it has one of their own."""
    cluster = elsewhere.cluster
    grant(elsewhere)
    made = elsewhere("up")
    assert made.returncode == 0, explained(made)
    (ours,) = cluster.api.list_namespaced_pod(
        "harness-system", label_selector="app.kubernetes.io/name=postgres"
    ).items
    login = cluster.api.read_namespaced_secret("registry", "harness-system")
    login.metadata = client.V1ObjectMeta(name="registry")
    cluster.api.create_namespaced_secret("theirs", login)
    cluster.api.create_namespaced_pod("theirs", _server(ours.spec.containers[0].image))
    gone = elsewhere("down", "--force")
    assert gone.returncode == 0, explained(gone)
    address = eventually(lambda: _ready_address(cluster), what="their server", deadline_s=120)
    return f"postgresql://team:may-make@{address}:5432/postgres"


def test_namespaces_that_are_given_are_used_in_turn(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """Three versions in two namespaces; what else lies in them stays, and the login may do nothing elsewhere."""
    api = elsewhere.cluster.api
    few = somebody(elsewhere.cluster, tmp_path / "few", "few", 'namespaces = ["ml-a", "ml-b"]\n')
    few = replace(few, environ={**few.environ, "HARNESS_STATE_DIR": str(tmp_path / "state")})
    refused = few("up")
    assert refused.returncode == 3, explained(refused)
    grant(few)
    precious = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="precious"), data={"a": "b"})
    api.create_namespaced_config_map("ml-a", precious)
    before = elsewhere.objects()
    made = few("up")
    assert made.returncode == 0, explained(made)
    for accuracy in (0.81, 0.82, 0.83):
        few.one_line(accuracy)
    refs = [word for ref in ("HEAD", "HEAD~1", "HEAD~2") for word in ("--ref", ref)]
    file = tmp_path / "result.json"
    done = few("test", "--json", file, *refs)
    assert done.returncode == 0, explained(done)
    document = json.loads(file.read_text())
    assert all("namespace is 'ml-" in each for each in schema.violations(document))
    versions = document["versions"]
    assert {each["namespace"] for each in versions} == {"ml-a", "ml-b"}
    # Who comes last is alone by then, and has nobody to look into.
    assert "passed" in {each["receipt"]["verdict"] for each in versions} <= {"passed", "not exercised"}
    found = sorted(each["tests"][0]["metrics"]["accuracy"]["value"] for each in versions)
    assert found == [0.81, 0.82, 0.83]
    gone = few("down", "--force")
    assert gone.returncode == 0, explained(gone)
    assert {each for each in elsewhere.objects() if not each.startswith("volume")} <= before
    for place in ("ml-a", "ml-b", "harness-system"):
        assert api.list_namespaced_pod(place).items == []
        left = {each.metadata.name for each in api.list_namespaced_secret(place).items}
        left |= {each.metadata.name for each in api.list_namespaced_config_map(place).items}
        assert left <= {"precious", "kube-root-ca.crt"}, left
    assert api.read_namespaced_config_map("precious", "ml-a").data == {"a": "b"}


def _server(image: str) -> dict[str, Any]:
    script = """\
PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)"
initdb --pgdata /data/it --username postgres --auth-local trust --auth-host scram-sha-256 --no-sync
echo "host all all all scram-sha-256" >>/data/it/pg_hba.conf
postgres -D /data/it -c listen_addresses='*' -c unix_socket_directories=/tmp &
until psql -h /tmp -U postgres -c "CREATE ROLE team LOGIN PASSWORD 'may-make' CREATEDB CREATEROLE"; do sleep 1; done
psql -h /tmp -U postgres -c "CREATE DATABASE theirs"
wait
"""
    probe = {"exec": {"command": ["psql", "-h", "/tmp", "-U", "postgres", "-c", "SELECT 1", "theirs"]}}
    probe["exec"]["command"][:0] = [
        "sh",
        "-c",
        'PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)" exec "$@"',
        "sh",
    ]
    container = {
        "name": "postgres", "image": image, "command": ["sh", "-ec", script],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}], "readinessProbe": {**probe, "periodSeconds": 1},
    }  # fmt: skip
    return {
        "metadata": {"name": "postgres"},
        "spec": {
            "containers": [container], "imagePullSecrets": [{"name": "registry"}],
            "securityContext": {"runAsUser": 999, "runAsGroup": 999, "fsGroup": 999},
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }  # fmt: skip


def _ready_address(cluster: ThreeNodes) -> str | None:
    status = cluster.api.read_namespaced_pod("postgres", "theirs").status
    return status.pod_ip if any(each.ready for each in status.container_statuses or ()) else None


def _databases(elsewhere: Elsewhere) -> set[str]:
    """Those of their server, by its own owner."""
    said = stream(
        elsewhere.cluster.api.connect_get_namespaced_pod_exec, "postgres", "theirs",
        command=[
            "sh", "-c", 'PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)" psql -h /tmp -U postgres -tAc '
            "\"SELECT datname FROM pg_database WHERE datname !~ '^template[01]$'\"",
        ],
        stderr=True, stdin=False, stdout=True, tty=False,
    )  # fmt: skip
    return set(said.split())
