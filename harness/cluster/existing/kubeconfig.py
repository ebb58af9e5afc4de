"""One context of the user's kubeconfig, with all that it refers to: read only, and never by default.

Format and rules: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import base64
import difflib
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import CauseCode, HarnessError

VARIABLE = "KUBECONFIG"
LIST = "kubectl config get-contexts"
# What would lead elsewhere than to the server that was allowed, or not be known as it.
_UNSUPPORTED = ("insecure-skip-tls-verify", "proxy-url", "tls-server-name")


@dataclass(frozen=True)
class _Entry:
    """A named part of a file, and the folder that relative paths in it start from."""

    content: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True)
class Context:
    """A context as the files have it. `server`: the API server's address."""

    name: str
    server: str
    _cluster: _Entry
    _user: _Entry

    def document(self) -> dict[str, Any]:
        """A kubeconfig of this context alone, certificates and token in it, or how they are asked for.

        Raises HarnessError(USAGE) for a login that we can't use, or whose files can't be read.
        """
        cluster, user = self._cluster.content, self._user.content
        for key in _UNSUPPORTED:
            if cluster.get(key):
                raise self._refused(f"its cluster has {key}, which harness does not support", LIST)
        made: dict[str, Any] = {"server": self.server}
        authority = self._data(self._cluster, "certificate-authority")
        if authority:
            made["certificate-authority-data"] = authority
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.name, "cluster": made}],
            "users": [{"name": self.name, "user": self._login(user)}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": self.name}}],
            "current-context": self.name,
        }

    def _login(self, user: Mapping[str, Any]) -> dict[str, Any]:
        if user.get("as"):
            raise self._refused("its user acts as another, which harness does not support", LIST)
        certificate = self._data(self._user, "client-certificate")
        key = self._data(self._user, "client-key")
        if certificate and key:
            return {"client-certificate-data": certificate, "client-key-data": key}
        if user.get("tokenFile"):  # of the two kubectl takes the file
            file = self._user.folder / str(user["tokenFile"])
            return {
                "token": self._file(file).decode(errors="replace").strip(),
                "tokenFile": str(file.absolute()),
            }
        if user.get("token"):
            return {"token": str(user["token"])}
        if isinstance(user.get("exec"), dict):
            return {"exec": self._plugin(user["exec"])}
        provider = user.get("auth-provider")
        if isinstance(provider, dict) and provider.get("name") == "oidc":
            return {"auth-provider": self._provider(provider)}
        how = next((key for key in ("auth-provider", "username") if user.get(key)), "nothing that we know")
        raise self._refused(
            f"its user logs in by {how}, not by a certificate, a token, a plugin or OIDC",
            f"kubectl --context {shlex.quote(self.name)} create token SERVICEACCOUNT; "
            "kubectl config set-credentials --help",
        )

    def _plugin(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """How a program is asked for the login: one that is named by a path lies relative to the kubeconfig."""
        command = str(settings.get("command") or "")
        if not command:
            raise self._refused("its plugin has no command", LIST)
        return {**settings, "command": str(self._user.folder / command) if "/" in command else command}

    def _provider(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        config = dict(settings["config"]) if isinstance(settings.get("config"), dict) else {}
        authority = config.pop("idp-certificate-authority", None)
        if authority:
            content = self._file(self._user.folder / str(authority))
            config["idp-certificate-authority-data"] = base64.b64encode(content).decode()
        return {**settings, "config": config}

    def _data(self, entry: _Entry, key: str) -> str:
        """What is in `KEY-data`, else in the file `KEY`, in Base64."""
        inline, file = entry.content.get(f"{key}-data"), entry.content.get(key)
        if inline or not file:
            return str(inline or "")
        return base64.b64encode(self._file(entry.folder / str(file))).decode()

    def _file(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise self._refused(
                f"{path} can't be read: {error.strerror}", f"ls -l {shlex.quote(str(path))}"
            ) from error

    def _refused(self, why: str, hint: str) -> HarnessError:
        return HarnessError(CauseCode.USAGE, f"context {self.name!r} can't be used: {why}", hint=hint)


def find(name: str) -> Context:
    """The context of that name. Raises HarnessError(USAGE) with near names, or for files that can't be read."""
    files = [_loaded(path) for path in _paths()]
    contexts = _named(files, "contexts", "context")
    if name not in contexts:
        near = difflib.get_close_matches(name, contexts, n=3)
        raise HarnessError(
            CauseCode.USAGE,
            f"there is no context {name!r} in {os.pathsep.join(str(path) for path in _paths())}",
            evidence=[f"did you mean {each}?" for each in near],
            hint=LIST,
        )
    wanted = contexts[name].content
    cluster = _named(files, "clusters", "cluster").get(str(wanted.get("cluster")))
    user = _named(files, "users", "user").get(str(wanted.get("user")))
    server = str(cluster.content.get("server") or "") if cluster else ""
    if cluster is None or user is None or not server.startswith("https://"):
        lacks = "no user" if cluster and user is None else "no cluster with an https:// server"
        raise HarnessError(CauseCode.USAGE, f"context {name!r} can't be used: it has {lacks}", hint=LIST)
    return Context(name, server.rstrip("/"), cluster, user)


def _paths() -> list[Path]:
    listed = [Path(each) for each in os.environ.get(VARIABLE, "").split(os.pathsep) if each]
    return listed or [Path.home() / ".kube" / "config"]


def _loaded(path: Path) -> _Entry:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        document = None
    except (OSError, ValueError, RecursionError, TypeError, AttributeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise HarnessError(
            CauseCode.USAGE,
            f"the kubeconfig {path} can't be read: {reason}",
            hint=f"less {shlex.quote(str(path))}",
        ) from error
    return _Entry(document if isinstance(document, dict) else {}, path.parent.absolute())


def _named(files: list[_Entry], key: str, part: str) -> dict[str, _Entry]:
    """The named parts of all files: of two with the same name the first counts."""

    def each() -> Iterator[tuple[str, _Entry]]:
        for file in reversed(files):
            listed = file.content.get(key)
            for item in reversed(listed if isinstance(listed, list) else []):
                if isinstance(item, dict) and isinstance(item.get(part), dict):
                    yield str(item.get("name")), _Entry(item[part], file.folder)

    return dict(each())
