"""How long versions live: whoever uses one renews its time to live; what nobody renews is removed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from harness.airflow.release import release
from harness.airflow.release.versions import IN_USE, KEPT_S, USED_S, Version, versions
from harness.cluster import labels
from harness.cluster.api import KubernetesApi
from harness.cluster.leases import DURATION_S, Claim, Leases
from harness.cluster.running_cluster import RunningCluster
from harness.errors import HarnessError
from harness.image.build import DOMAIN
from harness.image.node import prune
from harness.progress import Progress
from harness.report import format

RENEW_EVERY_S = 60.0
KEPT_DEPENDENCIES = 3  # images of a lock's packages, a gigabyte each
SPARED_S = 600.0  # for an image of them that was asked for and that nothing is deployed with yet
LOOK_EVERY_S = 1.0


class Lifetime:
    """The time to live of a version in use."""

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._due_s = 0.0

    def renew(self) -> None:
        """Say that the version is used; most calls have nothing to do."""
        now_s = time.monotonic()
        if now_s >= self._due_s:
            keep(self._api, self._namespace, USED_S)
            self._due_s = now_s + RENEW_EVERY_S


def keep(api: KubernetesApi, namespace: str, seconds: float = KEPT_S) -> None:
    """Let a version live for `seconds` from now."""
    until = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    api.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"annotations": {labels.EXPIRES_AT: until}}})


def remove_expired(running: RunningCluster, progress: Progress) -> None:
    """Remove versions whose time to live is over; what fails now is tried by the next command.

    One whose client lives stays: that client's clock, by which it says until when, may be another than ours.
    """
    with suppress(HarnessError), progress.waiting("looking for versions whose time to live is over"):
        over = [each for each in versions(running) if each.left_s < 0 and each.state != "going"]
        leases = Leases(running.api)
        claimed = {claim.version for claim in leases.living(leases.claims())} if over else set()
        for version in over:
            if version.namespace not in claimed:
                progress.note(f"{version.namespace} ({version.ref}) is removed: its time to live is over")
                with suppress(HarnessError):
                    release.remove(running.api, running.server, version.namespace, wait=False)


class Abandoned:
    """Versions in use whose clients are gone, seen by one who waits for their room.

    Their time to live is longer, for a computer that sleeps; so they go before it only where they are in the way.
    """

    def __init__(self, running: RunningCluster, progress: Progress) -> None:
        self._attached = running
        self._progress = progress
        self._unclaimed_since_s: dict[str, float] = {}

    def remove(self, claims: Sequence[Claim]) -> bool:
        """Remove those that no claim of `claims`, the living ones, has named for as long as a claim lives.

        Returns whether there were any.
        """
        now_s = time.monotonic()
        claimed = {claim.version for claim in claims}
        unclaimed = {
            version.namespace: version
            for version in versions(self._attached)
            if version.state in IN_USE and version.namespace not in claimed
        }
        self._unclaimed_since_s = {name: self._unclaimed_since_s.get(name, now_s) for name in unclaimed}
        doomed = [name for name, since_s in self._unclaimed_since_s.items() if now_s - since_s > DURATION_S]
        for name in doomed:
            ref = unclaimed[name].ref
            self._progress.note(f"{name} ({ref}) is removed: its client is gone, and its room is needed")
            with suppress(HarnessError):  # another client that waits may remove it too
                release.remove(self._attached.api, self._attached.server, name, wait=False)
        return bool(doomed)


def remove_images(running: RunningCluster, project: str, leases: Leases) -> None:
    """Take from the node a project's images that no version on the cluster uses any more, but for the newest."""
    repository = f"{DOMAIN}/{project}"
    with suppress(HarnessError):  # the next test tries again
        in_use = {f"{repository}:{version.tag}" for version in versions(running)}
        in_use |= {claim.image for claim in leases.claims()}
        deployed = frozenset(images_of_deployments(running))
        for node in running.cluster.nodes:
            prune(node, repository, frozenset(in_use))
            prune(node, f"{repository}/dependencies", deployed, kept=KEPT_DEPENDENCIES, spared_s=SPARED_S)


def images_of_deployments(running: RunningCluster) -> Iterator[str]:
    """The images that deployments of ours on the cluster name."""
    for item in running.api.list("/apis/apps/v1/deployments", labelSelector=labels.SELECTOR):
        for container in item["spec"]["template"]["spec"]["containers"]:
            yield container["image"]


def gc(
    running: RunningCluster, progress: Progress, *, older_than_s: float | None = None, dry_run: bool = False
) -> tuple[Version, ...]:
    """Remove versions that nobody uses: expired, without their client, and kept ones older than asked.

    A version whose client lives stays, however old it is. Returns what was removed; `dry_run`: what would be.
    """
    claimed = _claimed(running, progress)
    doomed = [
        version
        for version in versions(running)
        if version.state != "going"
        and version.namespace not in claimed
        and _is_rubbish(version, older_than_s)
    ]
    for version in () if dry_run else doomed:
        age = format.seconds(version.age_s)
        title = f"removing {version.namespace} ({version.ref}, {version.state}, {age} old)"
        with progress.step(title) as step:
            release.remove(running.api, running.server, version.namespace, on_change=step.update)
            step.done("")
    return tuple(doomed)


def _is_rubbish(version: Version, older_than_s: float | None) -> bool:
    abandoned = version.state in IN_USE and version.age_s > DURATION_S
    return version.left_s < 0 or abandoned or (older_than_s is not None and version.age_s > older_than_s)


def _claimed(running: RunningCluster, progress: Progress) -> set[str]:
    """The versions whose clients live. Whether one does is seen when it renews its claim, or does not.

    It ends by itself: a claim that is not renewed expires after DURATION_S, and a version is as old by then.
    """
    leases = Leases(running.api)
    first = {claim.name: claim for claim in leases.claims()}
    with progress.step("looking whose clients live") as step:
        while True:
            found, now = leases.claims(), leases.now
            alive = {each.version for each in found if _renewed(each, first)}
            unsure = [each for each in found if not _renewed(each, first) and not each.expired(now)]
            unsure_names = {each.version for each in unsure}
            young = [
                version.namespace
                for version in versions(running)
                if version.state in IN_USE
                and version.age_s <= DURATION_S
                and version.namespace not in alive | unsure_names
            ]
            if not unsure and not young:
                return alive
            several = format.plural(len(unsure) + len(young), "version")
            step.update(f"waiting for those of {several} to renew their claims, {DURATION_S} s at most")
            time.sleep(LOOK_EVERY_S)


def _renewed(claim: Claim, first: dict[str, Claim]) -> bool:
    known = first.get(claim.name)
    return known is None or known.renewed_at != claim.renewed_at
