"""A second Docker daemon on this machine, in a network and a mount namespace of its own: there it disturbs nobody.

In one network namespace with the first it would flush that one's chains of iptables.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

DEADLINE_S = 60.0
_WITHOUT_NETWORKS = "--bridge=none --iptables=false"
# `daemon` is a user that every system has.
_MAPPED = (
    'echo daemon:100000:65536 >"$1/ids"; mount --bind "$1/ids" /etc/subuid; mount --bind "$1/ids" /etc/subgid'
)
_HOMELESS = 'mount -t tmpfs -o ro,mode=755 tmpfs "$HOME"'
_DAEMON = """
set -e
mount --make-rprivate /
ip link set lo up
{prepare}
mount -t tmpfs tmpfs /run
exec dockerd --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" --host "unix://$1/docker.sock" {options}
"""


def can_be_made() -> bool:
    """Whether this user may make namespaces, and there is a daemon to start."""
    return os.geteuid() == 0 and shutil.which("dockerd") is not None and shutil.which("unshare") is not None


@dataclass(frozen=True)
class OtherDaemon:
    """Its address, and what goes before a command that is to reach its containers' ports."""

    url: str
    beside: tuple[str, ...]


@contextmanager
def with_mapped_users(folder: Path, *, networks: bool = False) -> Iterator[OtherDaemon]:
    """One whose containers' root is nobody here; `networks` where they need any."""
    options = "--userns-remap=daemon" + ("" if networks else f" {_WITHOUT_NETWORKS}")
    with _running(folder, _MAPPED, options) as daemon:
        yield daemon


@contextmanager
def without_home(folder: Path, *, networks: bool = False) -> Iterator[OtherDaemon]:
    """One that sees an empty home that nobody can write to, as in a sandbox; `networks` where containers need any."""
    with _running(folder, _HOMELESS, "" if networks else _WITHOUT_NETWORKS) as daemon:
        yield daemon


@contextmanager
def _running(folder: Path, prepare: str, options: str) -> Iterator[OtherDaemon]:
    for name in ("/etc/subuid", "/etc/subgid"):
        Path(name).touch()
    script = _DAEMON.format(prepare=prepare, options=options)
    url = f"unix://{folder}/docker.sock"
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["unshare", "--mount", "--net", "sh", "-c", script, "sh", str(folder)],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + DEADLINE_S
        while subprocess.run(["docker", "--host", url, "info"], check=False, capture_output=True).returncode:
            assert daemon.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < until, (folder / "log").read_text()[-2000:]
            time.sleep(0.2)
        yield OtherDaemon(url, ("nsenter", "--target", str(daemon.pid), "--net"))
    finally:
        with suppress(ProcessLookupError):
            daemon.terminate()
        try:
            daemon.wait(30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(daemon.pid, signal.SIGKILL)
