"""What there is of a version on the cluster, and of a cluster on the machine, asked of those who keep it."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import docker
from pytest_kind import KindCluster

from harness.host import cache, process, scratch

DOCKERS_OWN = ("bridge", "host", "none")  # networks, which have new ids once the daemon was started again
WHOLE = {"namespace", "helm release", "persistent volume", "database", "role"}
VOLUMES_DEADLINE_S = 60.0
PASSING_S = 30.0  # longer than kind takes from a network to its node
_PSQL = 'PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)" psql -h /tmp -U postgres -d "$1" -At -c "$2"'


def of_version(cluster: KindCluster, helm: list[str], namespace: str) -> set[str]:
    """The kinds of things that are there of the version that lived in `namespace`."""
    suffix = namespace.rpartition("-")[2]
    listed = json.loads(process.run(helm).stdout)
    found = {
        "namespace": namespace in cluster.kubectl("get", "namespaces", "--output", "name"),
        "helm release": any(each["namespace"] == namespace for each in listed),
        "persistent volume": bool(_volumes(cluster, namespace)),
        "database": _has(cluster, "SELECT datname FROM pg_database", suffix, beside="postgres"),
        "role": _has(cluster, "SELECT rolname FROM pg_roles", suffix, beside="postgres"),
    }
    return {kind for kind, there in found.items() if there}


def of_version_in_the_end(cluster: KindCluster, helm: list[str], namespace: str) -> set[str]:
    """The same, once the storage provisioner had time to give back what the version's claims held."""
    until = time.monotonic() + VOLUMES_DEADLINE_S
    while (found := of_version(cluster, helm, namespace)) == {
        "persistent volume"
    } and time.monotonic() < until:
        time.sleep(1.0)
    return found


def docker_objects(name: str) -> dict[str, str]:
    """All containers, volumes and networks, but those of other kind clusters than `name`: id -> kind and name."""
    engine = docker.from_env()
    try:
        containers = engine.containers.list(all=True)
        others: set[str] = set()
        for container in containers:
            if container.labels.get("io.x-k8s.kind.cluster", name) != name:
                others |= {str(container.id), *_used_by(container.attrs)}
        found = {str(each.id): f"container {each.name}" for each in containers}
        found |= {str(each.name): f"volume {each.name}" for each in engine.volumes.list()}
        networks = [each for each in engine.networks.list() if each.name not in DOCKERS_OWN]
        found |= {str(each.id): f"network {each.name}" for each in networks}
        return {key: name for key, name in found.items() if key not in others}
    finally:
        engine.close()


def left_on_docker(name: str, before: dict[str, str]) -> list[str]:
    """What a cluster left on Docker: whatever has its name, and what was not there `before`.

    Tests of other clusters run meanwhile. What they are about to make has nobody yet, and what they are about to
    remove has nobody any more: what goes by no name of the cluster counts as left when it stays.
    """
    until = time.monotonic() + PASSING_S
    while True:
        found = docker_objects(name)
        ours = [text for text in found.values() if text.split()[1] in {name, f"{name}-control-plane"}]
        others = [text for key, text in found.items() if key not in before]
        if ours or not others or time.monotonic() > until:
            return ours or others
        time.sleep(1.0)


def half_made() -> list[str]:
    """Files that a killed command left: what it worked on in the cache, and whatever else goes by our name.

    What is locked is being worked on, and what pytest's plugin notes belongs to a session that may run beside this one.
    """
    found = [path for path in cache.root().rglob(f"{scratch.PREFIX}*") if not path.is_symlink()]
    notes = ("harness-versions-of-", "harness-cluster-of-")
    found += [
        path for path in Path(tempfile.gettempdir()).glob("harness-*") if not path.name.startswith(notes)
    ]
    return [str(path) for path in found if _is_left(path)]


def _is_left(path: Path) -> bool:
    """Whether nobody works on it; what is gone since it was listed was not left."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return path.exists()


def psql(cluster: KindCluster, database: str, statement: str) -> str:
    """What the server's owner is told, who does this as somebody would by hand."""
    argv = ["exec", "--namespace=harness-system", "deployment/postgres", "--", "sh", "-c", _PSQL, "psql"]
    return cluster.kubectl(*argv, database, statement)


def _used_by(container: dict[str, Any]) -> set[str]:
    volumes = {mount["Name"] for mount in container["Mounts"] if mount["Type"] == "volume"}
    return volumes | {each["NetworkID"] for each in container["NetworkSettings"]["Networks"].values()}


def _volumes(cluster: KindCluster, namespace: str) -> list[str]:
    items = json.loads(cluster.kubectl("get", "persistentvolumes", "--output", "json"))["items"]
    claims = {item["metadata"]["name"]: item["spec"].get("claimRef") or {} for item in items}
    return [name for name, claim in claims.items() if claim.get("namespace") == namespace]


def _has(cluster: KindCluster, query: str, part: str, *, beside: str) -> bool:
    names = psql(cluster, "postgres", query).split()
    assert beside in names, f"{query} does not answer: {names}"
    return any(part in name for name in names)
