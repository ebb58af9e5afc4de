"""Telling that a server does not answer, long before whoever waits for it gives up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SILENT_S = 5.0
LOOK_EVERY_S = 1.0


class Silence:
    """Watches the requests that several threads have under way, and tells once that none of them is answered.

    An outage ends with the next answer, whichever request it is to; that is told too.
    """

    def __init__(self, server: str, tell: Callable[[str], None]) -> None:
        self._server = server
        self._tell = tell
        self._lock = threading.Lock()
        self._under_way: dict[object, tuple[float, float]] = {}  # since when, and for how long at most
        self._answered_s = float("-inf")
        self._reason = ""
        self._told = False

    @contextmanager
    def request(self, limit_s: float) -> Iterator[None]:
        """Around a request that is waited for no longer than `limit_s`, its repetitions included."""
        key = object()
        with self._lock:
            self._under_way[key] = (time.monotonic(), limit_s)
        try:
            yield
            self._answered()
        finally:
            with self._lock:
                del self._under_way[key]

    def failed(self, reason: str) -> None:
        """An attempt came to nothing; another one follows."""
        with self._lock:
            self._reason = reason
        self.look()

    def look(self) -> None:
        """Tell, if it is time to."""
        with self._lock:
            if self._told or not self._under_way:
                return
            since_s = max(self._answered_s, min(begun_s for begun_s, _ in self._under_way.values()))
            silent_s = time.monotonic() - since_s
            if silent_s < SILENT_S:
                return
            self._told = True
            limit_s = max(limit_s for _, limit_s in self._under_way.values())
            reason = f" ({self._reason})" if self._reason else ""
        self._tell(
            f"{self._server} has not answered for {silent_s:.0f} s{reason}: "
            f"waiting for it, {limit_s:.0f} s at most"
        )

    def watch(self, closed: threading.Event) -> None:
        """Look until `closed` is set: a request that hangs tells nothing by itself."""
        while not closed.wait(LOOK_EVERY_S):
            self.look()

    def _answered(self) -> None:
        with self._lock:
            self._answered_s, self._reason = time.monotonic(), ""
            told, self._told = self._told, False
        if told:
            self._tell(f"{self._server} answers again")
