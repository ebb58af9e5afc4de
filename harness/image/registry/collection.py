"""What a registry beside a kind cluster holds of ours, and what of it nobody needs any more."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from harness.image.oci import MANIFEST_TYPE
from harness.image.registry.address import Registry
from harness.image.registry.session import Session

if TYPE_CHECKING:
    import httpx2

_NEXT = re.compile(r'<([^>]+)>;\s*rel="?next"?')
_PER_PAGE = 1000


@dataclass(frozen=True)
class Stored:
    """An image of a registry: where it lies, by which tags, and its layers' sizes in bytes by their digests."""

    repository: str
    digest: str
    tags: tuple[str, ...]
    layers: Mapping[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.repository}:{tag}" for tag in self.tags)


def stored(registry: Registry) -> tuple[Stored, ...]:
    """All that is below the registry's path. Raises HarnessError(IMAGE_LOAD_FAILED) where it does not answer."""
    session = Session(registry)
    return tuple(
        each
        for repository in _listed(session, "_catalog", "repositories")
        if repository.startswith(f"{registry.path}/")
        for each in _images(session, repository)
    )


def unneeded(
    images: Collection[Stored], digests: Collection[str], names: Collection[str], base: str
) -> tuple[Stored, ...]:
    """Those that are none of `digests` and of `names` (`REPOSITORY:TAG`).

    One in the repository `base`, which others stand on, is needed while one of them is.
    """
    kept = [
        each
        for each in images
        if each.repository != base and (each.digest in digests or any(name in names for name in each.names))
    ]
    layers = {layer for each in kept for layer in each.layers}
    return tuple(
        each
        for each in images
        if each not in kept and not (each.repository == base and layers & set(each.layers))
    )


def freed_bytes(images: Collection[Stored], doomed: Collection[Stored]) -> int:
    """What goes with them: layers that no other image needs."""
    kept = {layer for each in images if each not in doomed for layer in each.layers}
    return sum(
        {layer: size for each in doomed for layer, size in each.layers.items() if layer not in kept}.values()
    )


def remove(registry: Registry, doomed: Collection[Stored]) -> None:
    """Take them from what the registry knows; what they took is freed by its own collection, afterwards.

    Raises HarnessError(IMAGE_LOAD_FAILED).
    """
    session = Session(registry)
    for each in doomed:
        url = f"{registry.root}{each.repository}/manifests/{each.digest}"
        _asked(session, "DELETE", url, {202, 404})


def _images(session: Session, repository: str) -> Iterator[Stored]:
    tags: dict[str, list[str]] = {}
    documents: dict[str, Any] = {}
    for tag in _listed(session, f"{repository}/tags/list", "tags"):
        url = f"{session.registry.root}{repository}/manifests/{tag}"
        answer = _asked(session, "GET", url, {200, 404}, {"Accept": MANIFEST_TYPE})
        if answer.status_code == 200:
            digest = answer.headers["docker-content-digest"]
            tags.setdefault(digest, []).append(tag)
            documents[digest] = answer.json()
    for digest, named in tags.items():
        layers = {each["digest"]: int(each["size"]) for each in documents[digest].get("layers", ())}
        yield Stored(repository, digest, tuple(named), layers)


def _listed(session: Session, path: str, key: str) -> Iterator[str]:
    """The entries of a list that comes in pages; none of a repository that is empty."""
    url = f"{session.registry.root}{path}?n={_PER_PAGE}"
    while url:
        answer = _asked(session, "GET", url, {200, 404})
        if answer.status_code == 404:
            return
        yield from answer.json().get(key) or ()
        following = _NEXT.search(answer.headers.get("link", ""))
        url = urljoin(url, following[1]) if following else ""


def _asked(
    session: Session, method: str, url: str, expected: set[int], headers: dict[str, str] | None = None
) -> httpx2.Response:
    def ask() -> httpx2.Response:
        return session.request(method, url, [], headers=headers, expected=expected)

    return session.patiently(ask, lambda _: None)
