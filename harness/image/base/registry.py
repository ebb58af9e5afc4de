"""Images from a registry, by digest, as layers on disk: every byte is checked against what was pinned."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.errors import CauseCode, HarnessError
from harness.host import cache, scratch
from harness.host.docker import registry_login
from harness.host.docker.registry_login import Login
from harness.host.sources import attempts, download, mirrors, network_errors
from harness.host.sources.pins import Reference
from harness.image.layer import CHUNK_BYTES, Layer

if TYPE_CHECKING:
    import httpx2

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
LOGIN_S = 60.0


@dataclass(frozen=True)
class Pulled:
    """An image's layers, uncompressed, its manifest's digest for one platform, and its configuration."""

    digest: str
    layers: tuple[Layer, ...]
    config: Mapping[str, Any]


def pull(reference: Reference, architecture: str, store: Path, *, on_line: Callable[[str], None]) -> Pulled:
    """The image for Linux on `architecture`; layers that `store` has are not fetched again.

    Raises HarnessError: SOURCE_UNREACHABLE, CHECKSUM_MISMATCH, IMAGE_NOT_STARTABLE when there is none for the
    platform or its layers are of no known kind.
    """
    addresses = mirrors.load().registry(reference.registry)
    for address in addresses[:-1]:
        try:
            return _pull(address, reference, architecture, store, on_line)
        except HarnessError as error:
            if error.cause is not CauseCode.SOURCE_UNREACHABLE:
                raise
    return _pull(addresses[-1], reference, architecture, store, on_line)


def _pull(
    address: str, reference: Reference, architecture: str, store: Path, on_line: Callable[[str], None]
) -> Pulled:
    with download.client() as http:
        registry = _Registry(http, address, reference, on_line)
        digest, manifest = registry.manifest(architecture)
        config = json.loads(registry.blob(manifest["config"]["digest"]))
        if config.get("architecture", architecture) != architecture:  # a digest of one platform, not of all
            raise _unusable(reference, f"it is for {config['architecture']}, and Docker runs {architecture}")
        diff_ids = config["rootfs"]["diff_ids"]
        described = manifest["layers"]
        if len(diff_ids) != len(described):
            raise _unusable(reference, "its configuration and its manifest differ in the number of layers")
        total = sum(layer["size"] for layer in described)
        before = 0
        layers = []
        for layer, diff_id in zip(described, diff_ids, strict=True):

            def show(done: int, _: int, before: int = before) -> None:
                on_line(f"{reference.repository}: {(before + done) / 1e6:.0f} of {total / 1e6:.0f} MB")

            layers.append(registry.layer(layer, diff_id, store, show))
            before += layer["size"]
        return Pulled(digest, tuple(layers), config)


class _Registry:
    """One image's repository, at its own registry or at a mirror of it."""

    def __init__(
        self, http: httpx2.Client, address: str, reference: Reference, on_wait: Callable[[str], None]
    ) -> None:
        parts = urlsplit(address)
        self._http = http
        self._on_wait = on_wait
        self._reference = reference
        self._host = parts.netloc
        self._url = f"{parts.scheme}://{parts.netloc}/v2{parts.path.rstrip('/')}/{reference.repository}"
        self._headers: dict[str, str] = {}
        self._login_until_s = 0.0

    def manifest(self, architecture: str) -> tuple[str, Mapping[str, Any]]:
        """Digest and content of the manifest for the platform."""
        digest = self._reference.digest
        document = self._json(digest)
        if document.get("mediaType") in INDEX_TYPES or "manifests" in document:
            digest = self._of_platform(document, architecture)
            document = self._json(digest)
        if "layers" not in document:
            raise _unusable(self._reference, "its manifest is of no known form")
        return digest, document

    def blob(self, digest: str) -> bytes:
        """A small blob, checked."""
        return self._checked(f"{self._url}/blobs/{digest}", digest)

    def layer(
        self, described: Mapping[str, Any], diff_id: str, store: Path, on_bytes: Callable[[int, int], None]
    ) -> Layer:
        """A layer, fetched, checked, unpacked and checked again."""
        path = store / f"{_hexadecimal(diff_id)}.tar"
        if cache.used(path):
            return Layer(path, diff_id, path.stat().st_size)
        media_type = str(described["mediaType"])
        if not media_type.endswith(("tar", "gzip")) or "foreign" in media_type:
            raise _unusable(self._reference, f"a layer is of the kind {media_type}")
        store.mkdir(parents=True, exist_ok=True)
        url = f"{self._url}/blobs/{described['digest']}"
        self._login(url)
        with scratch.folder(store) as folder:
            blob, plain = folder / "blob", folder / "layer.tar"
            sha256 = _hexadecimal(described["digest"])
            download.fetch(
                self._http, url, blob, sha256, headers=self._headers, on_bytes=on_bytes, on_wait=self._on_wait
            )
            found = _unpack(blob, plain)
            if found != diff_id:
                raise download.mismatch(url, found, diff_id)
            plain.replace(path)
        return Layer(path, diff_id, path.stat().st_size)

    def _of_platform(self, index: Mapping[str, Any], architecture: str) -> str:
        for entry in index["manifests"]:
            platform = entry.get("platform") or {}
            if platform.get("os") == "linux" and platform.get("architecture") == architecture:
                return str(entry["digest"])
        raise _unusable(self._reference, f"there is none for linux/{architecture}")

    def _json(self, digest: str) -> dict[str, Any]:
        accept = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
        document = json.loads(self._checked(f"{self._url}/manifests/{digest}", digest, Accept=accept))
        return dict(document)

    def _checked(self, url: str, digest: str, **headers: str) -> bytes:
        self._login(url)
        content = download.content(
            self._http, url, headers={**self._headers, **headers}, on_wait=self._on_wait
        )
        found = hashlib.sha256(content).hexdigest()
        if found != _hexadecimal(digest):
            raise download.mismatch(url, found, _hexadecimal(digest))
        return content

    def _login(self, url: str) -> None:
        """Get the token that the registry asks for; most give one to anybody, and take it for some minutes."""
        if time.monotonic() < self._login_until_s:
            return
        answer = attempts.answer(self._http, "HEAD", url, on_wait=self._on_wait)
        if answer.status_code == 401:
            self._headers.update(self._authorization(answer.headers.get("www-authenticate", "")))
        self._login_until_s = time.monotonic() + LOGIN_S

    def _authorization(self, challenge: str) -> dict[str, str]:
        login = registry_login.find(self._host)
        if not challenge.lower().startswith("bearer"):
            return login.headers if login else {}
        asked = registry_login.challenge(challenge)
        realm = asked.pop("realm", "")
        try:
            given = json.loads(self._token(realm, asked, login))
            return {"Authorization": f"Bearer {given.get('token') or given['access_token']}"}
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:  # as where a proxy answers with its own page
            raise HarnessError(
                CauseCode.SOURCE_UNREACHABLE,
                f"{realm}, where {self._host} has logins done, answered without a token",
                hint=network_errors.hint(),
            ) from error

    def _token(self, realm: str, asked: dict[str, str], login: Login | None) -> bytes:
        """What the server of logins answers."""
        import httpx2

        if login and login.identity_token:
            form = registry_login.exchange(login, asked, asked.get("scope", ""))
            answer = attempts.answer(self._http, "POST", realm, form=form, on_wait=self._on_wait)
            if not answer.is_success:
                raise network_errors.status(answer, realm)
            return answer.content
        headers = login.headers if login else {}
        url = str(httpx2.URL(realm).copy_merge_params(asked))
        return download.content(self._http, url, headers=headers, on_wait=self._on_wait)


def _unpack(blob: Path, target: Path) -> str:
    """Write a layer as it is uncompressed; returns its digest."""
    digest = hashlib.sha256()
    with blob.open("rb") as raw:
        is_compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with gzip.GzipFile(fileobj=raw) if is_compressed else raw as source, target.open("wb") as file:
            while chunk := source.read(CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _hexadecimal(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    if algorithm != "sha256" or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise HarnessError(
            CauseCode.CHECKSUM_MISMATCH, f"{digest!r} is no SHA-256 digest", hint=network_errors.hint()
        )
    return value


def _unusable(reference: Reference, why: str) -> HarnessError:
    return HarnessError(
        CauseCode.IMAGE_NOT_STARTABLE,
        f"the image {reference} can't be used: {why}",
        hint=network_errors.hint(),
    )
