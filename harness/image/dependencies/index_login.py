"""The user's own login for a private index, for files that are fetched without uv: uv's variables, netrc, keyring."""

from __future__ import annotations

import base64
import netrc
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness.host import process

_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")


def headers(url: str) -> dict[str, str]:
    """The header that logs in where `url` lies; empty where the user has no login for it."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    for name, password in (*_of_variables(host), *_of_netrc(host), *_of_keyring(host)):
        token = base64.b64encode(f"{name}:{password}".encode()).decode()
        return {"Authorization": f"Basic {token}"}
    return {}


def _of_variables(host: str) -> Iterator[tuple[str, str]]:
    """Logins in the addresses of indexes, and beside the names that uv gives them."""
    for variable in _INDEXES:
        for word in os.environ.get(variable, "").split():
            name, _, address = word.partition("=") if re.match(r"[\w-]+=", word) else ("", "", word)
            parts = urlsplit(address)
            if parts.netloc.rpartition("@")[2] != host:
                continue
            if parts.username:
                yield unquote(parts.username), unquote(parts.password or "")
            prefix = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
            if name and (user := os.environ.get(f"{prefix}_USERNAME")) is not None:
                yield user, os.environ.get(f"{prefix}_PASSWORD", "")


def _of_netrc(host: str) -> Iterator[tuple[str, str]]:
    file = Path(os.environ.get("NETRC", "~/.netrc"))
    with suppress(OSError, netrc.NetrcParseError, RuntimeError):
        found = netrc.netrc(str(file.expanduser())).authenticators(host.partition(":")[0])
        if found is not None and found[2] is not None:
            yield found[0], found[2]


def _of_keyring(host: str) -> Iterator[tuple[str, str]]:
    """As uv asks it, where the user told uv to."""
    if os.environ.get("UV_KEYRING_PROVIDER") != "subprocess" or shutil.which("keyring") is None:
        return
    asked = process.run(
        ["keyring", "--mode", "creds", "--output", "plain", "get", host], check=False, timeout_s=30
    )
    lines = asked.stdout.splitlines()
    if asked.returncode == 0 and len(lines) == 2:
        yield lines[0], lines[1]
