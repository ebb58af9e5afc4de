"""The pods of a version's runs, in the last state in which they were seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from harness.airflow.pods.pods import Pod, PodWatch, Resources
from harness.errors import HarnessError
from harness.report import format

# How long the api-server or the cluster may be away: their processes restart, and a machine may be busy.
LOST_S = 180.0
SILENT_S = 5.0  # until that is told


class SeenPods:
    """What the cluster told of its pods, and since when it tells nothing."""

    def __init__(self, watch: PodWatch, on_lost: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._watch = watch
        self._on_lost = on_lost
        self._clock = clock
        self._pods: dict[str, Pod] = {}
        self._blind_since_s: float | None = None
        self._blinded: HarnessError | None = None
        self._told_lost = False
        self._rooms: Sequence[Resources] | None = None
        self._room: Resources | None = None

    @property
    def all(self) -> tuple[Pod, ...]:
        return tuple(self._pods.values())

    def of(self, run: tuple[str, str]) -> tuple[Pod, ...]:
        """Those of one run, by its DAG's id and its own."""
        return tuple(pod for pod in self.all if (pod.dag_id, pod.run_id) == run)

    @property
    def is_blind(self) -> bool:
        return self._blind_since_s is not None

    @property
    def room(self) -> Resources | None:
        """What a node can give to the pod that found no place last; None until there was one."""
        return self._room

    def room_for(self, pod: Pod) -> Resources | None:
        """The same for this pod: what a node can give that it fits on, else what the largest can that has the most of
        the kinds it asks for.

        The nodes are asked once, when the first pod finds no place.
        """
        if pod.unschedulable:
            if self._rooms is None:
                self._rooms = self._watch.rooms()
            self._room = max(self._rooms, key=partial(_suits, pod.requests), default=None)
        return self._room

    def events(self, pod: Pod) -> tuple[str, ...]:
        """The pod's warnings."""
        return self._watch.events(pod.name)

    def look(self, *, at_last: bool) -> None:
        """Keep the latest of each pod; one that vanished before its end was deleted. `at_last`: nothing is missed."""
        asked_s = self._clock()
        try:
            found = {pod.name: pod for pod in (self._watch.pods() if at_last else self._watch.known_pods())}
        except HarnessError as error:
            self._blind(error, asked_s)
            return
        if self._told_lost:
            self._on_lost("the cluster tells of its pods again")
        self._blind_since_s, self._blinded, self._told_lost = None, None, False
        for name, pod in self._pods.items():
            if name not in found and not pod.ended:
                found[name] = replace(pod, deleted=True)
            else:
                found.setdefault(name, pod)
        self._pods = found

    def _blind(self, error: HarnessError, asked_s: float) -> None:
        self._blind_since_s = asked_s if self._blind_since_s is None else self._blind_since_s
        self._blinded = error
        blind_s = self._clock() - self._blind_since_s
        if blind_s > LOST_S:
            raise _untold(error, blind_s) from error
        if blind_s >= SILENT_S and not self._told_lost:
            self._told_lost = True
            self._on_lost(f"{error.message}: waiting for it, {LOST_S:.0f} s at most")

    def blindness(self, timeout_s: float) -> HarnessError | None:
        """Why nobody can tell what a run waits for whose time, `timeout_s`, is over; None when somebody can."""
        if self._blinded is None or self._blind_since_s is None:
            return None
        found = _untold(self._blinded, self._clock() - self._blind_since_s)
        found.message = f"the DAG had not ended after {format.duration(timeout_s)}, and {found.message}"
        return found


def _suits(requests: Resources, room: Resources) -> tuple[bool, int]:
    has = dict(room.others)
    return requests.fits(room), sum(bool(has.get(name)) for name, _ in requests.others)


def _untold(error: HarnessError, blind_s: float) -> HarnessError:
    return HarnessError(
        error.cause,
        f"the cluster told nothing of its pods for {blind_s:.0f} s: {error.message}",
        hint=error.hint,
        evidence=error.evidence,
    )
