"""What harness wrote, kept while it wrote it: `down` removes logs and bundles, and they are to be searched for secrets.

Copies are looked for in the state folders of clusters; the values that must not be in them are those planted in the
commands' environment, those of the clusters' own Secrets as they are while they last, and whatever looks like a JWT.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import secrets
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from kubernetes import client, config

LOOK_S = 0.25
ASK_S = 2.0
ANSWER_S = 10.0
SHORTEST = 7  # a user's name is a value of a Secret too, and is no secret
GZIP = b"\x1f\x8b"
JWT = re.compile(rb"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")
_CONNECTION = re.compile(r"://[^:/]*:([^@]+)@")


def plant(environ: MutableMapping[str, str]) -> frozenset[str]:
    """Put secrets that nobody else has under the names that secrets go by; returns them."""
    planted = {
        "GITHUB_TOKEN": f"ghp_{secrets.token_hex(18)}",
        "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(30),
        "DATABASE_PASSWORD": f"database-{secrets.token_hex(8)}",
        "MLFLOW_TRACKING_PASSWORD": f"tracking-{secrets.token_hex(8)}",
    }
    environ.update(planted)
    return frozenset(planted.values())


def secret_values(data: Mapping[str, str]) -> Iterator[str]:
    """The values of a Secret's `data`, and what is secret within them: each of a JSON object, a URL's password."""
    for encoded in data.values():
        value = base64.b64decode(encoded).decode(errors="replace")
        inner = _CONNECTION.findall(value)
        if value.startswith("{"):
            inner += [each for each in json.loads(value).values() if isinstance(each, str)]
        yield from (each for each in (value, *inner) if len(each) >= SHORTEST)


@dataclass(frozen=True)
class Findings:
    """What was searched, and where something was that must not be there."""

    bundles: int
    files: int
    size_bytes: int
    planted: int
    values: int
    found: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.bundles} bundles and {self.files} logs and other files, {self.size_bytes / 1e6:.1f} MB, searched "
            f"for {self.planted} planted secrets, {self.values} values of Secrets and JWTs: {len(self.found)} found"
        )


class Kept:
    """Keeps what lies in the state folders of the clusters whose folder matches `pattern`, while a `with` lasts."""

    def __init__(self, clusters: Path, *patterns: str, planted: frozenset[str]) -> None:
        self.planted = planted
        self.values: set[str] = set()
        self._clusters, self._patterns = clusters, patterns
        self._contents: dict[str, list[bytes]] = {}  # of each file, the last of each that was written anew
        self._seen: dict[str, tuple[int, int]] = {}
        self._clients: dict[str, client.CoreV1Api] = {}
        self._broken: list[Exception] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(work, every_s), name=work.__name__, daemon=True)
            for work, every_s in ((self.look, LOOK_S), (self.ask, ASK_S))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=4 * ANSWER_S)
        self.look()

    def add(self, name: str, content: bytes) -> None:
        """Keep what a command printed, or a file as it is now."""
        contents = self._contents.setdefault(name, [b""])
        if content.startswith(contents[-1]):
            contents[-1] = content
        else:
            contents.append(content)

    def look(self) -> None:
        """Copy what is new."""
        for path in self._files():
            with contextlib.suppress(OSError):  # gone just now
                status = path.stat()
                state = (status.st_mtime_ns, status.st_size)
                if self._seen.get(str(path)) != state:
                    self.add(str(path), path.read_bytes())
                    self._seen[str(path)] = state

    def ask(self) -> None:
        """Take note of what the clusters' Secrets hold, and of the key to the cluster itself."""
        for folder in self._folders():
            with contextlib.suppress(Exception):  # the cluster comes or goes: it is asked again
                text = (folder / "kubeconfig").read_text(encoding="utf-8")
                settings = json.loads(text)
                user = settings["users"][0]["user"]
                self.values |= {user[key] for key in ("client-key-data", "token") if user.get(key)}
                for secret in (
                    self._api(text, settings).list_secret_for_all_namespaces(_request_timeout=ANSWER_S).items
                ):
                    if secret.type == "Opaque":
                        self.values |= set(secret_values(secret.data or {}))

    def search(self) -> Findings:
        """Search all that was kept, bundles unpacked. Raises RuntimeError when it wasn't everything."""
        if self._broken:
            raise RuntimeError("not everything was kept") from self._broken[0]
        needles = [
            (kind, each)
            for kind, values in (("planted secret", self.planted), ("value of a Secret", self.values))
            for value in values
            for each in (value.encode(), base64.b64encode(value.encode()))
        ]
        found, size_bytes, bundles, files = [], 0, 0, 0
        for name, contents in self._contents.items():
            is_bundle = name.endswith(".tar.gz")
            bundles, files = bundles + is_bundle, files + (not is_bundle)
            for content in contents:
                text = unpacked(content) if content.startswith(GZIP) else content
                size_bytes += len(text)
                found += [f"{name}: a {kind}, {needle[:4]!r}…" for kind, needle in needles if needle in text]
                found += [f"{name}: a JWT, {match.group()[:12]!r}…" for match in JWT.finditer(text)]
        return Findings(bundles, files, size_bytes, len(self.planted), len(self.values), tuple(found))

    def _api(self, text: str, settings: dict[str, Any]) -> client.CoreV1Api:
        if text not in self._clients:
            self._clients[text] = client.CoreV1Api(config.new_client_from_config_dict(settings))
        return self._clients[text]

    def _folders(self) -> list[Path]:
        return [folder for pattern in self._patterns for folder in self._clusters.glob(pattern)]

    def _files(self) -> Iterator[Path]:
        for folder in self._folders():
            for parent, _, names in os.walk(folder):  # which goes on when a folder is removed meanwhile
                # What logs in to the cluster is its own secret, and lies there for that.
                yield from (Path(parent, name) for name in names if not name.startswith("kubeconfig"))

    def _repeat(self, work: Callable[[], None], every_s: float) -> None:
        try:
            while not self._stop.wait(every_s):
                work()
        except Exception as error:  # told by the search, which is no search of everything then
            self._broken.append(error)
            raise


def unpacked(content: bytes) -> bytes:
    """The bytes of a .tar.gz, in which files lie whole; of one that is not whole what there is."""
    with contextlib.suppress(zlib.error):
        return zlib.decompressobj(wbits=31).decompress(content)
    return content
