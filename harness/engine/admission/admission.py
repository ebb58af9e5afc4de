"""Whose turn it is: versions enter the cluster in the order they were asked for, as room and processors allow.

Several clients share a cluster without talking to each other. Each of them decides for itself, from the same
claims (harness.cluster.leases): only the first of those that wait may enter, and only once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple

from harness.cluster.api import KubernetesApi
from harness.cluster.leases import RENEW_EVERY_S, Claim, Leases, State
from harness.cluster.placement import KIND, Placement
from harness.engine.admission.capacity import NEED, Capacity, Room, capacity
from harness.engine.lifetime import Lifetime
from harness.errors import CauseCode, HarnessError
from harness.report.format import plural

LOOK_EVERY_S = 1.0
HOPELESS_S = 60.0  # without any version at work that would make room


class Admission:
    """One client's claims on a cluster, renewed by a thread for as long as the block lasts."""

    def __init__(
        self,
        api: KubernetesApi,
        leases: Leases | None = None,
        make_room: Callable[[Sequence[Claim]], bool] = lambda _: False,
        placement: Placement = KIND,
    ) -> None:
        """`placement`: which nodes have room for versions.

        `make_room` is asked on a full cluster: it gets the claims that live, and says whether it began to."""
        self.api = api
        self.leases = leases or Leases(api)
        self.make_room = make_room
        self.placement = placement
        self.closed = threading.Event()
        self._tickets: list[Ticket] = []
        self._lock = threading.Lock()
        self._beat = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True, name="claims")

    def __enter__(self) -> Admission:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed.set()
        self._beat.set()
        for ticket in self._held():
            with suppress(HarnessError):  # it expires
                ticket.release()

    def ask(
        self, *, image: str, ref: str, namespace: Callable[[], str | None] = lambda: None, need: Room = NEED
    ) -> Ticket:
        """A place in the queue. `image` stays on the node meanwhile; `namespace` tells the version's, if any."""
        claim = self.leases.make(cpu=need.cpu, memory_bytes=need.memory_bytes, image=image, ref=ref)
        ticket = Ticket(self, claim, namespace)
        with self._lock:
            self._tickets.append(ticket)
        return ticket

    def is_crowded(self) -> bool:
        """Whether a version waits for its turn, or several are at work: then the processors are busy with them."""
        claims = self.leases.living(self.leases.claims())
        return len(claims) > 1 or any(claim.state == "waiting" for claim in claims)

    def drop(self, ticket: Ticket) -> None:
        """Forget a ticket that was given back."""
        with self._lock:
            self._tickets = [each for each in self._tickets if each is not ticket]

    def _held(self) -> list[Ticket]:
        with self._lock:
            return list(self._tickets)

    def _renew(self) -> None:
        while not self.closed.is_set():
            self._beat.wait(RENEW_EVERY_S)
            self._beat.clear()
            for ticket in self._held():
                if not self.closed.is_set():
                    with suppress(HarnessError):  # the next beat tries again, long before the claim expires
                        ticket.renew()


class Ticket:
    """One version's claim: it waits, starts, runs, and is given back."""

    def __init__(self, admission: Admission, claim: Claim, namespace: Callable[[], str | None]) -> None:
        self._admission = admission
        self._claim = claim
        self._namespace = namespace
        self._lifetime: Lifetime | None = None
        self._lock = threading.Lock()
        self._released = False
        self._hopeless_since_s: float | None = None

    def enter(self) -> str:
        """Enter the cluster when it is this one's turn; otherwise why it is not.

        Raises HarnessError(CLUSTER_FULL) when nothing at work will ever make room.
        """
        leases, api, placement = self._admission.leases, self._admission.api, self._admission.placement
        claims = leases.living(leases.claims())
        reason, full, alone, hint = why_wait(self._claim.name, claims, lambda: capacity(api, placement))
        if not reason:
            self._move("starting")
            return ""
        makes_room = full and self._admission.make_room(claims)
        hopeless = alone and not makes_room
        now_s = time.monotonic()
        since_s = now_s if self._hopeless_since_s is None else self._hopeless_since_s
        self._hopeless_since_s = since_s if hopeless else None
        if hopeless and now_s - since_s > HOPELESS_S:
            raise HarnessError(
                CauseCode.CLUSTER_FULL,
                f"there is no room on the cluster, and nothing at work that would make some: {reason}",
                hint=hint,
            )
        return reason

    def wait(self, on_change: Callable[[str], None]) -> None:
        """Return when the version has entered; `on_change` is told what it waits for.

        There is no deadline: those before it have theirs, and the claims of clients that are gone expire.
        Raises HarnessError: CLUSTER_FULL, INTERRUPTED when the admission was closed meanwhile.
        """
        while reason := self.enter():
            on_change(reason)
            if self._admission.closed.wait(LOOK_EVERY_S):
                raise HarnessError(CauseCode.INTERRUPTED, "interrupted while it waited for its turn")

    def started(self) -> None:
        """The version runs: the next one may start."""
        self._move("running")

    def renew(self) -> None:
        """Say that the client lives, for its claim and for its version."""
        version = self._namespace() or ""
        with self._lock:
            if self._released:
                return
            if version != self._claim.version:
                self._lifetime = Lifetime(self._admission.api, version) if version else None
            self._claim = self._admission.leases.renew(replace(self._claim, version=version))
        if self._lifetime is not None:
            self._lifetime.renew()

    def release(self) -> None:
        """Give the place back; nothing happens the second time."""
        with self._lock:
            if self._released:
                return
            self._released = True
        self._admission.drop(self)
        self._admission.leases.release(self._claim)

    def _move(self, state: State) -> None:
        with self._lock:
            if not self._released:
                version = self._namespace() or ""
                claim = replace(self._claim, state=state, version=version)
                self._claim = self._admission.leases.renew(claim)


class Wait(NamedTuple):
    """Why a version has to wait, empty when it need not; whether the cluster is `full`, and by nobody at work."""

    reason: str
    full: bool = False
    alone: bool = False
    hint: str = "harness status, then harness down VERSION for what is not needed any more"


def why_wait(name: str, claims: Sequence[Claim], look: Callable[[], Capacity]) -> Wait:
    """Why the claim `name` has to wait.

    `claims` are all that live, in their order; `look` asks the cluster, and only for the first in the queue.
    """
    queue = [claim.name for claim in claims if claim.state == "waiting"]
    ahead = queue.index(name) if name in queue else len(queue)
    if ahead:
        return Wait(f"{plural(ahead, 'version')} before it")
    admitted = [claim for claim in claims if claim.state != "waiting"]
    starting = [claim for claim in admitted if claim.state == "starting"]
    found = look()
    if len(starting) >= found.starts:
        return Wait(f"{' and '.join(claim.ref for claim in starting)} starting")
    if not found.has_namespace([claim.version for claim in admitted]):
        reason = f"all {len(found.given)} namespaces that contexts.toml gives are in use"
        return Wait(reason, full=True, alone=not admitted)
    need = next((Room(each.cpu, each.memory_bytes) for each in claims if each.name == name), NEED)
    free = found.free(
        [Room(claim.cpu, claim.memory_bytes) for claim in admitted], [claim.version for claim in admitted]
    )
    if free.holds(need):
        return Wait("")
    beside = f" beside {plural(len(admitted), 'version')} at work" if admitted else ""
    reason = f"it needs {need}, free are {free}{beside}"
    if found.cordoned:
        names = " ".join(found.cordoned)
        is_are = "is cordoned and takes" if len(found.cordoned) == 1 else "are cordoned and take"
        reason += f"; {names} {is_are} nothing new"
        return Wait(reason, full=True, alone=not admitted, hint=f"kubectl uncordon {names}")
    return Wait(reason, full=True, alone=not admitted)
