"""An image to a registry: only the blobs that it lacks, by https://github.com/opencontainers/distribution-spec.

Bases lie in a repository of their own, from which the registry mounts them into all others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote, urljoin

from harness.errors import HarnessError
from harness.host import background, process
from harness.image.layer import Layer
from harness.image.oci import MANIFEST_TYPE, BaseImage, Image, assemble, content
from harness.image.registry.address import BASE, Registry
from harness.image.registry.session import Session

ASKED_AT_ONCE = 4
_LACKS_BLOBS = frozenset({400, 404})  # what a manifest is answered with
OCTETS = "application/octet-stream"
DEPENDENCIES = (
    "-dependencies"  # ends the repository of the image without code, which a project's others stand on
)


def push(image: Image, registry: Registry, *, on_change: Callable[[str], None] = lambda _: None) -> int:
    """Make the registry have the image under its digest and its tag; returns the bytes that were sent.

    Raises HarnessError: IMAGE_LOAD_FAILED, LOGIN_FAILED, INTERRUPTED.
    """
    return _pusher(registry).push(image, on_change)


def ask(registry: Registry) -> None:
    """Return when the registry answers and takes our login. Raises what `push` raises."""
    _pusher(registry).ask()


@cache
def _pusher(registry: Registry) -> _Pusher:
    """One for each registry: its login and its connections are kept."""
    return _Pusher(Session(registry))


@dataclass(frozen=True)
class _Blob:
    """What is sent, by its digest: a layer of this machine's cache, or the configuration."""

    digest: str
    size_bytes: int
    source: Layer | bytes

    def pieces(self) -> Iterator[bytes]:
        if isinstance(self.source, bytes):
            yield self.source
        else:
            yield from content(self.source)


@dataclass(frozen=True)
class _Missing:
    """A blob that the repository lacks, and the upload that the registry began when it could not mount it."""

    blob: _Blob
    location: str = ""


class _Incomplete(Exception):  # noqa: N818  a state that another push mends
    """The registry lacks blobs of a manifest."""

    def __init__(self, error: HarnessError) -> None:
        super().__init__(error.message)
        self.error = error


class _Pusher:
    """Pushes one image at a time: of several that share a layer the first sends it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._registry = session.registry
        self._turn = threading.Lock()
        self._there: set[tuple[str, str]] = set()  # repository and digest, as they were seen or made

    def ask(self) -> None:
        """As `ask` of this module."""
        url = self._registry.root
        self._session.patiently(lambda: self._session.request("GET", url, [], expected={200}), _unheard)

    def push(self, image: Image, on_change: Callable[[str], None]) -> int:
        """As `push` of this module."""
        repository = self._registry.repository(image.name)
        with self._turn:
            try:
                return self._push(image, repository, on_change)
            except _Incomplete:  # what was there was freed meanwhile: whatever is known of it may be wrong
                self._there.clear()
            try:
                return self._push(image, repository, on_change)
            except _Incomplete as incomplete:
                raise incomplete.error from incomplete

    def _push(self, image: Image, repository: str, on_change: Callable[[str], None]) -> int:
        if self._has(repository, "manifests", image.digest, on_change):
            return 0
        lacking = self._lacking(image, repository, on_change)
        sent_bytes = self._push_base(image, repository, lacking, on_change)
        missing = []
        for blob in lacking:
            source = self._source(image, repository, blob)
            location = self._mounted(repository, blob, source, on_change) if source else ""
            if location is not None:
                missing.append(_Missing(blob, location))
        total_bytes = sum(each.blob.size_bytes for each in missing)
        done_bytes = 0
        for each in missing:
            self._upload(repository, each, done_bytes, total_bytes, on_change)
            done_bytes += each.blob.size_bytes
        self._put_manifest(repository, image, on_change)
        self._there.add((repository, image.digest))
        return sent_bytes + done_bytes + len(image.manifest)

    def _lacking(self, image: Image, repository: str, on_change: Callable[[str], None]) -> list[_Blob]:
        blobs = _blobs(image)
        with process.threads(ASKED_AT_ONCE) as executor:
            asked = [
                executor.submit(self._has, repository, "blobs", each.digest, on_change) for each in blobs
            ]
            return [blob for blob, there in zip(blobs, asked, strict=True) if not there.result()]

    def _push_base(
        self, image: Image, repository: str, lacking: list[_Blob], on_change: Callable[[str], None]
    ) -> int:
        """Make the base be where it is mounted from, when some of it is lacking."""
        layers = {layer.digest for layer in image.layers[: image.base_layers]}
        if repository == self._registry.base or not layers & {blob.digest for blob in lacking}:
            return 0
        return self._push(_base_of(image), self._registry.base, on_change)

    def _source(self, image: Image, repository: str, blob: _Blob) -> str:
        """The repository that a blob may be mounted from."""
        if repository == self._registry.base or isinstance(blob.source, bytes):
            return ""
        if blob.digest in {layer.digest for layer in image.layers[: image.base_layers]}:
            return self._registry.base
        return "" if repository.endswith(DEPENDENCIES) else f"{repository}{DEPENDENCIES}"

    def _has(self, repository: str, kind: str, digest: str, on_change: Callable[[str], None]) -> bool:
        if (repository, digest) in self._there:
            return True
        url = f"{self._registry.root}{repository}/{kind}/{digest}"
        headers = {"Accept": MANIFEST_TYPE} if kind == "manifests" else {}

        def ask() -> bool:
            answer = self._session.request(
                "HEAD", url, [_may_push(repository)], headers=headers, expected={200, 404}
            )
            return answer.status_code == 200

        if found := self._session.patiently(ask, on_change):
            self._there.add((repository, digest))
        return found

    def _mounted(
        self, repository: str, blob: _Blob, source: str, on_change: Callable[[str], None]
    ) -> str | None:
        """None when the registry mounted the blob; else the upload that it began instead."""
        query = f"mount={quote(blob.digest, safe='')}&from={quote(source, safe='')}"
        url = f"{self._registry.root}{repository}/blobs/uploads/?{query}"
        scopes = [_may_push(repository), f"repository:{source}:pull"]

        def ask() -> str | None:
            answer = self._session.request("POST", url, scopes, expected={201, 202})
            return None if answer.status_code == 201 else urljoin(url, answer.headers.get("location", ""))

        location = self._session.patiently(ask, on_change)
        if location is None:
            self._there.add((repository, blob.digest))
        return location

    def _upload(
        self,
        repository: str,
        missing: _Missing,
        done_bytes: int,
        total_bytes: int,
        on_change: Callable[[str], None],
    ) -> None:
        blob, scopes = missing.blob, [_may_push(repository)]
        begun = [missing.location] if missing.location else []
        url = f"{self._registry.root}{repository}/blobs/uploads/"

        def pieces() -> Iterator[bytes]:
            sent = done_bytes
            for piece in blob.pieces():
                background.check()
                on_change(f"{_amounts(sent, total_bytes)} pushed to {self._registry.host}")
                yield piece
                sent += len(piece)
            on_change(f"{_amounts(sent, total_bytes)} pushed to {self._registry.host}")

        def send() -> None:
            location = begun.pop() if begun else self._begin(url, scopes)
            put = f"{location}{'&' if '?' in location else '?'}digest={quote(blob.digest, safe='')}"
            headers = {"Content-Type": OCTETS, "Content-Length": str(blob.size_bytes)}
            self._session.request(
                "PUT", put, scopes, content=pieces, headers=headers, expected={201}, passing={400, 404}
            )

        self._session.patiently(send, on_change)
        self._there.add((repository, blob.digest))

    def _begin(self, url: str, scopes: list[str]) -> str:
        answer = self._session.request("POST", url, scopes, expected={202})
        return urljoin(url, answer.headers.get("location", ""))

    def _put_manifest(self, repository: str, image: Image, on_change: Callable[[str], None]) -> None:
        """Under its tag, which keeps it from being taken for rubbish; it is then there by its digest too."""
        manifest = image.manifest
        url = f"{self._registry.root}{repository}/manifests/{image.tag}"
        headers = {"Content-Type": MANIFEST_TYPE, "Content-Length": str(len(manifest))}

        def send() -> None:
            answer = self._session.request(
                "PUT",
                url,
                [_may_push(repository)],
                content=lambda: [manifest],
                headers=headers,
                expected={200, 201, *_LACKS_BLOBS},
            )
            if answer.status_code in _LACKS_BLOBS:
                raise _Incomplete(self._session.refused("PUT", url, answer))

        self._session.patiently(send, on_change)


def _unheard(_: str) -> None:
    """Nobody watches."""


def _blobs(image: Image) -> list[_Blob]:
    layers = {layer.digest: _Blob(layer.digest, layer.size_bytes, layer) for layer in image.layers}
    return [*layers.values(), _Blob(image.config_digest, len(image.config), image.config)]


def _base_of(image: Image) -> Image:
    """An image's base alone, as an image that nothing is started from: to be kept where others share it."""
    base = BaseImage(image.layers[: image.base_layers], image.base_digest, "")
    domain = image.name.partition("/")[0]
    return assemble(
        base,
        [],
        name=f"{domain}/{BASE}",
        tag=image.base_digest.partition(":")[2][:12],
        platform=image.platform,
        env={},
        user="",
        workdir="",
        labels={},
    )


def _may_push(repository: str) -> str:
    return f"repository:{repository}:pull,push"


def _amounts(done_bytes: int, total_bytes: int) -> str:
    unit, name = (1e6, "MB") if total_bytes >= 1e6 else (1e3, "kB")
    return f"{done_bytes / unit:.1f} of {total_bytes / unit:.1f} {name}"
