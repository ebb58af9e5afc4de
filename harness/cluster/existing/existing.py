"""A cluster that harness did not make, here or elsewhere: reached by a context that the user allowed."""

from __future__ import annotations

import hashlib
import json
import shlex
import socket
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

from harness.cluster import place
from harness.cluster.api import KubernetesApi
from harness.cluster.existing import allow_list, kubeconfig
from harness.cluster.kind.configuration import KIND_LABEL
from harness.cluster.place import Cluster
from harness.errors import CauseCode, HarnessError
from harness.host import disk, process

API_PORT = "6443/tcp"
ASKING_S = 30.0
HERE = frozenset({"127.0.0.1", "localhost", "::1", "0.0.0.0"})  # noqa: S104  names of this machine, in addresses
FORGET = "harness down --force"


def find(name: str) -> Cluster:
    """The cluster of `@CONTEXT`: the kubeconfig is read and the allow list asked each time, before anything else.

    Docker is asked whether its nodes are containers here only where its server is at this machine, and images don't go
    through a registry of its own. Raises HarnessError: USAGE when it is not allowed, or elsewhere without a registry;
    CLUSTER_FAILED when it does not answer.
    """
    context = kubeconfig.find(place.context_of(place.check_name(name)) or "")
    entry = allow_list.check(context.name, context.server)
    document = json.dumps(context.document())
    is_new = not place.state_folder(name).exists()
    folder = disk.folder(place.state_folder(name), variable=place.STATE_VARIABLE)
    folder.chmod(0o700)
    kept = _kept(name, document, folder)
    try:
        nodes = () if entry.has_own_registry else _nodes(context, kept)
        if not nodes:
            return _elsewhere(name, context, kept, entry, _port(folder))
    except HarnessError as error:
        if is_new:  # a login that is of no use is not left behind
            place.remove_state(name)
        elif error.cause is CauseCode.CLUSTER_FAILED:
            error.hint = (
                f"kubectl --context {shlex.quote(context.name)} cluster-info; or to forget it: {FORGET}"
            )
        elif error.cause is CauseCode.LOGIN_FAILED:
            error.hint = f"{error.hint}; or to forget the cluster: {FORGET}"
        raise
    return Cluster(
        name, kept, nodes, _port(folder), forwarded=True, placement=entry.placement,
        database_variable=entry.database_variable,
    )  # fmt: skip


def _kept(name: str, document: str, folder: Path) -> Path:
    """The context's own kubeconfig, written when the user's has changed: tokens in it may be newer than there."""
    kept, known = folder / "kubeconfig", folder / "kubeconfig.sha256"
    digest = hashlib.sha256(document.encode()).hexdigest()
    if not kept.exists() or not known.exists() or known.read_text(encoding="utf-8") != digest:
        place.keep_kubeconfig(name, document)
        known.write_text(digest, encoding="utf-8")
    return kept


def _elsewhere(
    name: str, context: kubeconfig.Context, kept: Path, entry: allow_list.Entry, port: int
) -> Cluster:
    """A cluster whose nodes can't be reached but through its API: what they run, they pull."""
    if entry.registry is None:
        raise HarnessError(
            CauseCode.USAGE,
            f"context {context.name!r} is no kind cluster of this machine's Docker: images reach it through a "
            f"registry, and {allow_list.path()} names none",
            evidence=[f"its server: {context.server}"],
            hint=allow_list.adding_registry(),
        )
    KubernetesApi(kept).request("GET", "/version")  # that it answers, and takes the login
    return Cluster(
        name, kept, (), port, forwarded=True, placement=entry.placement, registry=entry.registry,
        database_variable=entry.database_variable,
    )  # fmt: skip


def _nodes(context: kubeconfig.Context, kept: Path) -> tuple[str, ...]:
    """The containers that are the cluster's nodes: images are put on them through Docker. None are of one elsewhere."""
    if urlsplit(context.server).hostname not in HERE:
        return ()
    api = KubernetesApi(kept)
    names = [str(item["metadata"]["name"]) for item in api.list("/api/v1/nodes")]
    found = process.run(["docker", "container", "inspect", *names], check=False, timeout_s=ASKING_S)
    containers = json.loads(found.stdout or "[]")
    labels = {(each["Config"]["Labels"] or {}).get(KIND_LABEL) for each in containers}
    if len(containers) != len(names) or len(labels) != 1 or None in labels:
        return ()
    ours = str(labels.pop())
    if (place.state_folder(ours) / "kubeconfig").exists():
        raise HarnessError(
            CauseCode.USAGE,
            f"context {context.name!r} is harness's own cluster {ours}",
            hint=f"harness status --name {ours}",
        )
    if not any(_listens(each["HostConfig"]["PortBindings"] or {}, context.server) for each in containers):
        return ()
    return tuple(names)


def _listens(bindings: dict[str, list[dict[str, str]] | None], server: str) -> bool:
    """Whether it is this container's API server that the address leads to: others may have such names elsewhere."""
    address = urlsplit(server)
    port = str(address.port or 443)
    return address.hostname in HERE and any(each["HostPort"] == port for each in bindings.get(API_PORT) or [])


def _port(folder: Path) -> int:
    """The port on 127.0.0.1 at which the gateway is reached: chosen once, for it is in the addresses of versions."""
    file = folder / "port"
    with suppress(OSError, ValueError):
        return int(file.read_text(encoding="utf-8"))
    taken = set()
    for other in folder.parent.glob("*/port"):
        with suppress(OSError, ValueError):
            taken.add(int(other.read_text(encoding="utf-8")))
    while True:
        with closing(socket.socket()) as listener:
            listener.bind(("127.0.0.1", 0))
            port = int(listener.getsockname()[1])
        if port not in taken:
            break
    file.write_text(f"{port}\n", encoding="utf-8")
    return port
