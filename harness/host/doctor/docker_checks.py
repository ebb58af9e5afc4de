"""Checks of Docker: its client, its daemon, and what kind asks of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import CauseCode, HarnessError
from harness.hints import for_cluster
from harness.host import cache, machine
from harness.host.docker import client as docker_client
from harness.host.docker import daemon as docker_daemon
from harness.host.docker.privileged_probe import ProbeResult
from harness.host.doctor import check
from harness.host.doctor.check import Check
from harness.host.machine import Machine

if TYPE_CHECKING:
    import docker

MINIMUM_VERSION = (20, 10, 10)  # those before refuse threads to newer C libraries (clone3)
CPUS = 2
ROOTLESS_PAGE = "https://kind.sigs.k8s.io/docs/user/rootless/"


@dataclass(frozen=True)
class Daemon:
    """What a Docker daemon says of itself."""

    version: str
    architecture: str
    cgroup_version: str
    cgroup_driver: str
    is_rootless: bool
    data_folder: Path
    cpus: int
    memory_bytes: int
    url: str
    is_on_this_machine: bool  # false in a virtual machine of Docker Desktop's, and behind tcp or ssh
    name: str = "Docker"  # or who answers in its place
    unlimited: tuple[str, ...] = ()  # what it can't limit


def read_daemon(client: docker.DockerClient, where: docker_client.Endpoint, host: Machine) -> Daemon:
    """Ask a daemon that answers."""
    info = client.info()
    folder = Path(info.get("DockerRootDir") or "/var/lib/docker")
    engine = next((str(each.get("Name", "")) for each in client.version().get("Components") or ()), "")
    limits = {"MemoryLimit": "memory", "CpuCfsQuota": "CPU", "PidsLimit": "processes"}
    desktop = "docker desktop" in str(info.get("OperatingSystem", "")).lower()
    return Daemon(
        version=str(info.get("ServerVersion", "")),
        architecture=str(info.get("Architecture", "")),
        cgroup_version=str(info.get("CgroupVersion") or "1"),
        cgroup_driver=str(info.get("CgroupDriver", "")),
        is_rootless=any("rootless" in option for option in info.get("SecurityOptions") or ()),
        data_folder=folder,
        cpus=int(info.get("NCPU") or 0),
        memory_bytes=int(info.get("MemTotal") or 0),
        url=where.url,
        is_on_this_machine=host.is_linux and not desktop and where.url.startswith("unix:"),
        name="Podman" if "podman" in engine.lower() else "Docker",
        unlimited=tuple(what for key, what in limits.items() if info.get(key) is False),
    )


def cli(program: str | None, host: Machine) -> Check:
    """`program` is where `docker` was found on PATH."""
    needed = "kind starts its nodes with the docker command"
    if program:
        return Check(check.DOCKER_CLI, "ok", program, needed)
    return Check(
        check.DOCKER_CLI,
        "missing",
        "no `docker` on PATH",
        needed,
        hint=machine.docker_install_hint(host),
        cause=CauseCode.DOCKER_MISSING,
        fixable=host.can_fix,
    )


def daemon(
    found: Daemon | HarnessError, host: Machine, *, is_installed: bool, where: docker_client.Endpoint | None
) -> Check:
    """`found`: what answered, or why nothing did. `is_installed`: there is a dockerd or a Docker Desktop.

    `where`: it was asked for; None when what names it can't be read.
    """
    needed = "the cluster's nodes are containers"
    is_default = where is not None and where.is_default
    if isinstance(found, Daemon):
        if where is not None and not where.is_here:
            text = f"answers at {found.url}, another machine: a cluster's ports would be there"
            cause = CauseCode.DOCKER_MISSING
            return Check(
                check.DOCKER_DAEMON, "missing", text, needed, hint=docker_client.ELSEWHERE, cause=cause
            )
        return Check(check.DOCKER_DAEMON, "ok", f"answers at {found.url}", needed)
    if where is None or not where.is_here:
        hint = "unset DOCKER_HOST, or: docker context use default"
    elif not is_default and found.cause is not CauseCode.DOCKER_PERMISSION:
        hint = f"{machine.docker_start_hint(host, where.url, where.origin)}; or: docker context use default"
    elif found.cause is CauseCode.DOCKER_PERMISSION:
        hint = machine.docker_permission_hint(host)
    elif is_installed:
        hint = machine.docker_start_hint(host)
    else:
        hint = machine.docker_install_hint(host)
    return Check(
        check.DOCKER_DAEMON,
        "missing",
        found.message,
        needed,
        hint=hint,
        cause=found.cause,
        fixable=host.can_fix and is_default,
    )


def version(found: Daemon) -> Check:
    """At least MINIMUM_VERSION."""
    needed = f"{'.'.join(map(str, MINIMUM_VERSION))} or later"
    if found.name != "Docker":
        return Check(
            "docker version",
            "missing",
            f"{found.name} {found.version} answers in Docker's place",
            "kind is used with Docker alone",
            hint=f"install Docker Engine ({machine.DOCKER_INSTALL_PAGE}), then: unset DOCKER_HOST",
            cause=CauseCode.DOCKER_MISSING,
        )
    number = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", found.version)
    if number and tuple(int(each or 0) for each in number.groups()) >= MINIMUM_VERSION:
        return Check("docker version", "ok", found.version, needed)
    return Check(
        "docker version",
        "missing" if number else "warning",
        found.version or "it does not say",
        needed,
        hint=f"install Docker Engine ({machine.DOCKER_INSTALL_PAGE})",
        cause=CauseCode.DOCKER_MISSING,
    )


def privileged(result: ProbeResult, host: Machine, lacking: tuple[str, ...], *, is_local: bool) -> Check:
    """`lacking`: what this machine's bounding set lacks, the usual reason."""
    needed = "kind's nodes are privileged containers"
    if result.started is not False:
        status: check.Status = "ok" if result.started else "warning"
        return Check(check.PRIVILEGED, status, result.detail, needed)
    reason = f" (this machine lacks {', '.join(lacking)})" if lacking else ""
    fixable = bool(lacking) and host.can_fix and is_local
    if fixable:
        hint = machine.FIX
    elif lacking and host.has_apt and is_local:
        hint = machine.SUDO_FIX
    else:
        hint = "journalctl -u docker -n 50" if host.has_systemd else f"tail -n 50 {docker_daemon.LOG}"
    return Check(
        check.PRIVILEGED,
        "missing",
        f"{result.detail}{reason}",
        needed,
        hint=hint,
        cause=CauseCode.DOCKER_PERMISSION,
        fixable=fixable,
    )


def cgroups(found: Daemon) -> Check:
    """Both versions do; a rootless daemon needs the second."""
    text = f"version {found.cgroup_version}, driver {found.cgroup_driver}"
    needed = "the node's kubelet manages its pods with them; version 1 or 2"
    if found.is_rootless and found.cgroup_version != "2":
        return Check(
            "cgroups",
            "missing",
            f"{text}, rootless daemon",
            "a rootless Docker needs version 2",
            hint="docker context use default (the daemon that runs as root)",
            cause=CauseCode.DOCKER_PERMISSION,
        )
    if found.is_rootless and found.unlimited:
        return Check(
            "cgroups",
            "missing",
            f"{text}, a rootless daemon that can't limit {', '.join(found.unlimited)}",
            needed,
            hint=f"set Delegate=yes for user@.service ({ROOTLESS_PAGE}), or: docker context use default",
            cause=CauseCode.DOCKER_PERMISSION,
        )
    return Check("cgroups", "ok", text, needed)


def cache_folder(result: ProbeResult, folder: Path) -> Check:
    """Whether nodes can be given the cache folder; without it all is sent to them."""
    needed = "a node reads large layers from it, which is quicker than to be sent them"
    if result.started is not False:
        status: check.Status = "ok" if result.started else "warning"
        return Check(
            "cache folder", status, result.detail, needed, hint="" if result.started else "harness up"
        )
    return Check(
        "cache folder",
        "warning",
        f"Docker can't give {folder} to a container: what nodes need will be sent to them",
        needed,
        hint=f"a folder that Docker sees, no hidden one for a snap: export {cache.ROOT_VARIABLE}=~/harness-cache",
    )


def cpus(found: Daemon) -> Check:
    """At least CPUS."""
    needed = f"{CPUS} or more"
    if found.cpus >= CPUS:
        return Check("cpus", "ok", str(found.cpus), needed)
    hint = "give Docker (or its virtual machine) another one: Docker Desktop > Settings > Resources"
    return Check("cpus", "warning", str(found.cpus), needed, hint=hint)


def registries(client: docker.DockerClient) -> Iterator[Check]:
    """Those beside clusters that do not run; nothing is said of the others."""
    listed = client.containers.list(
        all=True, filters={"label": docker_client.REGISTRY_OF}, ignore_removed=True
    )
    for each in listed:
        if each.status != "running":
            cluster = each.labels[docker_client.REGISTRY_OF]
            yield Check(
                "registry",
                "warning",
                f"the container {each.name} is {each.status}",
                f"images reach cluster {cluster} through it",
                hint=for_cluster("harness up", cluster),
            )


def is_installed(host: Machine) -> bool:
    """Whether a daemon could be started here."""
    if host.system == "Darwin":
        return machine.DOCKER_DESKTOP.exists() or shutil.which("colima") is not None
    return host.is_linux and docker_daemon.find_program() is not None
