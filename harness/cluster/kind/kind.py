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

from harness.cluster.kind import encryption, local_registry
from harness.cluster.kind.configuration import GATEWAY_NODE_PORT, KIND_LABEL, configuration
from harness.cluster.kind.network import (
    details_of,
    network_name,
    node_name,
    registry_name,
    remove_dead_links,
)
from harness.cluster.kind.node_image.program import Tools
from harness.cluster.place import Cluster, keep_kubeconfig, remove_state, state_folder
from harness.errors import CauseCode, HarnessError
from harness.host import cache, process
from harness.host.docker.client import ASKING_S
from harness.image.registry.address import LocalRegistry

DOING_S = 300.0  # a node's volumes hold gigabytes
GOING = "removing"  # what Docker calls a container that is being removed
_SNAPSHOTS = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots"


@dataclass(frozen=True)
class NodeContainer:
    """What Docker says of a cluster's node, and of the registry beside it, if it has one."""

    status: str
    image: str
    gateway_port: int | None
    registry: LocalRegistry | None = None


def node_container(name: str) -> NodeContainer | None:
    """The node as Docker knows it, or None. Raises HarnessError(DOCKER_MISSING) when Docker does not answer."""
    argv = ["docker", "container", "inspect", node_name(name), registry_name(name)]
    found = process.run(argv, check=False, timeout_s=ASKING_S)
    there = {each["Name"].removeprefix("/"): each for each in json.loads(found.stdout or "[]")}
    details = there.get(node_name(name))
    if details is None:
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
    if (details["Config"]["Labels"] or {}).get(KIND_LABEL) != name:
        raise HarnessError(
            CauseCode.CLUSTER_FAILED,
            f"the container {name}-control-plane exists and is no kind node",
            hint="harness up --name another",
        )
    ports = details["HostConfig"]["PortBindings"] or {}
    bindings = ports.get(f"{GATEWAY_NODE_PORT}/tcp") or []
    port = int(bindings[0]["HostPort"]) if bindings else None
    registry = local_registry.told(there.get(registry_name(name)), name)
    return NodeContainer(details["State"]["Status"], details["Config"]["Image"], port, registry)


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
    return Cluster(
        name, kubeconfig, (node_name(name),), container.gateway_port, local_registry=container.registry
    )


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
    if container.registry is not None:  # which Docker may have started already
        local_registry.stop(container.registry)
    remove_dead_links(name, container.image)
    _docker("start", node_name(name), hint="harness down")


def delete(name: str, *, for_another: bool = False) -> bool:
    """Remove the node with its volumes, the registry beside it, the network and the cluster's files.

    `for_another`, which takes its place: what is in the registry stays. False when there was nothing.
    """
    removed = local_registry.delete(name, with_images=not for_another)
    if (container := node_container(name)) is not None:
        _remove(name, container)
        removed = True
    if details_of(name) is not None:
        _docker("network", "rm", network_name(name))
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
    return {"KIND_EXPERIMENTAL_DOCKER_NETWORK": network_name(name), "KIND_EXPERIMENTAL_PROVIDER": "docker"}
