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
from pathlib import Path

DEADLINE_S = 60.0
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
exec dockerd --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" --host "unix://$1/docker.sock" \
  --bridge=none --iptables=false {options}
"""


def can_be_made() -> bool:
    """Whether this user may make namespaces, and there is a daemon to start."""
    return os.geteuid() == 0 and shutil.which("dockerd") is not None and shutil.which("unshare") is not None


@contextmanager
def with_mapped_users(folder: Path) -> Iterator[str]:
    """One whose containers' root is nobody here; gives its address."""
    with _running(folder, _MAPPED, "--userns-remap=daemon") as url:
        yield url


@contextmanager
def without_home(folder: Path) -> Iterator[str]:
    """One that sees an empty home that nobody can write to, as in a sandbox; gives its address."""
    with _running(folder, _HOMELESS, "") as url:
        yield url


@contextmanager
def _running(folder: Path, prepare: str, options: str) -> Iterator[str]:
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
        yield url
    finally:
        with suppress(ProcessLookupError):
            daemon.terminate()
        try:
            daemon.wait(30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(daemon.pid, signal.SIGKILL)
