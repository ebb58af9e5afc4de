"""How busy the processors were, from what kubelets count."""

from __future__ import annotations

from typing import Any

from harness.cluster.placement import KIND
from harness.engine.admission.processors import AtWork, Busy, Counted, busy, counted
from harness.errors import CauseCode, HarnessError


class Kubelets:
    """An API server with one node, whose kubelet counts what it is told to; without a number it does not answer."""

    def __init__(self, *nanoseconds: int | None) -> None:
        self.nanoseconds = list(nanoseconds)
        self.time = 0

    def list(self, path: str) -> list[dict[str, Any]]:
        assert path == "/api/v1/nodes"
        return [{"metadata": {"name": "n"}, "spec": {}, "status": {}}]

    def get(self, path: str) -> dict[str, Any]:
        assert path == "/api/v1/nodes/n/proxy/stats/summary"
        worked = self.nanoseconds.pop(0)
        if worked is None:
            raise HarnessError(CauseCode.CLUSTER_FAILED, "it does not answer", hint="harness up")
        self.time += 10
        cpu = {"time": f"2026-11-28T14:00:{self.time:02}Z", "usageCoreNanoSeconds": worked}
        return {"node": {"cpu": cpu}}


def look(kubelets: Kubelets) -> Busy:
    return Busy(lambda: counted(kubelets, KIND))  # type: ignore[arg-type]


def test_processors_at_work() -> None:
    found = look(Kubelets(5 * 10**9, 20 * 10**9))
    found.begin()
    assert found.so_far == AtWork(1.5, 1.5)
    assert found.so_far == AtWork(1.5, 1.5)  # asked once


def test_others_on_this_machine_count_where_the_nodes_are_on_it() -> None:
    before = {"": Counted(100.0, 100.0), "n": Counted(10.0, 100.0)}
    now = {"": Counted(119.0, 110.0), "n": Counted(15.0, 110.0)}
    assert busy(before, now) == AtWork(0.5, 1.9)
    assert busy(before, {"n": now["n"]}) == AtWork(0.5, 0.5)
    assert busy(before, {"": now[""]}) == AtWork(1.9, 1.9)
    here = counted(Kubelets(None), KIND, here=True)  # type: ignore[arg-type]
    assert set(here) <= {""}


def test_nobody_counted() -> None:
    assert look(Kubelets()).so_far is None
    silent = look(Kubelets(None, None))
    silent.begin()
    assert silent.so_far is None


def test_too_short_and_a_node_that_came_meanwhile() -> None:
    before = {"a": Counted(1.0, 100.0)}
    assert busy(before, {"a": Counted(9.0, 104.0)}) is None
    assert busy(before, {"a": Counted(21.0, 110.0), "b": Counted(50.0, 110.0)}) == AtWork(2.0, 2.0)


def test_a_node_that_was_started_again_counts_from_nothing() -> None:
    assert busy({"a": Counted(500.0, 100.0)}, {"a": Counted(3.0, 120.0)}) is None
