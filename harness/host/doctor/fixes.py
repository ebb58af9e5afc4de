"""`harness doctor --fix`: installs and starts what a report says is missing, where this user may do that."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from harness.errors import HarnessError
from harness.host import machine
from harness.host.docker import client as docker_client
from harness.host.docker import daemon as docker_daemon
from harness.host.doctor import apt, check, machine_checks, tool_checks
from harness.host.doctor.check import Report
from harness.progress import Progress, Step

LOCK = Path("/run/lock/harness-doctor.lock")
SYSCTL_FILE = Path("/etc/sysctl.d/60-harness.conf")
DOCKER_PACKAGES = ("docker.io", "containerd", "runc", "iptables", "iproute2")
SOCKET_WAIT_S = 5.0


def fix(report: Report, progress: Progress) -> tuple[str, ...]:
    """Do what is `fixable` in the report; returns what was done, line by line; nothing where it may not.

    Works as root on Debian and its relatives; doing it again changes nothing. Raises HarnessError with the
    cause of the first thing that could not be done.
    """
    if not report.fixable or not machine.read().can_fix:
        return ()
    import filelock

    LOCK.parent.mkdir(parents=True, exist_ok=True)
    done: list[str] = []
    with ExitStack() as held:
        # No deadline: the other one installs packages, and the system takes its lock when it ends.
        with progress.waiting("waiting for another `harness doctor --fix` on this machine"):
            held.enter_context(filelock.FileLock(LOCK))
        for title, action in _actions(report):
            with progress.step(title) as step:
                lines = action(step)
                step.done(lines[-1] if lines else "nothing to do")
                done += lines
    return tuple(done)


Action = Callable[[Step], tuple[str, ...]]


def _actions(report: Report) -> Iterator[tuple[str, Action]]:
    """What to do, in order: what a later one needs comes first."""
    names = {each.name for each in report.fixable}
    if check.KERNEL_MODULES in names:
        yield "Kernel modules folder", lambda _: _make_modules_folder()
    if names & {check.DOCKER_DAEMON, check.PRIVILEGED} and docker_daemon.lacking_capabilities():
        yield "Container runtime for this machine", lambda _: _bound_runtime()
    packages = tuple(_packages(names))
    if packages:
        yield "Debian packages", lambda step: _install(packages, step)
    if check.DOCKER_CLI in names:
        yield "Docker command", _ensure_docker_command
    if check.DOCKER_DAEMON in names:
        yield "Docker daemon", _start_docker
    if check.INOTIFY in names:
        yield "inotify limits", lambda _: _raise_inotify()


def _packages(names: set[str]) -> Iterator[str]:
    if check.DOCKER_DAEMON in names and docker_daemon.find_program() is None:
        yield from DOCKER_PACKAGES
    if check.GIT in names:
        yield "git"
    if check.MMDEBSTRAP in names:
        yield "mmdebstrap"
        if not tool_checks.DEBIAN_KEYRING.exists():
            yield "debian-archive-keyring"


def _make_modules_folder() -> tuple[str, ...]:
    machine_checks.MODULES_FOLDER.mkdir(parents=True, exist_ok=True)
    return (f"made the folder {machine_checks.MODULES_FOLDER}",)


def _bound_runtime() -> tuple[str, ...]:
    done = docker_daemon.install_bounded_runtime()
    if docker_daemon.is_listening():
        docker_daemon.reload_settings()
        done += ("had the Docker daemon read its settings again",)
    return done


def _install(packages: tuple[str, ...], step: Step) -> tuple[str, ...]:
    apt.install(packages, step)
    return (f"installed {', '.join(packages)}",)


def _ensure_docker_command(step: Step) -> tuple[str, ...]:
    """Newer releases split the command off docker.io."""
    if shutil.which("docker") is not None:
        return ()
    return _install(("docker-cli",) if apt.has("docker-cli") else ("docker.io",), step)


def _start_docker(step: Step) -> tuple[str, ...]:
    # The package may have started it just now (systemd does).
    deadline = time.monotonic() + (SOCKET_WAIT_S if docker_daemon.runs_systemd() else 0)
    while not _answers():
        if time.monotonic() >= deadline:
            return (docker_daemon.start(step, ready=_answers),)
        time.sleep(0.2)
    return ("the Docker daemon answers",)


def _answers() -> bool:
    try:
        docker_client.connect().close()
    except HarnessError:
        return False
    return True


def _raise_inotify() -> tuple[str, ...]:
    limits = machine_checks.read_inotify()
    if limits is None or not limits.is_low:
        return ()
    values = {"max_user_instances": limits.raised.instances, "max_user_watches": limits.raised.watches}
    for name, value in values.items():
        (machine_checks.INOTIFY_FOLDER / name).write_text(f"{value}\n")
    lines = [f"fs.inotify.{name} = {value}" for name, value in values.items()]
    SYSCTL_FILE.parent.mkdir(parents=True, exist_ok=True)
    SYSCTL_FILE.write_text("\n".join(["# Made by harness doctor --fix", *lines, ""]))
    return (f"set {', '.join(lines)} (also in {SYSCTL_FILE})",)
