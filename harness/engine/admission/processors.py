"""How busy the processors were over a while: the nodes', as their kubelets counted, or this machine's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.cluster.api import KubernetesApi
from harness.cluster.placement import Placement
from harness.errors import HarnessError

HERE = ""  # this machine, which names no node
SHORTEST_S = 8.0  # a kubelet counts each ten seconds: over less it says nothing


@dataclass(frozen=True)
class Counted:
    """What a node's processors had worked by a moment, in seconds; `at_s` is a Unix time."""

    worked_s: float
    at_s: float


def counted(api: KubernetesApi, placement: Placement, *, here: bool = False) -> Mapping[str, Counted]:
    """By the names of the nodes that pods of ours may go to; empty where it can't be asked.

    `here`: the nodes are on this machine, where others may keep the processors busy, too.
    """
    found = _counted_here() if here else {}
    with suppress(HarnessError):
        for node in api.list("/api/v1/nodes"):
            name = node["metadata"]["name"]
            if placement.takes(node):
                summary = api.get(f"/api/v1/nodes/{name}/proxy/stats/summary") or {}
                cpu = (summary.get("node") or {}).get("cpu") or {}
                if worked := cpu.get("usageCoreNanoSeconds"):
                    found[name] = Counted(worked / 1e9, datetime.fromisoformat(cpu["time"]).timestamp())
    return found


def _counted_here() -> dict[str, Counted]:
    """What the kernel counted; nothing where it is none that has /proc (https://man7.org/linux/man-pages/man5/proc_stat.5.html)."""
    with suppress(OSError, ValueError):
        user, nice, system, _idle, _waiting, *others = map(
            int, Path("/proc/stat").read_text().splitlines()[0].split()[1:8]
        )
        worked_s = (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")
        return {HERE: Counted(worked_s, time.time())}
    return {}


@dataclass(frozen=True)
class AtWork:
    """How many processors the nodes kept busy, and how many were busy in all, with what else this machine did."""

    nodes: float
    all: float


def busy(before: Mapping[str, Counted], now: Mapping[str, Counted]) -> AtWork | None:
    """How many processors were at work between two looks; None where nobody counted for long enough."""
    nodes: list[float] = []
    here: list[float] = []
    for name, last in now.items():
        first = before.get(name)
        # A node that was started again counts from nothing.
        if first is not None and last.worked_s >= first.worked_s and last.at_s - first.at_s >= SHORTEST_S:
            (nodes if name else here).append((last.worked_s - first.worked_s) / (last.at_s - first.at_s))
    if not nodes and not here:
        return None
    every = max(sum(nodes), *here, 0.0)
    return AtWork(sum(nodes) if nodes else every, every)


class Busy:
    """How busy they were since a run began, looked up once when that is over."""

    def __init__(self, look: Callable[[], Mapping[str, Counted]]) -> None:
        self._look = look
        self._before: Mapping[str, Counted] = {}
        self._found: AtWork | None = None
        self._is_found = True

    def begin(self) -> None:
        """A run begins."""
        self._before, self._is_found = self._look(), False

    @property
    def so_far(self) -> AtWork | None:
        """From then to when this was first asked for; None where nobody counted."""
        if not self._is_found:
            self._found, self._is_found = busy(self._before, self._look()), True
        return self._found
