"""What `docker login` left for a registry: https://github.com/docker/docker-credential-helpers."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.host import process

# Docker Hub's login lies under the name of its first version.
_DOCKER_HUB = "https://index.docker.io/v1/"
_PAIR = re.compile(r'(\w+)="([^"]*)"')
_TOKEN_USER = "<token>"  # noqa: S105  what helpers call the user of an identity token


@dataclass(frozen=True)
class Login:
    """A user and password; `identity_token` in place of the password, which is exchanged for one of the registry's."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def pair(self) -> str:
        """User and password as headers and configurations have them."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    @property
    def headers(self) -> dict[str, str]:
        """By user and password; none for an identity token, which no registry takes as it is."""
        return {"Authorization": f"Basic {self.pair}"} if self.password else {}

    def entry(self) -> dict[str, str]:
        """As an entry of Docker's configuration."""
        if self.identity_token:
            return {"auth": self.pair, "identitytoken": self.identity_token}
        return {"username": self.username, "password": self.password, "auth": self.pair}


def find(host: str) -> Login | None:
    """The login for a registry's host; None without one. Asks the credential helper, where one is named."""
    folder = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    try:
        document = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    own = name_of(host)
    for name in (own,) if own == _DOCKER_HUB else (own, f"https://{own}"):
        if found := _from_entry(_table(document, "auths", name)):
            return found
        helper = _table(document, "credHelpers").get(name) or _table(document).get("credsStore")
        if helper and (found := _from_helper(helper, name)):
            return found
    return None


def name_of(host: str) -> str:
    """What Docker calls a registry's login."""
    return _DOCKER_HUB if host == "docker.io" or host.endswith(".docker.io") else host


def challenge(header: str) -> dict[str, str]:
    """What a registry's `WWW-Authenticate` asks for, by its names: realm, service, scope."""
    return dict(_PAIR.findall(header))


def exchange(login: Login, asked: Mapping[str, str], scope: str) -> dict[str, str]:
    """The form that turns an identity token into one of the registry's, as its challenge `asked` for.

    https://distribution.github.io/distribution/spec/auth/oauth/
    """
    return {
        "grant_type": "refresh_token",
        "service": asked.get("service", ""),
        "client_id": "harness",
        "scope": scope,
        "refresh_token": login.identity_token,
    }


def _table(value: object, *names: str) -> dict[str, Any]:
    """What stands there, where it is a table: people write this file by hand, too."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _from_entry(entry: dict[str, str]) -> Login | None:
    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        try:
            username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
    if entry.get("identitytoken"):
        return Login(username, "", entry["identitytoken"])
    return Login(username, password) if username or password else None


def _from_helper(helper: str, name: str) -> Login | None:
    try:
        said = process.run([f"docker-credential-{helper}", "get"], input_text=name, check=False, timeout_s=20)
        login = json.loads(said.stdout)
        username, secret = str(login["Username"]), str(login["Secret"])
    except (HarnessError, ValueError, KeyError, TypeError):
        return None
    return Login("", "", secret) if username == _TOKEN_USER else Login(username, secret)
