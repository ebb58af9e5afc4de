"""An OCI runtime that asks runc for no more than this machine allows.

Some machines (nested virtual machines, CI sandboxes) lack a capability in their bounding set, most often
CAP_SYS_RESOURCE. There `docker run --privileged`, which kind needs, fails in runc. Installed as a program of
its own (see `fixes`), this file takes what is not allowed out of the container's configuration, then becomes
runc. It runs on each container start and `docker exec`, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

import json
import os
import sys

RUNC_CANDIDATES = ("/usr/bin/runc", "/usr/sbin/runc", "/usr/local/sbin/runc", "/usr/local/bin/runc")
SYS_RESOURCE = 24

# Bit n of a capability mask is the n-th name (include/uapi/linux/capability.h).
_CAPABILITIES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
PERFMON BPF CHECKPOINT_RESTORE
"""
CAPABILITIES = tuple(f"CAP_{name}" for name in _CAPABILITIES.split())

_GLOBAL_WITH_VALUE = {"--root", "--log", "--log-format", "--criu", "--rootless"}


class Allowed:
    """What this process may hand on: a capability mask, its oom_score_adj and its hard limits by name."""

    def __init__(self, mask: int, oom_score_adj: int, hard_limits: dict[str, int]) -> None:
        self.mask = mask
        self.oom_score_adj = oom_score_adj
        self.hard_limits = hard_limits

    @property
    def may_raise_limits(self) -> bool:
        """Whether hard limits may be raised and an oom_score_adj lowered."""
        return bool(self.mask >> SYS_RESOURCE & 1)


def names_of(mask: int) -> set[str]:
    """The capabilities whose bits are set in `mask`."""
    return {name for bit, name in enumerate(CAPABILITIES) if mask >> bit & 1}


def missing_from(mask: int, last: int) -> list[str]:
    """The capabilities that a kernel whose highest is number `last` knows and `mask` lacks."""
    return [name for bit, name in enumerate(CAPABILITIES) if bit <= last and not mask >> bit & 1]


def bound(process: dict, allowed: Allowed) -> bool:  # type: ignore[type-arg]
    """Take from an OCI `process` what is not allowed; True when it changed. Never adds anything."""
    changed = False
    names = names_of(allowed.mask)
    for kind, wanted in (process.get("capabilities") or {}).items():
        kept = [name for name in wanted or () if name in names]
        if kept != (wanted or []):
            process["capabilities"][kind] = kept
            changed = True
    if allowed.may_raise_limits:
        return changed
    if process.get("oomScoreAdj") is not None and process["oomScoreAdj"] < allowed.oom_score_adj:
        process["oomScoreAdj"] = allowed.oom_score_adj
        changed = True
    for limit in process.get("rlimits") or ():
        most = allowed.hard_limits.get(limit.get("type"))
        if most is not None and limit.get("hard", 0) > most:
            limit["hard"] = most
            limit["soft"] = min(limit.get("soft", 0), most)
            changed = True
    return changed


def configuration_of(arguments: list[str]) -> tuple[str, bool] | None:
    """The file that a runc call reads a process from, and whether the file is that process itself.

    `create` and `run` read BUNDLE/config.json, `exec --process FILE` reads FILE; None for anything else.
    """
    words = iter(arguments)
    command = ""
    for word in words:
        if word in _GLOBAL_WITH_VALUE:
            next(words, "")
        elif not word.startswith("-"):
            command = word
            break
    options = {"create": ("--bundle", "-b"), "run": ("--bundle", "-b"), "exec": ("--process", "-p")}.get(
        command
    )
    if options is None:
        return None
    value = None
    for word in words:
        name, _, text = word.partition("=")
        if name in options:
            value = text or next(words, "")
    if command == "exec":
        return (value, True) if value else None
    return os.path.join(value or ".", "config.json"), False  # noqa: PTH118  pathlib is slow to import


def read_allowed() -> Allowed:
    """What the kernel says of this process."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123
        masks = [int(line.split()[1], 16) for line in file if line.startswith(("CapBnd:", "CapPrm:"))]
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:  # noqa: PTH123
        oom_score_adj = int(file.read())
    mask = -1
    for each in masks:
        mask &= each
    hard_limits = {}
    import resource  # absent on Windows, where this module is only imported

    for name in dir(resource):
        if name.startswith("RLIMIT_"):
            hard = resource.getrlimit(getattr(resource, name))[1]
            if hard != resource.RLIM_INFINITY:
                hard_limits[name] = hard
    return Allowed(mask, oom_score_adj, hard_limits)


def apply(arguments: list[str], allowed: Allowed) -> None:
    """Rewrite the file that this runc call reads, when it asks for too much."""
    found = configuration_of(arguments)
    if found is None:
        return
    path, is_process = found
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        document = json.load(file)
    process = document if is_process else document.get("process")
    if not process or not bound(process, allowed):
        return
    # In place: the file's owner and mode stay, and its reader starts only after us.
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(document, file)


def main() -> None:
    """Bound what the arguments name, then become runc."""
    runc = next((path for path in RUNC_CANDIDATES if os.access(path, os.X_OK)), "runc")
    apply(sys.argv[1:], read_allowed())
    os.execvp(runc, [runc, *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    main()
