"""A Docker daemon on this Linux machine: its settings, its start, and what a dead one left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.host.docker import bounded_runtime
from harness.progress import Step

SOCKET = Path("/var/run/docker.sock")
SETTINGS = Path("/etc/docker/daemon.json")
LOG = Path("/var/log/dockerd.log")
RUNTIME = Path("/usr/local/libexec/harness-runtime")
RUNTIME_NAME = "harness"
START_TIMEOUT_S = 60.0
SYSTEMD_TIMEOUT_S = 180.0  # its own is 90 s for each unit that must start

# File that holds a process id -> the program it must belong to. One left by a killed daemon or by the boot
# before may name some other process by now: then the daemon refuses to start, or waits for a stranger.
_PID_FILES = {
    Path("/var/run/docker.pid"): "dockerd",
    Path("/var/run/docker/containerd/containerd.pid"): "containerd",
    Path("/var/run/docker/containerd/docker-containerd.pid"): "containerd",
}
_CONTAINERD_SOCKETS = (
    Path("/run/containerd/containerd.sock"),
    Path("/var/run/docker/containerd/containerd.sock"),
)


def runs_systemd() -> bool:
    """Whether systemd manages this machine's services."""
    return Path("/run/systemd/system").is_dir()


def find_program() -> str | None:
    """Where dockerd is; a user's PATH often lacks the folders for administration."""
    return shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def lacking_capabilities() -> tuple[str, ...]:
    """What this machine's bounding set lacks of the capabilities that its kernel knows."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return parse_lacking(status, _read(Path("/proc/sys/kernel/cap_last_cap")) or "")


def parse_lacking(status: str, last: str) -> tuple[str, ...]:
    """The same, from the text of /proc/self/status and of /proc/sys/kernel/cap_last_cap."""
    mask = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:")), 16)
    number = int(last) if last.strip().isdigit() else len(bounded_runtime.CAPABILITIES) - 1
    return tuple(bounded_runtime.missing_from(mask, number))


def is_listening(path: Path = SOCKET) -> bool:
    """Whether someone answers on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def with_bounded_runtime(settings: dict[str, Any]) -> dict[str, Any]:
    """Docker's settings with our runtime registered and made the default, all else as it was."""
    runtimes = {**settings.get("runtimes", {}), RUNTIME_NAME: {"path": str(RUNTIME)}}
    return {**settings, "runtimes": runtimes, "default-runtime": RUNTIME_NAME}


def install_bounded_runtime() -> tuple[str, ...]:
    """Put the runtime in place and name it in Docker's settings; returns what was changed.

    Raises HarnessError(DOCKER_MISSING) when daemon.json is not valid JSON.
    """
    done = []
    program = f"#!{_interpreter()} -IS\n" + Path(bounded_runtime.__file__).read_text(encoding="utf-8")
    if _read(RUNTIME) != program:
        _write(RUNTIME, program, mode=0o755)
        done.append(f"installed the container runtime {RUNTIME}")
    text = _read(SETTINGS) or "{}"
    try:
        settings = json.loads(text)
        wanted = with_bounded_runtime(settings)
    except (ValueError, TypeError, AttributeError) as error:
        raise HarnessError(
            CauseCode.DOCKER_MISSING, f"{SETTINGS} is not valid: {error}", hint=f"edit {SETTINGS}"
        ) from error
    if settings != wanted:
        _write(SETTINGS, json.dumps(wanted, indent=2) + "\n", mode=0o644)
        done.append(f"made it Docker's default runtime in {SETTINGS}")
    return tuple(done)


def reload_settings() -> None:
    """Have a running daemon read its settings again; its containers run on."""
    if runs_systemd():
        process.run(["systemctl", "reload", "docker"], cause=CauseCode.DOCKER_MISSING)
    elif (pid := _owner(Path("/var/run/docker.pid"), "dockerd")) is not None:
        os.kill(pid, signal.SIGHUP)
        time.sleep(1)


def start(step: Step, *, ready: Callable[[], bool] = is_listening) -> str:
    """Start the daemon and wait until it answers; returns how it was started, in one line.

    Raises HarnessError(DOCKER_MISSING) with the end of its log.
    """
    if runs_systemd():
        step.update("waiting for systemctl enable --now docker")
        process.run(["systemctl", "reset-failed", "docker"], check=False)
        process.run(
            ["systemctl", "enable", "--now", "docker"],
            cause=CauseCode.DOCKER_MISSING,
            hint="journalctl -u docker -n 50",
            timeout_s=SYSTEMD_TIMEOUT_S,
        )
        _wait(lambda: True, ready, step)
        return "started Docker (systemctl enable --now docker)"
    program = find_program()
    if program is None:
        raise HarnessError(
            CauseCode.DOCKER_MISSING, "there is no dockerd to start", hint="harness doctor --fix"
        )
    running = _owner(Path("/var/run/docker.pid"), "dockerd")
    if running is None:
        removed = _remove_leftovers()
        running = process.spawn_detached([program], log=LOG)
        how = f"started {program} (process {running}, log {LOG})"
        if removed:
            how += f" after removing {', '.join(map(str, removed))} of a daemon that died"
    else:
        how = f"waited for {program} (process {running}), which was starting"
    _wait(lambda: _program_of(running) is not None, ready, step)
    return how


def _wait(alive: Callable[[], bool], ready: Callable[[], bool], step: Step) -> None:
    began = time.monotonic()
    while not ready():
        waited_s = time.monotonic() - began
        step.update(f"waiting for Docker to answer, {waited_s:.0f} s")
        if waited_s > START_TIMEOUT_S or not alive():
            state = "ended" if not alive() else f"did not answer within {START_TIMEOUT_S:.0f} s"
            lines = (_read(LOG) or "").splitlines()[-process.TAIL_LINES :]
            raise HarnessError(
                CauseCode.DOCKER_MISSING,
                f"the Docker daemon {state}",
                hint=f"tail -n 50 {LOG}" if not runs_systemd() else "journalctl -u docker -n 50",
                evidence=lines,
            )
        time.sleep(0.2)


def _remove_leftovers() -> list[Path]:
    stale = [path for path, program in _PID_FILES.items() if path.exists() and _owner(path, program) is None]
    stale += [path for path in _CONTAINERD_SOCKETS if path.exists() and not is_listening(path)]
    for path in stale:
        path.unlink(missing_ok=True)
    return stale


def _owner(pid_file: Path, program: str) -> int | None:
    """The live process that a file names, when it is `program`."""
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return None
    return pid if _program_of(pid) == program else None


def _program_of(pid: int) -> str | None:
    """A live process's program; None when it has ended, also when nobody has collected its status yet."""
    text = _read(Path(f"/proc/{pid}/stat"))
    if not text:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    return None if rest.split()[0] == "Z" else name


def _interpreter() -> str:
    """A Python that stays: the system's own if there is one, else the one this environment is made from."""
    system = Path("/usr/bin/python3")
    return str(system if system.exists() else Path(sys.executable).resolve())


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _write(path: Path, text: str, *, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".new")
    half.write_text(text, encoding="utf-8")
    half.chmod(mode)
    half.replace(path)
