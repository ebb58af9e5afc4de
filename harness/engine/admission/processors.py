"""How busy the nodes' processors were over a while, as their kubelets counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from harness.cluster.api import KubernetesApi
from harness.cluster.placement import Placement
from harness.errors import HarnessError

SHORTEST_S = 8.0  # a kubelet counts each ten seconds: over less it says nothing


@dataclass(frozen=True)
class Counted:
    """What a node's processors had worked by a moment, in seconds; `at_s` is a Unix time."""

    worked_s: float
    at_s: float


def counted(api: KubernetesApi, placement: Placement) -> Mapping[str, Counted]:
    """By the names of the nodes that pods of ours may go to; empty where it can't be asked."""
    found: dict[str, Counted] = {}
    with suppress(HarnessError):
        for node in api.list("/api/v1/nodes"):
            name = node["metadata"]["name"]
            if placement.takes(node):
                summary = api.get(f"/api/v1/nodes/{name}/proxy/stats/summary") or {}
                cpu = (summary.get("node") or {}).get("cpu") or {}
                if worked := cpu.get("usageCoreNanoSeconds"):
                    found[name] = Counted(worked / 1e9, datetime.fromisoformat(cpu["time"]).timestamp())
    return found


def busy(before: Mapping[str, Counted], now: Mapping[str, Counted]) -> float | None:
    """How many processors were at work between two looks; None where no node was counted for long enough."""
    total = None
    for name, last in now.items():
        first = before.get(name)
        if (
            first is None or last.worked_s < first.worked_s
        ):  # a node that was started again counts from nothing
            continue
        if (seconds := last.at_s - first.at_s) >= SHORTEST_S:
            total = (total or 0.0) + (last.worked_s - first.worked_s) / seconds
    return total


class Busy:
    """How busy they were since a run began, looked up once when that is over."""

    def __init__(self, look: Callable[[], Mapping[str, Counted]]) -> None:
        self._look = look
        self._before: Mapping[str, Counted] = {}
        self._found: float | None = None
        self._is_found = True

    def begin(self) -> None:
        """A run begins."""
        self._before, self._is_found = self._look(), False

    @property
    def so_far(self) -> float | None:
        """From then to when this was first asked for; None where nobody counted."""
        if not self._is_found:
            self._found, self._is_found = busy(self._before, self._look()), True
        return self._found
