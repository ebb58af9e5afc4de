"""Where a registry is, and what an image is called there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.image.oci import Image

_HOST = (
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?|\[[0-9a-fA-F:]+\](?::[0-9]{1,5})?)"
)
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_URL = re.compile(rf"(?:https?://)?{_HOST}(?P<path>(?:/{_PART})*)/?")
_DOCKER_HUB = ("docker.io", "index.docker.io")
_API_OF_DOCKER_HUB = "registry-1.docker.io"
OWN = "harness"  # the path of ours in a registry beside a kind cluster
BASE = "base"  # the repository that bases lie in, to be mounted from


@dataclass(frozen=True)
class Registry:
    """A registry by its host, and the path below which harness makes its repositories.

    `ca`: a PEM file with the authority of its certificate, where this machine does not know it; `insecure`: it is
    spoken to without TLS; `container`: of this machine's Docker, for one beside a kind cluster.
    """

    host: str
    path: str = ""
    ca: Path | None = None
    insecure: bool = False
    container: str = ""

    @classmethod
    def parse(cls, url: str, *, ca: Path | None = None, insecure: bool = False) -> Registry:
        """From such as `registry.example.com/ml`. Raises ValueError for what is none."""
        parts = _URL.fullmatch(url.strip())
        if parts is None or (url.strip().startswith("http://") and not insecure):
            such = "such as registry.example.com/ml"
            raise ValueError(
                f"{url!r} is no registry, {such}" if parts is None else f"{url!r} needs `insecure = true`"
            )
        return cls(parts["host"], parts["path"].strip("/"), ca, insecure)

    @property
    def root(self) -> str:
        """The address that its API's paths begin at."""
        host = _API_OF_DOCKER_HUB if self.host in _DOCKER_HUB else self.host
        return f"{'http' if self.insecure else 'https'}://{host}/v2/"

    @property
    def hint(self) -> str:
        """What to look at when it does not answer, or not as it should."""
        if self.container:
            return f"harness up; docker logs --tail 20 {self.container}"
        return f"curl --head {self.root}; [registry] in contexts.toml names it"

    def repository(self, name: str) -> str:
        """The repository of an image by its name elsewhere, whose domain the registry's takes the place of.

        All are on one level below the path: some registries know no deeper ones.
        """
        own = name.partition("/")[2].replace("/", "-")
        return f"{self.path}/{own}" if self.path else own

    @property
    def base(self) -> str:
        """The repository that bases lie in."""
        return self.repository(f"/{BASE}")

    def reference(self, image: Image) -> str:
        """What pods call an image by: its digest, for a tag may be moved."""
        return f"{self.host}/{self.repository(image.name)}@{image.digest}"


@dataclass(frozen=True)
class LocalRegistry:
    """A registry beside a kind cluster, in a container of this machine's Docker, at a port of 127.0.0.1.

    `status` is Docker's word for how the container is.
    """

    container: str
    status: str
    port: int

    @property
    def host(self) -> str:
        """What images in it are called by, on this machine and on the cluster's nodes."""
        return f"localhost:{self.port}"

    @property
    def is_running(self) -> bool:
        return self.status == "running"

    @property
    def address(self) -> Registry:
        """Where harness pushes to: a path of its own, beside which others put what they like."""
        return Registry(self.host, OWN, insecure=True, container=self.container)
