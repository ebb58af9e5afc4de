"""Files from the network that are pinned by their SHA-256: a wrong byte is refused and nothing of it kept."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import CauseCode, HarnessError
from harness.host.sources import attempts, ca_bundle, network_errors

if TYPE_CHECKING:
    import httpx2

CONNECT_TIMEOUT_S = 8.0
READ_TIMEOUT_S = 60.0


def client(trust: ssl.SSLContext | None = None) -> httpx2.Client:
    """An HTTP client that trusts what this machine trusts, or what `trust` does, and heeds its proxy settings.

    Raises HarnessError(SOURCE_UNREACHABLE) for proxy settings that can't be used.
    """
    import httpx2

    bundle = ca_bundle.find()
    # By default what the system trusts; macOS and Windows keep that in no file.
    verify: ssl.SSLContext | bool = trust or True
    if (
        trust is None
        and bundle is not None
        and bundle.origin in ca_bundle.VARIABLES
        and bundle.certificates() > 0
    ):
        verify = ssl.create_default_context(cafile=str(bundle.path))
    timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    # No compression on the way: what is pinned is the file as it is published.
    headers = {"Accept-Encoding": "identity"}
    try:
        return httpx2.Client(verify=verify, timeout=timeout, follow_redirects=True, headers=headers)
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        raise network_errors.unusable_proxy(error) from error


def fetch(
    http: httpx2.Client,
    url: str,
    target: Path,
    sha256: str,
    *,
    headers: Mapping[str, str] | None = None,
    on_bytes: Callable[[int, int], None] = lambda _done, _all: None,
    on_wait: Callable[[str], None] = lambda _: None,
) -> None:
    """Write what `url` gives into `target`, which is there only when its SHA-256 is the pinned one.

    `on_bytes` is told how many bytes have come, and of how many (0 where the server does not say), `on_wait` why it
    goes on in a while. Raises HarnessError: SOURCE_UNREACHABLE, CHECKSUM_MISMATCH, INTERRUPTED.
    """
    partial = target.with_name(f".{target.name}.partial")
    digest = hashlib.sha256()
    done = 0
    try:
        with partial.open("wb") as file:
            for piece, total in attempts.pieces(http, url, headers=headers, on_wait=on_wait):
                file.write(piece)
                digest.update(piece)
                done += len(piece)
                on_bytes(done, total)
        if digest.hexdigest() != sha256:
            raise mismatch(url, digest.hexdigest(), sha256)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def content(
    http: httpx2.Client,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    on_wait: Callable[[str], None] = lambda _: None,
) -> bytes:
    """What `url` gives, for what is small. Raises HarnessError(SOURCE_UNREACHABLE, INTERRUPTED)."""
    found = attempts.pieces(http, url, headers=headers, on_wait=on_wait)
    return b"".join(piece for piece, _ in found)


def mismatch(url: str, found: str, wanted: str) -> HarnessError:
    """A file that is not the pinned one."""
    return HarnessError(
        CauseCode.CHECKSUM_MISMATCH,
        f"{url} was refused and deleted: its SHA-256 is not the pinned one",
        evidence=(f"pinned {wanted}", f"found  {found}"),
        hint=network_errors.hint("a proxy or mirror between here and that server may have changed it"),
    )
