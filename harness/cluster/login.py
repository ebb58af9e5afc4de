"""Logging in to a cluster as its kubeconfig says, by the official client: certificates, tokens, plugins, OIDC.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/
"""

from __future__ import annotations

import base64
import functools
import ipaddress
import json
import shlex
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.errors import CauseCode, HarnessError
from harness.host.sources import ca_bundle

if TYPE_CHECKING:
    import urllib3
    from kubernetes.client.configuration import Configuration

CONNECTIONS = 16
_CHANGING = ("exec", "tokenFile", "auth-provider")  # logins that may be others when they are asked for again
_CERTIFICATES = ("client-certificate", "client-key")


@dataclass(frozen=True)
class LoggedIn:
    """The connections of one login, and what each request has to carry."""

    connections: urllib3.PoolManager
    _configuration: Configuration

    def headers(self) -> dict[str, str]:
        """The token, where there is one."""
        settings = self._configuration.auth_settings().values()
        return {str(each["key"]): str(each["value"]) for each in settings if each["value"]}


class Login:
    """The login of one kubeconfig file, by its current context. Threads may share it.

    Raises HarnessError: CLUSTER_MISSING for a file that is no usable kubeconfig, LOGIN_FAILED when the plugin or the
    identity provider that it names gives no login.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._lock = threading.Lock()
        parts = _Parts.read(kubeconfig)
        self.server = parts.server
        self.may_be_renewed = any(parts.user.get(key) for key in _CHANGING)
        self._current = _logged_in(parts)

    def current(self) -> LoggedIn:
        """What requests are made with now."""
        return self._current

    def renewed(self, refused: LoggedIn) -> LoggedIn:
        """Log in once more, unless another thread has done so since `refused` was in use."""
        with self._lock:
            if self._current is refused:
                _plugins_answer.cache_clear()
                self._current = _logged_in(_Parts.read(self._kubeconfig))
            return self._current


@dataclass(frozen=True)
class _Parts:
    """A kubeconfig, and those of its parts that its current context names."""

    file: Path
    document: dict[str, Any]
    name: str
    server: str
    cluster: dict[str, Any]
    user: dict[str, Any]

    @classmethod
    def read(cls, file: Path) -> _Parts:
        import yaml

        try:
            text = file.read_text(encoding="utf-8")
            document = json.loads(text) if text.startswith("{") else yaml.safe_load(text)
            (context,) = (
                each["context"]
                for each in document["contexts"]
                if each["name"] == document["current-context"]
            )
            (cluster,) = (
                each["cluster"] for each in document["clusters"] if each["name"] == context["cluster"]
            )
            (user,) = (each["user"] for each in document["users"] if each["name"] == context["user"])
            name, server = str(document["current-context"]), str(cluster["server"]).rstrip("/")
            return cls(file, document, name, server, dict(cluster), dict(user))
        except (OSError, ValueError, KeyError, IndexError, TypeError, yaml.YAMLError) as error:
            raise _unusable(file, error) from error

    def save(self) -> None:
        """Keep what an identity provider gave in place of what it does not take again."""
        partial = self.file.with_suffix(f".{threading.get_ident()}")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(self.document), encoding="utf-8")
        partial.replace(self.file)

    def failed(self, why: str, *, hint: str = "") -> HarnessError:
        return HarnessError(
            CauseCode.LOGIN_FAILED,
            f"nobody can be logged in to {self.server}: {why}",
            hint=hint or f"kubectl --context {shlex.quote(self.name)} auth whoami",
        )


def _logged_in(parts: _Parts) -> LoggedIn:
    import urllib3
    from kubernetes.client.api_client import ApiClient
    from kubernetes.client.configuration import Configuration
    from kubernetes.config import ConfigException
    from kubernetes.config.kube_config import KubeConfigLoader
    from oauthlib.oauth2 import OAuth2Error

    plugin = parts.user.get("exec")
    user = _with_token(parts, _by_plugin(parts) if plugin else parts.user)
    provider = (user.get("auth-provider") or {}).get("config")
    if provider is not None and not any(key.startswith("idp-certificate-authority") for key in provider):
        # Without one the client would ask the identity provider without a look at its certificate.
        bundle = ca_bundle.find()
        provider = {**provider, "idp-certificate-authority": str(bundle.path) if bundle else ""}
        user = {**user, "auth-provider": {**user["auth-provider"], "config": provider}}
    configuration = Configuration()
    configuration.host = parts.server
    if _is_here(parts.server):
        configuration.proxy = None  # a proxy for the internet must not get what is meant for this machine
    configuration.retries = False
    configuration.connection_pool_maxsize = CONNECTIONS
    try:
        document = {
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", "cluster": _with_files(parts.file, parts.cluster)}],
            "users": [{"name": "it", "user": _with_files(parts.file, user)}],
        }
        KubeConfigLoader(
            document,
            config_base_path=str(parts.file.parent),
            config_persister=lambda: _keep_tokens(parts, provider or {}),
        ).load_and_set(configuration)
    except (ConfigException, OAuth2Error, urllib3.exceptions.HTTPError) as error:
        raise parts.failed(str(error)) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        if provider is not None:
            raise parts.failed(str(error)) from error
        raise _unusable(parts.file, error) from error
    try:
        connections = ApiClient(configuration).rest_client.pool_manager
    except (ImportError, ValueError) as error:
        host = shlex.quote(urlsplit(parts.server).hostname or "")
        raise parts.failed(
            f"the proxy settings can't be used: {error}", hint=f'export NO_PROXY="$NO_PROXY,"{host}'
        ) from error
    except (OSError, urllib3.exceptions.HTTPError) as error:
        raise _unusable(parts.file, error) from error
    found = LoggedIn(connections, configuration)
    if provider is not None and not found.headers():
        raise parts.failed("its identity provider gave no token")
    return found


def _with_token(parts: _Parts, user: dict[str, Any]) -> dict[str, Any]:
    """The user with the token as it is now: what is in a file may have been replaced since, and ends with a line."""
    file = user.get("tokenFile")
    try:
        token = Path(str(file)).read_text(encoding="utf-8") if file else str(user.get("token") or "")
    except (OSError, ValueError) as error:
        raise parts.failed(
            f"its token file can't be read: {error}", hint=f"ls -l {shlex.quote(str(file))}"
        ) from error
    token = token.strip()
    if not token:
        return user
    if not (token.isascii() and token.isprintable()) or " " in token:  # no word of it: it is a secret
        raise parts.failed("its token has characters that no token has")
    return {**user, "token": token}


def _by_plugin(parts: _Parts) -> dict[str, Any]:
    """The user with what the plugin gave: a token, a certificate, or both."""
    wanted = json.dumps(parts.user["exec"]), json.dumps(parts.cluster)
    answer = _plugins_answer(parts.file, *wanted)
    if _has_expired(answer):
        _plugins_answer.cache_clear()
        answer = _plugins_answer(parts.file, *wanted)
    user: dict[str, Any] = {}
    if answer.get("token"):
        user["token"] = answer["token"]
    if answer.get("clientCertificateData") and answer.get("clientKeyData"):
        for key, given in zip(_CERTIFICATES, ("clientCertificateData", "clientKeyData"), strict=True):
            user[f"{key}-data"] = base64.b64encode(str(answer[given]).encode()).decode()
    if not user:
        raise parts.failed(f"its plugin {_program(parts)} gave neither a token nor a certificate")
    return user


@functools.lru_cache(maxsize=4)
def _plugins_answer(file: Path, plugin: str, cluster: str) -> Mapping[str, Any]:
    """What a plugin says: asked once by a command, for it may ask the user.

    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
    """
    from kubernetes.config import ConfigException
    from kubernetes.config.exec_provider import ExecProvider
    from kubernetes.config.kube_config import ConfigNode

    parts, settings = _Parts.read(file), json.loads(plugin)
    try:
        provider = ExecProvider(
            ConfigNode("exec", settings), None, ConfigNode("cluster", json.loads(cluster))
        )
        answer = provider.run()
        return {str(key): value for key, value in answer.items()}
    except OSError as error:
        hint = " ".join(str(settings.get("installHint") or "").split())
        raise parts.failed(
            f"its plugin {_program(parts)} can't be run: {error.strerror}", hint=hint
        ) from error
    except (ConfigException, AttributeError, KeyError, TypeError) as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise parts.failed(
            f"its plugin {_program(parts)} failed: {said[-1] if said else 'it does not say why'}"
        ) from error


def _program(parts: _Parts) -> str:
    return Path(str(parts.user["exec"].get("command") or "?")).name


def _has_expired(answer: Mapping[str, Any]) -> bool:
    try:
        return datetime.fromisoformat(str(answer["expirationTimestamp"])) <= datetime.now(UTC)
    except (KeyError, ValueError, TypeError):  # it does not say
        return False


def _keep_tokens(parts: _Parts, config: Mapping[str, Any]) -> None:
    kept = parts.user["auth-provider"]["config"]
    kept.update({key: config[key] for key in ("id-token", "refresh-token") if key in config})
    parts.save()


def _with_files(kubeconfig: Path, part: Mapping[str, Any]) -> dict[str, Any]:
    """The part with files beside the kubeconfig for what is in it: OpenSSL takes key pairs from files alone.

    The client would put them into the folder for temporary files, and leave them there when it is killed.
    """
    made = dict(part)
    suffixes = {"certificate-authority": "ca", "client-certificate": "crt", "client-key": "key"}
    for key, suffix in suffixes.items():
        content = made.pop(f"{key}-data", None)
        if content:
            made[key] = str(_private_file(kubeconfig, suffix, base64.b64decode(content, validate=True)))
    return made


def _private_file(kubeconfig: Path, suffix: str, content: bytes) -> Path:
    path = kubeconfig.with_suffix(f".{suffix}")
    if not path.exists() or path.read_bytes() != content:
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_bytes(content)
    return path.absolute()


def _is_here(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _unusable(kubeconfig: Path, error: Exception) -> HarnessError:
    return HarnessError(
        CauseCode.CLUSTER_MISSING, f"{kubeconfig} is no usable kubeconfig: {error}", hint="harness up"
    )
