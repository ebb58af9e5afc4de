"""Claims on the cluster's room, as Leases: they expire, so a client that was killed leaves none.

A claim waits, then its version starts, then it runs. Whoever made it renews it while alive. Claims are served in
the order they were made, whichever client made them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from harness.cluster import labels
from harness.cluster.api import KubernetesApi, KubernetesError, Manifest
from harness.cluster.services.services import NAMESPACE

State = Literal["waiting", "starting", "running"]
PATH = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
DURATION_S = 45
RENEW_EVERY_S = 5.0
CPU, MEMORY = "harness.local/cpu", "harness.local/memory"
IMAGE, VERSION = "harness.local/image", "harness.local/version"
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"  # what the API takes as MicroTime


@dataclass(frozen=True)
class Claim:
    """What one version asked for. `version` is its namespace, once there is one; `image` what it will run."""

    name: str
    state: State
    cpu: float
    memory_bytes: float
    image: str
    ref: str
    holder: str
    made_at: datetime
    asked_at: datetime
    renewed_at: datetime
    version: str = ""
    resource_version: str = ""

    @classmethod
    def new(cls, now: datetime, *, cpu: float, memory_bytes: float, image: str, ref: str) -> Claim:
        """A claim that is made now, and waits."""
        return cls(
            name=f"version-{secrets.token_hex(5)}",
            state="waiting",
            cpu=cpu,
            memory_bytes=memory_bytes,
            image=image,
            ref=ref,
            holder=labels.author(),
            made_at=now,
            asked_at=now,
            renewed_at=now,
        )

    @property
    def place(self) -> tuple[datetime, datetime, str]:
        """Sorts claims by when they were made, as the API server saw it; within a second, as clients did."""
        return self.made_at, self.asked_at, self.name

    def expired(self, now: datetime) -> bool:
        """Whether its client has not been heard of for too long."""
        return now - self.renewed_at > timedelta(seconds=DURATION_S)


class Leases:
    """The claims in one cluster. All times are the API server's: clients' clocks may differ."""

    def __init__(self, api: KubernetesApi, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._api = api
        self._clock = clock
        self._ahead: timedelta | None = None  # the API server's clock before ours

    @property
    def now(self) -> datetime:
        """The API server's time."""
        if self._ahead is None:
            self._ahead = self._difference()
        return self._clock() + self._ahead

    def _difference(self) -> timedelta:
        """Between the clocks; one within the whole seconds that the API server tells counts as none."""
        here = self._clock()
        trial = _manifest(Claim.new(here, cpu=0.0, memory_bytes=0.0, image="", ref=""))
        made = self._api.request("POST", PATH, trial, query={"dryRun": "All"})  # nothing is kept of it
        difference = datetime.fromisoformat(made["metadata"]["creationTimestamp"]) - here
        return difference if abs(difference) > timedelta(seconds=2) else timedelta(0)

    def make(self, *, cpu: float, memory_bytes: float, image: str, ref: str) -> Claim:
        """A new claim, which waits."""
        return self._created(Claim.new(self.now, cpu=cpu, memory_bytes=memory_bytes, image=image, ref=ref))

    def claims(self) -> list[Claim]:
        """All claims, those made first in front; expired ones too."""
        found = self._api.list(PATH, labelSelector=f"{labels.SELECTOR},{labels.ROLE}=claim")
        return sorted((_claim(item) for item in found), key=lambda claim: claim.place)

    def renew(self, claim: Claim) -> Claim:
        """Keep the claim as it is given here; one that was taken for dead meanwhile is made again."""
        renewed = replace(claim, renewed_at=self.now)
        body = _manifest(renewed)
        changes = {"metadata": {"annotations": body["metadata"]["annotations"]}, "spec": body["spec"]}
        try:
            self._api.patch(f"{PATH}/{claim.name}", changes)
        except KubernetesError as error:
            if error.status != 404:
                raise
            return self._created(renewed)
        return renewed

    def release(self, claim: Claim) -> None:
        """Take the claim back; nothing happens when it is gone."""
        self._api.delete(f"{PATH}/{claim.name}")

    def living(self, claims: Iterable[Claim]) -> list[Claim]:
        """Those that have not expired; the others are removed, unless they are renewed at this moment."""
        alive, now = [], self.now
        for claim in claims:
            if not claim.expired(now) or not self._reaped(claim):
                alive.append(claim)
        return alive

    def _created(self, claim: Claim) -> Claim:
        return _claim(self._api.create(PATH, _manifest(claim)))

    def _reaped(self, claim: Claim) -> bool:
        seen = {"resourceVersion": claim.resource_version}
        try:
            self._api.delete(f"{PATH}/{claim.name}", preconditions=seen)
        except KubernetesError as error:
            if error.status == 409:
                return False
            raise
        return True


def _manifest(claim: Claim) -> Manifest:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": claim.name,
            "labels": labels.ours(role="claim"),
            "annotations": {
                labels.STATE: claim.state,
                labels.REF: claim.ref,
                CPU: repr(claim.cpu),
                MEMORY: repr(claim.memory_bytes),
                IMAGE: claim.image,
                VERSION: claim.version,
            },
        },
        "spec": {
            "holderIdentity": claim.holder,
            "leaseDurationSeconds": DURATION_S,
            "acquireTime": claim.asked_at.astimezone(UTC).strftime(_TIME),
            "renewTime": claim.renewed_at.astimezone(UTC).strftime(_TIME),
        },
    }


def _claim(item: Manifest) -> Claim:
    metadata, spec = item["metadata"], item["spec"]
    notes = metadata.get("annotations") or {}
    state = notes.get(labels.STATE)
    made_at = datetime.fromisoformat(metadata["creationTimestamp"])
    return Claim(
        name=metadata["name"],
        state=state if state in {"waiting", "starting", "running"} else "running",
        cpu=float(notes.get(CPU) or 0.0),
        memory_bytes=float(notes.get(MEMORY) or 0.0),
        image=notes.get(IMAGE, ""),
        ref=notes.get(labels.REF, ""),
        holder=spec.get("holderIdentity", ""),
        made_at=made_at,
        asked_at=_time(spec.get("acquireTime"), made_at),
        renewed_at=_time(spec.get("renewTime"), made_at),
        version=notes.get(VERSION, ""),
        resource_version=metadata.get("resourceVersion", ""),
    )


def _time(text: str | None, otherwise: datetime) -> datetime:
    return datetime.fromisoformat(text) if text else otherwise
