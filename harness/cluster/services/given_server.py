"""A PostgreSQL server that the cluster is given: where it is, as which role it is used, and that nobody else does."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from harness.cluster import labels
from harness.cluster.api import KubernetesApi
from harness.cluster.place import SHARED
from harness.errors import CauseCode, HarnessError

LOGIN = "postgres-login"  # the Secret with it
LOGIN_VERSION = "harness.local/login-version"  # annotation of the pod that speaks to the server
SSL_MODES = ("disable", "allow", "prefer", "require")  # the others need a file with the authority
EXAMPLE = "postgresql://harness:PASSWORD@db.example.com:5432/postgres?sslmode=require"
_SECRET = f"/api/v1/namespaces/{SHARED}/secrets/{LOGIN}"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")
_DATABASE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True)
class GivenServer:
    """Where it is.

    `database` is the one that is connected to when no other is meant.
    """

    host: str
    port: int
    database: str
    ssl_mode: str

    def __str__(self) -> str:
        """As the cluster remembers it."""
        return f"{self.host}:{self.port}/{self.database}?sslmode={self.ssl_mode}"

    @classmethod
    def parse(cls, text: str) -> GivenServer:
        """What `str` gave. Raises ValueError."""
        place, _, ssl_mode = text.partition("?sslmode=")
        address, _, database = place.partition("/")
        host, _, port = address.rpartition(":")
        return cls(host, int(port), database, ssl_mode)


@dataclass(frozen=True)
class Login:
    """The server, and the role that makes databases there."""

    server: GivenServer
    role: str
    password: str = field(repr=False)

    def variables(self) -> dict[str, str]:
        """What libpq's programs read, https://www.postgresql.org/docs/current/libpq-envars.html."""
        return {
            "PGHOST": self.server.host,
            "PGPORT": str(self.server.port),
            "PGDATABASE": self.server.database,
            "PGSSLMODE": self.server.ssl_mode,
            "PGUSER": self.role,
            "PGPASSWORD": self.password,
            "PGCONNECT_TIMEOUT": "10",
        }


def read(variable: str, environ: Mapping[str, str] = os.environ) -> Login | None:
    """The login that an environment variable holds as a URL; None where it is not set.

    Raises HarnessError(CONFIG_INVALID), which shows nothing of the URL: a password may stand anywhere in it.
    """
    text = environ.get(variable, "").strip()
    if not text:
        return None
    try:
        return _login(text)
    except ValueError as error:
        raise HarnessError(
            CauseCode.CONFIG_INVALID,
            f"the environment variable {variable} holds no URL of a PostgreSQL server: {error}",
            hint=f"export {variable}='{EXAMPLE}'",
        ) from None


def missing(variable: str) -> HarnessError:
    """Neither this machine nor the cluster knows the login."""
    return HarnessError(
        CauseCode.SECRET_MISSING,
        f"the environment variable {variable} is not set: contexts.toml names it for the cluster's PostgreSQL server",
        hint=f"export {variable}='{EXAMPLE}'",
    )


def keep(api: KubernetesApi, login: Login) -> None:
    """Put the login into the cluster, for the pod that speaks to the server, in place of an earlier one."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": LOGIN, "labels": labels.ours(role="shared")},
        "stringData": login.variables(),
    }
    api.apply(_SECRET, secret)


def kept_version(api: KubernetesApi) -> str | None:
    """What changes with the kept login, and tells nothing of it; None where there is none."""
    found = api.get(_SECRET)
    return str(found["metadata"].get("resourceVersion", "")) if found else None


def refusals(api: KubernetesApi) -> int:
    """How often a pod ended that has the login as it is now: one with an earlier one may still be there."""
    pods = api.list(f"/api/v1/namespaces/{SHARED}/pods", labelSelector="app.kubernetes.io/name=postgres")
    now = kept_version(api)
    return sum(
        int(state.get("restartCount", 0))
        for pod in pods
        if (pod["metadata"].get("annotations") or {}).get(LOGIN_VERSION) == now
        for state in pod["status"].get("containerStatuses") or []
    )


def _login(text: str) -> Login:
    try:
        url = urlsplit(text)
        port = url.port or 5432
    except ValueError:
        raise ValueError("its host or port can't be read") from None
    if url.scheme not in {"postgresql", "postgres"}:
        raise ValueError("it does not begin with postgresql://")
    database = unquote(url.path.removeprefix("/")) or "postgres"
    options = parse_qs(url.query, keep_blank_values=True)
    ssl_mode = options.pop("sslmode", ["prefer"])[-1]
    if not _HOST.fullmatch(url.hostname or ""):
        raise ValueError("it names no host")
    if not url.username or not url.password:
        raise ValueError("it holds no role, or no password")
    if not _DATABASE.fullmatch(database):
        raise ValueError("its database is no plain name")
    if ssl_mode not in SSL_MODES:
        raise ValueError(f"its sslmode is none of {', '.join(SSL_MODES)}")
    if options:
        raise ValueError("it has options besides sslmode, or a password with a ? that is not written %3F")
    server = GivenServer(url.hostname or "", port, database, ssl_mode)
    return Login(server, unquote(url.username), unquote(url.password))
