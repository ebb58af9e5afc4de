"""Whom the kernel of a kind node killed for memory: of what is not a pod's first process Kubernetes says nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.host import process

TIMEOUT_S = 10.0
_VICTIM_POD = re.compile(r"oom-kill:.*oom_memcg=\S*?pod(?P<uid>[0-9a-f_-]{36})\S*?,.*,pid=(?P<pid>\d+)")
_VICTIM = re.compile(r"Killed process (?P<pid>\d+) .*?anon-rss:(?P<anon>\d+)kB, file-rss:(?P<file>\d+)kB")


@dataclass(frozen=True)
class OomKill:
    """A process that was killed because its pod was at its memory limit, and what it held then."""

    pod_uid: str
    held_bytes: float


def oom_kills(node: str) -> tuple[OomKill, ...] | None:
    """Those that the node's kernel still remembers, the newest last; None where its log can't be read."""
    try:
        done = process.run(["docker", "exec", node, "dmesg"], check=False, timeout_s=TIMEOUT_S)
    except HarnessError:
        return None
    return parse(done.stdout) if done.returncode == 0 else None


def parse(log: str) -> tuple[OomKill, ...]:
    """The kills that a kernel log tells of."""
    pods: dict[str, str] = {}
    found = []
    for line in log.splitlines():
        if (named := _VICTIM_POD.search(line)) is not None:
            pods[named["pid"]] = named["uid"].replace("_", "-")
        elif (victim := _VICTIM.search(line)) is not None and victim["pid"] in pods:
            held = 1024.0 * (int(victim["anon"]) + int(victim["file"]))
            found.append(OomKill(pods.pop(victim["pid"]), held))
    return tuple(found)
