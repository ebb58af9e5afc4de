"""The registry beside a cluster on the disk: what it holds, and which images of ours in it nobody needs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from harness.cluster.kind import local_registry
from harness.image.registry import collection
from harness.image.registry.address import LocalRegistry
from harness.image.registry.collection import Stored

# Less than this is left to `harness gc`, since nobody can push while room is made.
WORTH_BYTES = 10**9
WORTH_IMAGES = 50


@dataclass(frozen=True)
class RegistryDisk:
    """What a registry holds of all who push to it."""

    registry: LocalRegistry
    size_bytes: int


@dataclass(frozen=True)
class RegistryRubbish:
    """Images of ours in a registry that nobody needs, and what goes with them."""

    registry: LocalRegistry
    images: tuple[Stored, ...]
    freed_bytes: int

    @property
    def is_worth_it(self) -> bool:
        return self.freed_bytes >= WORTH_BYTES or len(self.images) >= WORTH_IMAGES


def measured(registry: LocalRegistry) -> RegistryDisk:
    """Ask it."""
    return RegistryDisk(registry, local_registry.size_bytes(registry))


def rubbish(
    registry: LocalRegistry, digests: Collection[str], in_use: Callable[[], Collection[str]]
) -> RegistryRubbish:
    """What neither is on a node, by its digest, nor in use, by its name there: what others pushed stays.

    `in_use` is asked last: whoever pushes has said before what for. Raises HarnessError(IMAGE_LOAD_FAILED) where the
    registry does not answer.
    """
    address = registry.address
    there = collection.stored(address)
    named = (each.rpartition(":") for each in in_use())
    names = {f"{address.repository(name)}:{tag}" for name, _, tag in named}
    doomed = collection.unneeded(there, digests, names, address.base)
    return RegistryRubbish(registry, doomed, collection.freed_bytes(there, doomed))


def remove(found: RegistryRubbish) -> None:
    """Remove it, and free what it took. Raises HarnessError: IMAGE_LOAD_FAILED, CLUSTER_FAILED."""
    if found.images:
        collection.remove(found.registry.address, found.images)
        local_registry.collect(found.registry)
