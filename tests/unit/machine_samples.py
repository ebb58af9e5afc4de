"""Machines, and what their Docker says, for the tests of doctor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.host.docker import client as docker_client
from harness.host.docker.privileged_probe import ProbeResult
from harness.host.doctor import docker_checks, machine_checks, tool_checks
from harness.host.doctor.check import Check, Report
from harness.host.doctor.docker_checks import Daemon
from harness.host.doctor.machine_checks import GIB, InotifyLimits
from harness.host.machine import Machine
from harness.host.sources import ca_bundle

DEBIAN = Machine("Linux", "x86_64", "Debian GNU/Linux 12 (bookworm)", has_apt=True, has_systemd=True)
DEBIAN_ROOT = replace(DEBIAN, is_root=True)
BARE_ROOT = replace(DEBIAN_ROOT, has_systemd=False)
WSL = replace(DEBIAN, is_wsl=True, has_systemd=False)
FEDORA = Machine("Linux", "x86_64", "Fedora Linux 43", has_systemd=True)
MACOS = Machine("Darwin", "arm64")
WINDOWS = Machine("Windows", "AMD64")
EVERY = [DEBIAN, DEBIAN_ROOT, BARE_ROOT, WSL, FEDORA, MACOS, WINDOWS]
DAEMON = Daemon(
    version="28.2.2",
    architecture="x86_64",
    cgroup_version="2",
    cgroup_driver="systemd",
    is_rootless=False,
    data_folder=Path("/var/lib/docker"),
    cpus=4,
    memory_bytes=8 * GIB,
    url="unix:///var/run/docker.sock",
    is_on_this_machine=True,
)
NOT_RUNNING = HarnessError(CauseCode.DOCKER_MISSING, "the Docker daemon is not running")
USUAL = docker_client.Endpoint("unix:///var/run/docker.sock", "the default")
ANOTHER = docker_client.Endpoint("tcp://10.0.0.7:2376", "DOCKER_HOST")
REFUSED = HarnessError(CauseCode.DOCKER_PERMISSION, "this user may not use the Docker socket")


def report(*checks: Check) -> Report:
    return Report("a machine", checks)


def all_missing(host: Machine) -> list[Check]:
    """Every check that can fail, failing."""
    return [
        docker_checks.cli(None, host),
        docker_checks.daemon(NOT_RUNNING, host, is_installed=False, where=USUAL),
        docker_checks.daemon(NOT_RUNNING, host, is_installed=True, where=USUAL),
        docker_checks.daemon(REFUSED, host, is_installed=True, where=USUAL),
        docker_checks.daemon(NOT_RUNNING, host, is_installed=True, where=ANOTHER),
        docker_checks.version(replace(DAEMON, version="19.03.1")),
        docker_checks.version(replace(DAEMON, version="")),
        docker_checks.version(replace(DAEMON, version="5.8.4", name="Podman")),
        docker_checks.daemon(DAEMON, host, is_installed=True, where=ANOTHER),
        docker_checks.cgroups(replace(DAEMON, is_rootless=True, unlimited=("memory", "CPU"))),
        docker_checks.cache_folder(ProbeResult(False, "no such file"), Path("/home/me/.cache")),
        docker_checks.privileged(ProbeResult(False, "no"), host, ("CAP_SYS_RESOURCE",), is_local=True),
        docker_checks.privileged(ProbeResult(False, "no"), host, (), is_local=True),
        docker_checks.cgroups(replace(DAEMON, cgroup_version="1", is_rootless=True)),
        docker_checks.cpus(replace(DAEMON, cpus=1)),
        machine_checks.memory(GIB, whose="free", host=host),
        machine_checks.disk("cache disk", Path("/c"), GIB, hint="du -sh /c"),
        machine_checks.disk("cache disk", Path("/c"), 5 * GIB, hint="du -sh /c"),
        machine_checks.inotify(InotifyLimits(128, 8192), host, may_raise=True),
        machine_checks.open_files(1024),
        machine_checks.kernel_modules(False, host),
        tool_checks.git(None, host),
        tool_checks.git("git version 2.25.1", host),
        tool_checks.mmdebstrap(None, host, sources="packages", has_keyring=True),
        tool_checks.mmdebstrap("/usr/bin/mmdebstrap", host, sources="packages", has_keyring=False),
        tool_checks.certificates(None),
        tool_checks.certificates(ca_bundle.CaBundle(Path("/nowhere.pem"), "SSL_CERT_FILE")),
    ]
