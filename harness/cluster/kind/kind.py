"""The kind cluster: made, found again, and removed whole."""

from __future__ import annotations

import functools
import json
import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cluster.kind import encryption
from harness.cluster.kind.configuration import (
    GATEWAY_NODE_PORT,
    KIND_LABEL,
    POD_SUBNET,
    SERVICE_SUBNET,
    configuration,
)
from harness.cluster.kind.node_image.program import Tools
from harness.cluster.place import Cluster, keep_kubeconfig, remove_state, state_folder
from harness.errors import CauseCode, HarnessError
from harness.host import cache, process

ASKING_S = 30.0  # Docker tells at once, unless it hangs
DOING_S = 300.0  # a node's volumes hold gigabytes
GOING = "removing"  # what Docker calls a container that is being removed
_NETWORK_DEVICES = Path("/sys/class/net")
_SNAPSHOTS = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots"

# Routes to the pods that are there are narrower. A pod's packet for a service has got the address of one of its pods
# before it is routed, one of the node itself afterwards.
_KEEP_PACKETS = """
ip route replace unreachable "$1"
if [ -z "$(ip rule show preference 101)" ]; then
  ip rule delete preference 100 2>/dev/null || true
  ip rule add preference 100 iif lo to "$2" lookup main
  ip rule add preference 101 to "$2" unreachable
fi
"""


@dataclass(frozen=True)
class NodeContainer:
    """What Docker says of a cluster's node."""

    status: str
    image: str
    gateway_port: int | None


def node_name(name: str) -> str:
    """The container that is the cluster's one node."""
    return f"{name}-control-plane"


def network(name: str) -> str:
    """The cluster's own Docker network."""
    return name if name.startswith("harness") else f"harness-{name}"


def node_container(name: str) -> NodeContainer | None:
    """The node as Docker knows it, or None. Raises HarnessError(DOCKER_MISSING) when Docker does not answer."""
    argv = ["docker", "container", "inspect", node_name(name)]
    found = process.run(argv, check=False, timeout_s=ASKING_S)
    if found.returncode != 0:
        if "No such container" in found.stderr:
            return None
        from harness.host.docker.client import connect

        connect()  # says what is wrong with Docker, and what helps
        if found.timed_out:
            raise HarnessError(
                CauseCode.CLUSTER_FAILED,
                f"Docker answers, and did not tell of the container {node_name(name)} within {ASKING_S:.0f} s",
                hint=" ".join(argv),
            )
        return None
    details = json.loads(found.stdout)[0]
    if (details["Config"]["Labels"] or {}).get(KIND_LABEL) != name:
        raise HarnessError(
            CauseCode.CLUSTER_FAILED,
            f"the container {name}-control-plane exists and is no kind node",
            hint="harness up --name another",
        )
    ports = details["HostConfig"]["PortBindings"] or {}
    bindings = ports.get(f"{GATEWAY_NODE_PORT}/tcp") or []
    port = int(bindings[0]["HostPort"]) if bindings else None
    return NodeContainer(details["State"]["Status"], details["Config"]["Image"], port)


def find(name: str) -> Cluster | None:
    """The cluster if its node runs, without asking whether it is well."""
    return cluster_of(name, node_container(name))


def cluster_of(name: str, container: NodeContainer | None) -> Cluster | None:
    """The cluster whose node is this container, if that runs."""
    kubeconfig = state_folder(name) / "kubeconfig"
    if container is None or container.status != "running" or container.gateway_port is None:
        return None
    if not kubeconfig.exists():
        return None
    return Cluster(name, kubeconfig, (node_name(name),), container.gateway_port)


def create(
    name: str,
    image: str,
    tools: Tools,
    *,
    mounts: tuple[bool, bool] = (True, True),
    on_line: Callable[[str], None],
    on_node: Callable[[], None],
    log: Path,
) -> Cluster:
    """Create the cluster. Raises HarnessError(CLUSTER_FAILED); what kind left then is for `delete`.

    `mounts`: whether Docker can give the node this machine's cache, and the cluster's state, without which Secrets
    are not encrypted. `on_node` is called once the node takes images, while Kubernetes is still being set up.
    """
    folder = state_folder(name)
    for each in (folder, cache.root()):
        each.mkdir(parents=True, exist_ok=True)
    file, key = folder / "kind.json", encryption.write_configuration(folder) if mounts[1] else None
    made = configuration(name, image, key, mounts_cache=mounts[0])
    file.write_text(json.dumps(made), encoding="utf-8")
    kept, exported = folder / "kubeconfig", folder / "kubeconfig.yaml"
    for old in (kept, exported):  # with one of a cluster before, half of this one would pass for the whole
        old.unlink(missing_ok=True)

    def show(line: str) -> None:
        step = re.sub(r"[^\x20-\x7e]", "", line).strip(" *.")
        if step == "Writing configuration":  # after "Preparing nodes": containerd answers
            node_answers()
        on_line(step)

    @functools.cache
    def node_answers() -> None:
        _spread_layers(node_name(name))
        on_node()

    argv: list[str | Path] = [tools.kind, "create", "cluster", "--config", file, "--kubeconfig", exported]
    process.stream(
        [*argv, "--wait", "0s", "--retain"],
        on_line=show,
        env=_environment(name),
        log=log,
        cause=CauseCode.CLUSTER_FAILED,
        hint=f"less {shlex.quote(str(log))}; docker logs {name}-control-plane; harness down",
    )
    keep_kubeconfig(name, _as_json(exported, tools.kubectl))
    exported.unlink()
    cluster = find(name)
    if cluster is None:
        raise HarnessError(
            CauseCode.CLUSTER_FAILED, f"kind made no cluster {name}", hint=f"less {shlex.quote(str(log))}"
        )
    return cluster


def start(name: str, container: NodeContainer) -> None:
    """Start the node container of a cluster that was stopped, by a reboot for instance, or paused."""
    if container.status == "paused":
        _docker("unpause", node_name(name), hint="harness down")
        return
    _remove_dead_links(name, container.image)
    _docker("start", node_name(name), hint="harness down")


def keep_packets(name: str) -> None:
    """Let nothing that is meant for the cluster's pods and services leave its node.

    By default that does for a moment, when a pod is gone or a service gets its first one, before Kubernetes has told
    the kernel all of it. In the machine's network nobody answers, so the sender waits for half a minute, or somebody
    else does: a 404 of theirs made Airflow give a task up. Now the sender is told at once, and tries again.
    """
    argv = ["docker", "exec", node_name(name), "sh", "-ec", _KEEP_PACKETS, "sh", POD_SUBNET, SERVICE_SUBNET]
    process.run(argv, check=False, timeout_s=ASKING_S)  # a kernel without such rules does as before


def delete(name: str) -> bool:
    """Remove the node with its volumes, the network and the cluster's files; False when there was nothing."""
    removed = False
    if (container := node_container(name)) is not None:
        _remove(name, container)
        removed = True
    if _network_details(name) is not None:
        _docker("network", "rm", network(name))
        removed = True
    return remove_state(name) or removed


def wait_answering(
    cluster: Cluster, *, deadline_s: float = 120.0, on_change: Callable[[str], None] = lambda _: None
) -> None:
    """Return when the API server is ready. Raises HarnessError(CLUSTER_FAILED) with what was last seen."""
    until = time.monotonic() + deadline_s
    while True:
        try:
            cluster.api().text("/readyz")
            return
        except HarnessError as error:
            container = node_container(cluster.name)
            if container is None or container.status not in {"running", "restarting"}:
                raise HarnessError(
                    CauseCode.CLUSTER_FAILED,
                    f"the node of cluster {cluster.name} stopped",
                    hint=f"docker logs --tail 20 {node_name(cluster.name)}",
                ) from error
            if time.monotonic() > until:
                raise HarnessError(
                    CauseCode.CLUSTER_FAILED,
                    f"the API server of cluster {cluster.name} was not ready within {deadline_s:.0f} s: "
                    f"{error.message}",
                    hint="harness down && harness up",
                    evidence=error.evidence,
                ) from error
            on_change(error.message)
        time.sleep(0.3)


def _remove(name: str, container: NodeContainer) -> None:
    """Remove the node. Docker goes on with what a killed command asked of it: that is waited for."""
    argv = ["docker", "rm", "--force", "--volumes", node_name(name)]
    if container.status != GOING:
        done = process.run(argv, check=False, timeout_s=DOING_S)
        if done.returncode == 0:
            return
        if "already in progress" not in done.stderr:
            raise process.ProgramError(done, CauseCode.CLUSTER_FAILED, hint="docker info")
    until = time.monotonic() + DOING_S
    while node_container(name) is not None:
        if time.monotonic() > until:
            raise HarnessError(
                CauseCode.CLUSTER_FAILED,
                f"Docker had not removed the container {node_name(name)} after {DOING_S:.0f} s",
                hint=" ".join(argv),
            )
        time.sleep(0.3)


def _remove_dead_links(name: str, image: str) -> None:
    """Cut what still links the stopped node to its network.

    A Docker that was killed leaves that to its successor, which fails to. The kernel keeps the link for minutes, until
    the old node's connections have timed out, and meanwhile packets for the new one, whose addresses are the same, go
    astray: the API server answers, and seconds later does not.
    """
    details = _network_details(name)
    if details is None or details["Containers"]:
        return  # starting the node tells more; or somebody else is on it
    bridge = Path(_NETWORK_DEVICES, f"br-{details['Id'][:12]}", "brif")
    links = sorted(each.name for each in bridge.iterdir()) if bridge.is_dir() else []
    if links:  # in a container, as that needs root; one that goes by itself meanwhile is no failure
        argv = [
            "docker", "run", "--rm", "--pull", "never", "--network", "host", "--userns", "host",
            "--cap-add", "NET_ADMIN", "--entrypoint", "sh", image,
            "-c", 'for each; do ip link delete "$each"; done', "sh", *links,
        ]  # fmt: skip
        process.run(argv, check=False, timeout_s=ASKING_S)


def _network_details(name: str) -> dict[str, Any] | None:
    """The cluster's network as Docker knows it, or None."""
    asked = process.run(["docker", "network", "inspect", network(name)], check=False, timeout_s=ASKING_S)
    if asked.returncode != 0:
        return None
    details: dict[str, Any] = json.loads(asked.stdout)[0]
    return details


def _spread_layers(node: str) -> None:
    """Let ext4 put each layer's files into another part of the disk (`T` of chattr(1)); others refuse, which is fine.

    It keeps what is made in one folder together, and without a journal each new file there searches past all that
    were deleted in the last five minutes: in a cluster made anew containerd took twice the CPU.
    """
    process.run(["docker", "exec", node, "chattr", "+T", _SNAPSHOTS], check=False, timeout_s=ASKING_S)


def _docker(*arguments: str, hint: str = "docker info") -> None:
    argv = ["docker", *arguments]
    process.run(argv, cause=CauseCode.CLUSTER_FAILED, hint=hint, timeout_s=DOING_S)


def _as_json(kubeconfig: Path, kubectl: Path) -> str:
    """The kubeconfig as JSON, which every tool reads and we parse fast."""
    view = process.run(
        [kubectl, "config", "view", "--raw", "--flatten", "--output", "json", "--kubeconfig", kubeconfig],
        cause=CauseCode.CLUSTER_FAILED,
    )
    return view.stdout


def _environment(name: str) -> dict[str, str]:
    return {"KIND_EXPERIMENTAL_DOCKER_NETWORK": network(name), "KIND_EXPERIMENTAL_PROVIDER": "docker"}
