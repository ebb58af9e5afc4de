"""Checks of the machine itself: memory, disk, kernel limits."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness.errors import CauseCode
from harness.host import machine
from harness.host.doctor import check
from harness.host.doctor.check import Check, Status
from harness.host.machine import Machine

GIB = 1024**3
MEMORY_BYTES = 6 * GIB
DISK_BYTES = 15 * GIB
DISK_LEAST_BYTES = 2 * GIB
OPEN_FILES = 8192
INOTIFY_INSTANCES = 512  # what kind's documentation asks for; Debian's default is 128
INOTIFY_WATCHES = 524288
INOTIFY_FOLDER = Path("/proc/sys/fs/inotify")
MODULES_FOLDER = Path("/lib/modules")


class InotifyLimits(NamedTuple):
    """fs.inotify.max_user_instances and max_user_watches."""

    instances: int
    watches: int

    @property
    def is_low(self) -> bool:
        return self.instances < INOTIFY_INSTANCES or self.watches < INOTIFY_WATCHES

    @property
    def raised(self) -> InotifyLimits:
        """Neither below what is recommended nor below what it was."""
        return InotifyLimits(max(self.instances, INOTIFY_INSTANCES), max(self.watches, INOTIFY_WATCHES))


def read_available_memory() -> int | None:
    """Bytes that programs could still take; None where the kernel does not say (not Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    values = parse_meminfo(lines)
    return values.get("MemAvailable", values.get("MemFree"))


def parse_meminfo(lines: list[str]) -> Mapping[str, int]:
    """/proc/meminfo in bytes; lines that are no `Name: N kB` are left out."""
    values = {}
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            values[name] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return values


def read_inotify() -> InotifyLimits | None:
    """The limits in force; None where there are none (not Linux)."""
    try:
        return InotifyLimits(
            int((INOTIFY_FOLDER / "max_user_instances").read_text()),
            int((INOTIFY_FOLDER / "max_user_watches").read_text()),
        )
    except (OSError, ValueError):
        return None


def read_free_disk(path: Path) -> tuple[Path, int] | None:
    """The nearest folder that exists, from `path` up, and its free bytes; None when not readable."""
    for folder in (path, *path.parents):
        try:
            return folder, shutil.disk_usage(folder).free
        except OSError:
            continue
    return None


def read_open_files() -> int | None:
    """The hard limit of open files; None for no limit."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def memory(available_bytes: int, *, whose: str, host: Machine) -> Check:
    """`whose`: "free" of this machine's, or "in Docker's virtual machine"."""
    found, needed = (
        f"{available_bytes / GIB:.1f} GiB {whose}",
        f"{MEMORY_BYTES // GIB} GiB for a cluster and a version",
    )
    if available_bytes >= MEMORY_BYTES:
        return Check("memory", "ok", found, needed)
    if host.is_linux:
        hint = "end what takes memory (ps aux --sort=-rss | head), or run one version at a time"
    else:
        hint = "Docker Desktop > Settings > Resources: raise the memory limit"
    return Check("memory", "warning", found, needed, hint=hint)


def disk(name: str, folder: Path, free_bytes: int, *, hint: str, held_bytes: int = 0) -> Check:
    """Room for node image, base image, dependencies and volumes; `held_bytes`: what harness keeps there."""
    found = f"{free_bytes / GIB:.1f} GiB free at {folder}"
    if held_bytes:
        found += f"; {held_bytes / GIB:.1f} GiB there are its own cache (harness status --disk)"
    needed = f"{DISK_BYTES // GIB} GiB for images and what is built"
    if free_bytes >= DISK_BYTES:
        return Check(name, "ok", found, needed)
    if free_bytes >= DISK_LEAST_BYTES:
        return Check(name, "warning", found, needed, hint=hint)
    return Check(name, "missing", found, needed, hint=hint, cause=CauseCode.DISK_FULL)


def inotify(limits: InotifyLimits, host: Machine, *, may_raise: bool) -> Check:
    """Few instances make pods fail with "too many open files"."""
    found = f"{limits.instances} instances, {limits.watches} watches per user"
    needed = f"{INOTIFY_INSTANCES} and {INOTIFY_WATCHES}, for several versions side by side"
    if not limits.is_low:
        return Check(check.INOTIFY, "ok", found, needed)
    hint = machine.sysctl_hint(
        host,
        fs__inotify__max_user_instances=limits.raised.instances,
        fs__inotify__max_user_watches=limits.raised.watches,
    )
    return Check(check.INOTIFY, "warning", found, needed, hint=hint, fixable=host.can_fix and may_raise)


def open_files(limit: int | None) -> Check:
    """The hard limit, which containers can't exceed on a machine that may not raise it."""
    needed = f"{OPEN_FILES} or more: a node's pods share them"
    found = "no limit" if limit is None else str(limit)
    status: Status = "ok" if limit is None or limit >= OPEN_FILES else "warning"
    hint = (
        ""
        if status == "ok"
        else f"ulimit -Hn {OPEN_FILES} as root, or a nofile line in /etc/security/limits.conf"
    )
    return Check("open files", status, found, needed, hint=hint)


def kernel_modules(exists: bool, host: Machine) -> Check:
    """kind mounts the folder into its nodes; an empty one does where the kernel has all built in."""
    needed = "kind mounts it into its nodes"
    if exists:
        return Check(check.KERNEL_MODULES, "ok", str(MODULES_FOLDER), needed)
    hint = machine.FIX if host.can_fix else f"sudo mkdir -p {MODULES_FOLDER}"
    return Check(
        check.KERNEL_MODULES, "warning", f"no {MODULES_FOLDER}", needed, hint=hint, fixable=host.can_fix
    )
