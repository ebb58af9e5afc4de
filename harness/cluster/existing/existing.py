"""A kind cluster of this machine that harness did not make: reached by a context that the user allowed."""

from __future__ import annotations

import hashlib
import json
import shlex
import socket
from collections.abc import Iterable
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
FORGET = "harness down --force"


def find(name: str) -> Cluster:
    """The cluster of `@CONTEXT`: the kubeconfig is read and the allow list asked each time, before anything else.

    Raises HarnessError: USAGE when it is not allowed or not such a cluster, CLUSTER_FAILED when it does not answer.
    """
    context = kubeconfig.find(place.context_of(place.check_name(name)) or "")
    allow_list.check(context.name, context.server)
    document = json.dumps(context.document())
    is_new = not place.state_folder(name).exists()
    folder = disk.folder(place.state_folder(name), variable=place.STATE_VARIABLE)
    folder.chmod(0o700)
    kept = _kept(name, document, folder)
    try:
        nodes = _nodes(context, kept)
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
    return Cluster(name, kept, nodes, _port(folder), forwarded=True)


def _kept(name: str, document: str, folder: Path) -> Path:
    """The context's own kubeconfig, written when the user's has changed: tokens in it may be newer than there."""
    kept, known = folder / "kubeconfig", folder / "kubeconfig.sha256"
    digest = hashlib.sha256(document.encode()).hexdigest()
    if not kept.exists() or not known.exists() or known.read_text(encoding="utf-8") != digest:
        place.keep_kubeconfig(name, document)
        known.write_text(digest, encoding="utf-8")
    return kept


def _nodes(context: kubeconfig.Context, kept: Path) -> tuple[str, ...]:
    """The containers that are the cluster's nodes: images are put on them through Docker."""
    api = KubernetesApi(kept)
    names = [str(item["metadata"]["name"]) for item in api.list("/api/v1/nodes")]
    found = process.run(["docker", "container", "inspect", *names], check=False, timeout_s=ASKING_S)
    containers = json.loads(found.stdout or "[]")
    labels = {(each["Config"]["Labels"] or {}).get(KIND_LABEL) for each in containers}
    if len(containers) != len(names) or len(labels) != 1 or None in labels:
        raise _unusable(context, names)
    ours = str(labels.pop())
    if (place.state_folder(ours) / "kubeconfig").exists():
        raise HarnessError(
            CauseCode.USAGE,
            f"context {context.name!r} is harness's own cluster {ours}",
            hint=f"harness status --name {ours}",
        )
    if not any(_listens(each["HostConfig"]["PortBindings"] or {}, context.server) for each in containers):
        raise _unusable(context, names)
    return tuple(names)


def _listens(bindings: dict[str, list[dict[str, str]] | None], server: str) -> bool:
    """Whether it is this container's API server that the address leads to: others may have such names elsewhere."""
    address = urlsplit(server)
    port = str(address.port or 443)
    return address.hostname in {"127.0.0.1", "localhost", "::1", "0.0.0.0"} and any(  # noqa: S104
        each["HostPort"] == port for each in bindings.get(API_PORT) or []
    )


def _unusable(context: kubeconfig.Context, names: Iterable[str]) -> HarnessError:
    return HarnessError(
        CauseCode.USAGE,
        f"context {context.name!r} can't be used: it is no kind cluster of this machine's Docker, and to others "
        "harness can't bring images yet",
        evidence=[f"server {context.server}, nodes {', '.join(names)}"],
        hint="kind get clusters; harness up",
    )


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
