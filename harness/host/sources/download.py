"""Files from the network that are pinned by their SHA-256: a wrong byte is refused and nothing of it kept."""

from __future__ import annotations

import hashlib
import platform
import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.errors import CauseCode, HarnessError
from harness.host import background
from harness.host.sources import ca_bundle

if TYPE_CHECKING:
    import httpx2

CHUNK_BYTES = 1 << 20
CONNECT_TIMEOUT_S = 8.0
READ_TIMEOUT_S = 60.0


def hint(*more: str) -> str:
    """What helps where a release can't be had: packages can be built from on Linux alone."""
    packages = ["harness up --sources packages"] if platform.system() == "Linux" else []
    return "; ".join(
        [*packages, *(more or ("a mirror is named by HARNESS_MIRRORS, a proxy by HTTPS_PROXY",))]
    )


def client() -> httpx2.Client:
    """An HTTP client that trusts what this machine trusts and heeds its proxy settings."""
    import httpx2

    bundle = ca_bundle.find()
    usable = bundle is not None and bundle.certificates() > 0
    context = ssl.create_default_context(cafile=str(bundle.path) if bundle and usable else None)
    timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    # No compression on the way: what is pinned is the file as it is published.
    headers = {"Accept-Encoding": "identity"}
    return httpx2.Client(verify=context, timeout=timeout, follow_redirects=True, headers=headers)


def fetch(
    http: httpx2.Client,
    url: str,
    target: Path,
    sha256: str,
    *,
    headers: Mapping[str, str] | None = None,
    on_bytes: Callable[[int, int], None] = lambda _done, _all: None,
) -> None:
    """Write what `url` gives into `target`, which is there only when its SHA-256 is the pinned one.

    `on_bytes` is told how many bytes have come, and of how many (0 where the server does not say). Raises
    HarnessError: SOURCE_UNREACHABLE, CHECKSUM_MISMATCH, INTERRUPTED.
    """
    import httpx2

    partial = target.with_name(f".{target.name}.partial")
    digest = hashlib.sha256()
    done = 0
    try:
        with http.stream("GET", url, headers=dict(headers or {})) as answer:
            check_status(answer, url)
            total = int(answer.headers.get("content-length") or 0)
            with partial.open("wb") as file:
                for chunk in answer.iter_raw(CHUNK_BYTES):
                    background.check()
                    file.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    on_bytes(done, total)
        if digest.hexdigest() != sha256:
            raise mismatch(url, digest.hexdigest(), sha256)
        partial.replace(target)
    except httpx2.HTTPError as error:
        raise unreachable(url, error) from error
    finally:
        partial.unlink(missing_ok=True)


def check_status(answer: httpx2.Response, url: str) -> None:
    """Raises HarnessError(SOURCE_UNREACHABLE) unless the answer is a good one."""
    if not answer.is_success:
        raise HarnessError(
            CauseCode.SOURCE_UNREACHABLE, f"{url} answered with status {answer.status_code}", hint=hint()
        )


def unreachable(url: str, error: Exception) -> HarnessError:
    """What a broken connection means."""
    reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
    return HarnessError(
        CauseCode.SOURCE_UNREACHABLE, f"{urlsplit(url).netloc} can't be reached: {reason}", hint=hint()
    )


def mismatch(url: str, found: str, wanted: str) -> HarnessError:
    """A file that is not the pinned one."""
    return HarnessError(
        CauseCode.CHECKSUM_MISMATCH,
        f"{url} was refused and deleted: its SHA-256 is not the pinned one",
        evidence=(f"pinned {wanted}", f"found  {found}"),
        hint=hint("a proxy or mirror between here and that server may have changed it"),
    )
