"""A registry spoken to: logged in where it asks for it, and tried again while it is gone for a moment.

By https://distribution.github.io/distribution/spec/auth/token/ and RFC 7617.
"""

from __future__ import annotations

import shlex
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from harness.errors import CauseCode, HarnessError
from harness.host.docker import registry_login
from harness.host.sources import attempts, download, network_errors
from harness.image.registry.address import Registry

if TYPE_CHECKING:
    import httpx2

Result = TypeVar("Result")

GONE_S = 60.0  # how long a registry that answered before may be away
NEVER_S = 25.0  # and one that never did
PAUSE_S = 2.0
REFUSED = frozenset({401, 403})


class _Gone(Exception):  # noqa: N818  a state that may pass
    def __init__(self, error: HarnessError, wait_s: float = PAUSE_S) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait_s = wait_s


class Session:
    """One registry, by one login. Threads may share it."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._http = _client(registry)
        # One beside a kind cluster asks for none, and a credential helper takes its time.
        self._login = None if registry.container else registry_login.find(registry.host)
        self._lock = threading.Lock()
        self._challenge: str | None = None
        self._tokens: dict[str, str] = {}
        self._answered = False

    def patiently(self, do: Callable[[], Result], on_wait: Callable[[str], None]) -> Result:
        """What `do` returns, done again from its beginning while the registry is away.

        Raises HarnessError: IMAGE_LOAD_FAILED when it stays away or refuses, LOGIN_FAILED.
        """
        since_s = time.monotonic()
        while True:
            try:
                return do()
            except _Gone as gone:
                away_s = time.monotonic() - since_s
                if away_s + gone.wait_s > (GONE_S if self._answered else NEVER_S):
                    raise gone.error from gone
                on_wait(f"{gone.error.message}: again in {gone.wait_s:.0f} s")
                attempts.pause(gone.wait_s)

    def request(
        self,
        method: str,
        url: str,
        scopes: Iterable[str],
        *,
        content: Callable[[], Iterable[bytes]] | None = None,
        headers: Mapping[str, str] | None = None,
        expected: Collection[int],
        passing: Collection[int] = (),
    ) -> httpx2.Response:
        """The answer, whose status is one of `expected`. `scopes`: what a token must allow.

        Within `patiently`, which tries again what may pass: a registry that is away, and what is in `passing`, with
        which one that was started again answers to what it began before.
        """
        wanted = " ".join(sorted(scopes))
        answer = self._send(method, url, wanted, content, headers)
        if answer.status_code == 401:
            with self._lock:
                self._challenge = answer.headers.get("www-authenticate", "")
                self._tokens.pop(wanted, None)
            answer = self._send(method, url, wanted, content, headers)
        if answer.status_code in attempts.NOT_NOW or answer.status_code in passing:
            asked_s = attempts.retry_after_s(answer.headers.get("retry-after"))
            raise _Gone(self.refused(method, url, answer), PAUSE_S if asked_s is None else asked_s)
        if answer.status_code in REFUSED:
            raise self._no_login(answer)
        if answer.status_code not in expected:
            raise self.refused(method, url, answer)
        return answer

    def _send(
        self,
        method: str,
        url: str,
        scopes: str,
        content: Callable[[], Iterable[bytes]] | None,
        headers: Mapping[str, str] | None,
    ) -> httpx2.Response:
        import httpx2

        sent = {**(headers or {}), **self._authorization(scopes)}
        try:
            answer = self._http.request(method, url, headers=sent, content=content() if content else None)
        except httpx2.HTTPError as error:
            raise self._broken(url, error) from error
        self._answered = True
        return answer

    def _authorization(self, scopes: str) -> dict[str, str]:
        """By the challenge that the registry gave before; nothing until it gave one."""
        with self._lock:
            if self._challenge is None:
                return {}
            if not self._challenge.lower().startswith("bearer"):
                return {"Authorization": f"Basic {self._login.pair}"} if self._login else {}
            if scopes not in self._tokens:
                self._tokens[scopes] = self._token(registry_login.challenge(self._challenge), scopes.split())
            return {"Authorization": f"Bearer {self._tokens[scopes]}"}

    def _token(self, asked: Mapping[str, str], scopes: list[str]) -> str:
        import httpx2

        realm, service = asked.get("realm", ""), asked.get("service", "")
        login = self._login
        try:
            if login is not None and login.identity_token:
                form = registry_login.exchange(login, asked, " ".join(scopes))
                answer = self._http.post(realm, data=form)
            else:
                headers = {"Authorization": f"Basic {login.pair}"} if login else {}
                query: dict[str, str | list[str]] = {"service": service, "scope": scopes}
                answer = self._http.get(realm, params=query, headers=headers)
            if answer.status_code in attempts.NOT_NOW:
                raise _Gone(network_errors.status(answer, realm))
            if not answer.is_success:
                raise self._no_login(answer)
            given = answer.json()
            return str(given.get("token") or given["access_token"])
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._broken(realm, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise self._no_login(answer) from error

    def _broken(self, url: str, error: Exception) -> Exception:
        """What may pass is a `_Gone`; a certificate that is not known, and a name that never was one, do not."""
        told = network_errors.unreachable(url, error)
        if network_errors.is_certificate(error):
            hint = f"its authority is named by `ca` of [registry] in contexts.toml; {told.hint}"
            return HarnessError(CauseCode.IMAGE_LOAD_FAILED, told.message, hint=hint, evidence=told.evidence)
        # A literal: what a resolver says differs by system.
        is_unknown = any(
            text in str(error) for text in ("Name or service not known", "nodename nor servname")
        )
        host = urlsplit(url).netloc
        failed = HarnessError(
            CauseCode.IMAGE_LOAD_FAILED,
            f"the registry {told.message}" if host else told.message,
            hint=self.registry.hint,
        )
        return failed if is_unknown and not self._answered else _Gone(failed)

    def _no_login(self, answer: httpx2.Response) -> HarnessError:
        had = "the login that Docker's configuration has" if self._login else "without a login"
        said = _reason(answer)
        return HarnessError(
            CauseCode.LOGIN_FAILED,
            f"the registry {self.registry.host} does not let harness push, {had}"
            + (f": {said}" if said else f" (status {answer.status_code})"),
            hint=f"docker login {self.registry.host}",
        )

    def refused(self, method: str, url: str, answer: httpx2.Response) -> HarnessError:
        """The error for an answer that does not do."""
        said = _reason(answer)
        return HarnessError(
            CauseCode.IMAGE_LOAD_FAILED,
            f"the registry {self.registry.host} answered {method} {urlsplit(url).path} with status "
            f"{answer.status_code}" + (f": {said}" if said else ""),
            hint=self.registry.hint,
        )


def _client(registry: Registry) -> httpx2.Client:
    """A client that also trusts the registry's own authority. Raises HarnessError(CONFIG_INVALID)."""
    if registry.ca is None:
        return download.client()
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(registry.ca)
    except OSError as error:  # SSLError, for what is no certificate, is one
        raise HarnessError(
            CauseCode.CONFIG_INVALID,
            f"{registry.ca}, the `ca` of [registry], can't be read: {error.strerror or error}",
            hint=f"openssl x509 -in {shlex.quote(str(registry.ca))} -noout -subject",
        ) from error
    return download.client(context)


def _reason(answer: httpx2.Response) -> str:
    """The first of the errors that a registry tells of."""
    try:
        first = answer.json()["errors"][0]
        return str(first.get("message") or first.get("code") or "")
    except (ValueError, KeyError, IndexError, TypeError):
        return ""
