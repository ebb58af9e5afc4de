"""Talking HTTP to one version's api-server: login, retries within a deadline, pages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness.airflow.rest.silence import Silence
from harness.errors import CauseCode, HarnessError
from harness.host import background

if TYPE_CHECKING:
    import httpx2

PAGE_SIZE = 100  # Airflow's own upper limit
DEFAULT_DEADLINE_S = 60.0
REQUEST_TIMEOUT_S = 30.0
MAX_PAUSE_S = 2.0
_TRANSIENT_STATUS = frozenset({429, 500, 502, 503, 504})


def prepare() -> None:
    """Import what requests need, while something else is waited for: beside Airflow's start it takes a second."""
    import httpx2  # noqa: F401


class _NotNow(Exception):  # noqa: N818  a state that passes, not an error
    """The api-server did not answer, or answered that it cannot now."""


class Session:
    """Requests to one api-server as one user. Threads may share it.

    Each request retries what passes (refused connections, a gateway that finds nobody, a busy server) until its
    `deadline_s` (seconds) is over, then raises HarnessError(API_SERVER_LOST).
    """

    def __init__(
        self,
        base_url: str,
        host_header: str,
        username: str,
        password: str,
        *,
        deadline_s: float = DEFAULT_DEADLINE_S,
        transport: httpx2.BaseTransport | None = None,
        on_silence: Callable[[str], None] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`base_url` is where to connect (http://127.0.0.1:PORT); `host_header` chooses the version.

        `check` is asked before each attempt of a request, and may raise. `on_silence` is told, by any
        thread, when nothing is answered for some seconds, and when something is again.
        """
        import httpx2

        self._client = httpx2.Client(
            base_url=base_url,
            headers={"Host": host_header} if host_header else {},
            timeout=httpx2.Timeout(REQUEST_TIMEOUT_S, connect=5.0),
            trust_env=False,  # a proxy for the internet must not get requests to 127.0.0.1
            transport=transport,
        )
        self._login = {"username": username, "password": password}
        self._deadline_s = deadline_s
        self._token: str | None = None
        self._token_lock = threading.Lock()
        self._meanwhile: Callable[[str], None] | None = None
        self._check = check
        self._closed = threading.Event()
        self._silence = Silence("Airflow's api-server", on_silence or (lambda _: None))
        if on_silence is not None:
            threading.Thread(
                target=self._silence.watch, args=(self._closed,), daemon=True, name="silence"
            ).start()

    def close(self) -> None:
        """Close the connections."""
        self._closed.set()
        self._client.close()

    @contextmanager
    def meanwhile(self, ask: Callable[[str], None]) -> Iterator[None]:
        """Ask between two attempts of a request whether to go on: `ask` gets what went wrong, and may raise."""
        before, self._meanwhile = self._meanwhile, ask
        try:
            yield
        finally:
            self._meanwhile = before

    def get(
        self, path: str, *, deadline_s: float | None = None, params: Mapping[str, str | int] | None = None
    ) -> dict[str, Any]:
        """The object at `path` below /api/v2."""
        return _object(checked(self.send("GET", path, deadline_s=deadline_s, params=params)))

    def find(
        self, path: str, *, deadline_s: float | None, params: Mapping[str, str | int] | None = None
    ) -> dict[str, Any] | None:
        """The object at `path`, or None when Airflow has none. A path with a slash before it is not below /api/v2."""
        response = self.send("GET", path, deadline_s=deadline_s, params=params)
        return None if response.status_code == 404 else _object(checked(response))

    def pages(
        self, path: str, key: str, params: Mapping[str, str | int], deadline_s: float | None
    ) -> Iterator[dict[str, Any]]:
        """All entries under `key`, page after page."""
        offset = 0
        while True:
            page = self.get(
                path, deadline_s=deadline_s, params={**params, "limit": PAGE_SIZE, "offset": offset}
            )
            entries = page[key]
            yield from entries
            offset += len(entries)
            if not entries or offset >= (page.get("total_entries") or 0):
                return

    def send(
        self,
        method: str,
        path: str,
        *,
        deadline_s: float | None,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        accept: str = "application/json",
    ) -> httpx2.Response:
        """The answer, whatever its status, once Airflow gives one."""
        limit_s = self._deadline_s if deadline_s is None else deadline_s
        end_s = time.monotonic() + limit_s
        pause_s = 0.1
        with self._silence.request(limit_s):
            while True:
                self._check()
                try:
                    return self._once(method, path, params, body, accept)
                except _NotNow as error:
                    if time.monotonic() + pause_s > end_s:
                        raise HarnessError(
                            CauseCode.API_SERVER_LOST,
                            f"Airflow's api-server did not answer for {limit_s:.0f} s: {error}",
                            hint="harness logs",
                        ) from error
                    self._silence.failed(str(error))
                    if self._meanwhile is not None:
                        self._meanwhile(str(error))
                background.check()
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, MAX_PAUSE_S)

    def _once(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int] | None,
        body: Mapping[str, Any] | None,
        accept: str,
    ) -> httpx2.Response:
        def attempt(token: str) -> httpx2.Response:
            headers = {"Authorization": f"Bearer {token}", "Accept": accept}
            url = path if path.startswith("/") else f"/api/v2/{path}"
            return self._exchange(method, url, params=params, json=body, headers=headers)

        token = self._authenticated(stale=None)
        response = attempt(token)
        if response.status_code == 401:
            response = attempt(self._authenticated(stale=token))
        return response

    def _authenticated(self, stale: str | None) -> str:
        with self._token_lock:
            if self._token is None or self._token == stale:
                response = self._exchange("POST", "/auth/token", json=self._login)
                if response.status_code in {400, 401}:
                    raise HarnessError(
                        CauseCode.DEPLOY_FAILED,
                        f"Airflow refuses the version's own user: {detail(response)}",
                        hint="harness down, then run the command again",
                    )
                self._token = str(_object(checked(response))["access_token"])
            return self._token

    def _exchange(self, method: str, url: str, **options: Any) -> httpx2.Response:  # noqa: ANN401
        import httpx2

        try:
            response = self._client.request(method, url, **options)
        except httpx2.TransportError as error:
            raise _NotNow(str(error) or type(error).__name__) from error
        if response.status_code in _TRANSIENT_STATUS:
            raise _NotNow(f"HTTP {response.status_code} {detail(response)}".rstrip())
        if response.status_code == 404 and not _is_airflow(response):
            raise _NotNow("the gateway does not know this version yet")
        return response


def _is_airflow(response: httpx2.Response) -> bool:
    """Whether Airflow said it, not a proxy in front of it."""
    kind = str(response.headers.get("content-type", ""))
    return kind.startswith(("application/json", "application/x-ndjson"))


def detail(response: httpx2.Response) -> str:
    """What an answer says went wrong."""
    try:
        data = response.json()
    except ValueError:
        if "html" in str(response.headers.get("content-type", "")):  # a page of the gateway's own
            return str(response.reason_phrase)
        return response.text.strip()[:200]
    found = data.get("detail", data) if isinstance(data, dict) else data
    return found if isinstance(found, str) else str(found)


def checked(response: httpx2.Response) -> httpx2.Response:
    """The answer itself when it is a success; raises HarnessError(INTERNAL) otherwise."""
    if response.is_success:
        return response
    raise HarnessError(
        CauseCode.INTERNAL,
        f"Airflow answered {response.status_code} to {response.request.method} "
        f"{response.request.url.path}: {detail(response)}",
    )


def _object(response: httpx2.Response) -> dict[str, Any]:
    data = response.json()
    if not isinstance(data, dict):
        raise HarnessError(
            CauseCode.INTERNAL, f"Airflow answered no JSON object to {response.request.url.path}"
        )
    return data
