"""Where a host's files and images come from instead: a mirror inside a company, or a local server."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.errors import CauseCode, HarnessError
from harness.host.docker import client as docker_client

VARIABLE = "HARNESS_MIRRORS"
# Names by which images are known, and where their registry answers.
_REGISTRY_HOSTS = {"docker.io": "registry-1.docker.io"}


@dataclass(frozen=True)
class Mirrors:
    """`by_host["github.com"]` is the URL that stands for `https://github.com`."""

    by_host: dict[str, str]

    def url(self, url: str) -> str:
        """The URL itself, or the same file at its host's mirror."""
        parts = urlsplit(url)
        mirror = self.by_host.get(parts.netloc)
        return url if mirror is None else f"{mirror}{parts.path}"

    def registry(self, name: str) -> tuple[str, ...]:
        """Where to ask for a registry's images, in order: URLs without `/v2`, a path in one before every image's name.

        A mirror that is set is asked alone; one that Docker has for Docker Hub before Docker Hub itself.
        """
        if name in self.by_host:
            return (self.by_host[name],)
        dockers = docker_client.hub_mirrors() if name == "docker.io" else ()
        return (*dockers, f"https://{_REGISTRY_HOSTS.get(name, name)}")


def load() -> Mirrors:
    """The mirrors that HARNESS_MIRRORS lists as `HOST=URL`, with spaces or commas between them.

    Raises HarnessError(USAGE) for what is no such pair.
    """
    by_host = {}
    for pair in re.split(r"[\s,]+", os.environ.get(VARIABLE, "").strip()):
        if not pair:
            continue
        host, _, url = pair.partition("=")
        parts = urlsplit(url)
        if not re.fullmatch(r"[a-z0-9.-]+(:[0-9]+)?", host) or parts.scheme not in {"http", "https"}:
            raise HarnessError(
                CauseCode.USAGE,
                f"{VARIABLE}: {pair!r} is no mirror",
                hint=f"export {VARIABLE}='github.com=https://mirror.example/github docker.io=https://mirror.example'",
            )
        by_host[host] = url.rstrip("/")
    return Mirrors(by_host)
