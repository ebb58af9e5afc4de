"""Requests that are tried again: networks drop connections, and servers have moments in which they can't.

What has come is kept: the next attempt asks for the rest (RFC 9110, 14.2).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.host import background
from harness.host.sources import network_errors

if TYPE_CHECKING:
    import httpx2

PAUSES_S = (0.5, 1.0, 4.0, 16.0)  # the first after an attempt that brought something; only others count
LONGEST_WAIT_S = 300.0  # who asks for more is asked another day
NOT_NOW = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Again(Exception):  # noqa: N818  a state that passes
    """An attempt that failed of what may pass; `error` is raised when it was the last."""

    def __init__(
        self, error: HarnessError, *, wait_s: float | None = None, most: int = len(PAUSES_S)
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait_s = wait_s
        self.most = most


def pieces(
    http: httpx2.Client,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    on_wait: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[bytes, int]]:
    """The content of `url`, piece by piece, each with the size of the whole (0 where the server does not say).

    An attempt counts only if it brought nothing. Raises HarnessError(SOURCE_UNREACHABLE, INTERRUPTED).
    """
    done = failed = 0
    while True:
        before = done
        try:
            for piece, total in _from(http, url, done, dict(headers or {})):
                done += len(piece)
                yield piece, total
            return
        except _Again as again:
            failed = 0 if done > before else failed + 1
            _pause(again, failed, on_wait)


def answer(
    http: httpx2.Client,
    method: str,
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    on_wait: Callable[[str], None] = lambda _: None,
) -> httpx2.Response:
    """The answer to a request with a form or without content, whatever its status.

    Raises HarnessError(SOURCE_UNREACHABLE).
    """
    import httpx2

    failed = 0
    while True:
        try:
            given = http.request(method, url, data=form)
            if given.status_code not in NOT_NOW:
                return given
            error = network_errors.status(given, url)
            again = _Again(error, wait_s=retry_after_s(given.headers.get("retry-after")))
        except (httpx2.HTTPError, httpx2.InvalidURL) as broken:
            again = _broken(url, broken, done=0)
        failed += 1
        _pause(again, failed, on_wait)


def retry_after_s(text: str | None) -> float | None:
    """How long the header Retry-After asks to wait, which is in seconds or a date; None where it does not say."""
    if not text:
        return None
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def pause(seconds: float) -> None:
    """Wait, unless what this is done for ends. Raises HarnessError(INTERRUPTED)."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        background.check()
        time.sleep(min(left, 0.2))


def _pause(again: _Again, failed: int, on_wait: Callable[[str], None]) -> None:
    if failed >= again.most or (again.wait_s or 0.0) > LONGEST_WAIT_S:
        raise again.error
    wait_s = PAUSES_S[failed] if again.wait_s is None else again.wait_s
    on_wait(
        f"{again.error.message}: again in {wait_s:.0f} s" if wait_s >= 1 else f"{again.error.message}: again"
    )
    pause(wait_s)


def _from(http: httpx2.Client, url: str, start: int, headers: dict[str, str]) -> Iterator[tuple[bytes, int]]:
    """What comes from `start` on in one attempt."""
    import httpx2

    done = start
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with http.stream("GET", url, headers=headers) as given:
            if given.status_code in NOT_NOW:
                given.read()
                error = network_errors.status(given, url)
                raise _Again(error, wait_s=retry_after_s(given.headers.get("retry-after")))
            if not given.is_success:
                raise network_errors.status(given, url)
            # A server that knows no ranges begins anew: what is known is not taken twice.
            known = start if given.status_code != httpx2.codes.PARTIAL_CONTENT else 0
            length = int(given.headers.get("content-length") or 0)
            total = length + start - known if length else 0
            for chunk in given.iter_raw():
                background.check()
                new = chunk[known:]
                known = max(0, known - len(chunk))
                if new:
                    done += len(new)
                    yield new, total
    except (httpx2.HTTPError, httpx2.InvalidURL) as broken:
        raise _broken(url, broken, done=done) from broken


def _broken(url: str, error: Exception, *, done: int) -> _Again:
    """A connection that broke may be made again; one that could not be made is tried once more, no oftener."""
    import httpx2

    told = network_errors.unreachable(url, error)
    if network_errors.is_certificate(error) or not isinstance(error, httpx2.TransportError):
        return _Again(told, most=0)
    never_made = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError)
    return _Again(told, most=2 if never_made and not done else len(PAUSES_S))
