"""A release host and an image registry on this machine, that serve what a test publishes and pins."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from harness.host.machine import architecture

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
_CHUNK_BYTES = 1 << 20
_LITTLE_BYTES = 64


@dataclass
class Server:
    """What is published, by path; a request for anything else is answered with 404.

    With `token`, everything below /v2/ wants it, and it is given to whoever asks, as public registries do, or with
    `identity` to who hands over that. With `cut` each connection ends after this part of what was asked for, unless
    that is little; after each of `busy`'s paths was cut it is answered with 429 once; what lies below `uncut` is never
    cut. `begun` counts by path how often the whole was asked for.
    """

    url: str = ""
    contents: dict[str, bytes | Path] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    token: str = ""
    identity: str = ""
    cut: float = 0.0
    uncut: str = "\0"
    busy: set[str] = field(default_factory=set)
    knows_ranges: bool = True
    begun: Counter[str] = field(default_factory=Counter)

    @property
    def host(self) -> str:
        """Address and port."""
        return self.url.removeprefix("http://")

    def publish(self, path: str, content: bytes | Path, media_type: str = "application/octet-stream") -> str:
        """Serve `content` at `path`; returns its SHA-256."""
        self.contents[path], self.types[path] = content, media_type
        return sha256(content)

    def flip(self, path: str) -> None:
        """Change one byte of what is served."""
        content = self.contents[path]
        data = bytearray(content.read_bytes() if isinstance(content, Path) else content)
        data[len(data) // 2] ^= 1
        self.contents[path] = bytes(data)

    def push(
        self,
        repository: str,
        layers: Iterable[bytes | Path],
        config: Mapping[str, Any],
        *,
        compressed: bool = True,
    ) -> str:
        """Serve an image below an index that has one more platform; returns the index's digest."""
        described, diff_ids = [], []
        for layer in layers:
            diff_ids.append(f"sha256:{sha256(layer)}")
            if compressed:
                plain = layer.read_bytes() if isinstance(layer, Path) else layer
                described.append(self._blob(repository, gzip.compress(plain, 1, mtime=0), f"{LAYER}+gzip"))
            else:
                described.append(self._blob(repository, layer, LAYER))
        document = {
            "os": "linux",
            "architecture": architecture(),
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._blob(repository, _json(document), "application/vnd.oci.image.config.v1+json"),
            "layers": described,
        }
        mine = self._manifest(repository, manifest, MANIFEST)
        other = {**mine, "digest": f"sha256:{'0' * 64}", "platform": {"os": "linux", "architecture": "s390x"}}
        mine["platform"] = {"os": "linux", "architecture": architecture()}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [other, mine]}
        return str(self._manifest(repository, index, INDEX)["digest"])

    def _manifest(self, repository: str, document: Mapping[str, Any], media_type: str) -> dict[str, Any]:
        content = _json(document)
        digest = f"sha256:{sha256(content)}"
        self.publish(f"/v2/{repository}/manifests/{digest}", content, media_type)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def _blob(self, repository: str, content: bytes | Path, media_type: str) -> dict[str, Any]:
        digest = f"sha256:{sha256(content)}"
        self.publish(f"/v2/{repository}/blobs/{digest}", content)
        return {"mediaType": media_type, "digest": digest, "size": _size(content)}


def sha256(content: bytes | Path) -> str:
    """In hexadecimal digits."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(content: bytes | Path) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)


def tar_of(files: Mapping[str, bytes], *, mode: int = 0o644) -> bytes:
    """A tar of files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@contextmanager
def serving(token: str = "") -> Iterator[Server]:
    """A server on a free port of 127.0.0.1, until the block ends."""
    server = Server(token=token)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            server.requests.append(f"POST {self.path}")
            known = form == {
                "grant_type": ["refresh_token"], "client_id": ["harness"], "service": ["test"],
                "scope": ["repository:pull"], "refresh_token": [server.identity],
            }  # fmt: skip
            self._send(
                200 if known else 401, _json({"access_token": server.token}), "application/json", body=known
            )

        def _answer(self, *, body: bool) -> None:
            path, _, _ = self.path.partition("?")
            server.requests.append(f"{self.command} {path}")
            if server.token and path == "/token" and not server.identity:
                self._send(200, _json({"token": server.token}), "application/json", body=body)
            elif path.startswith("/v2/") and server.token and not self._is_authorized():
                challenge = f'Bearer realm="{server.url}/token",service="test",scope="repository:pull"'
                self._send(401, b"{}", "application/json", body=body, **{"WWW-Authenticate": challenge})
            elif path == "/v2/":
                self._send(200, b"{}", "application/json", body=body)
            elif path in server.contents and "Range" in self.headers and path in server.busy:
                server.busy.discard(path)
                self._send(429, b"{}", "application/json", body=body, **{"Retry-After": "1"})
            elif path in server.contents:
                self._send_content(path, body=body)
            else:
                self._send(404, b"{}", "application/json", body=body)

        def _send_content(self, path: str, *, body: bool) -> None:
            content = server.contents[path]
            is_cut = server.cut and not path.startswith(server.uncut)
            data = content.read_bytes() if is_cut and isinstance(content, Path) else content
            start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if body and not start:
                server.begun[path] += 1
            if not (is_cut and isinstance(data, bytes) and body):
                self._send(200, content, server.types[path], body=body)
                return
            begin = int(start[1]) if start and server.knows_ranges else 0
            wanted = data[begin:]
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(wanted)))
            self.send_header("Content-Type", server.types[path])
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            if len(wanted) > _LITTLE_BYTES:
                wanted = wanted[: int(len(wanted) * server.cut)]
                self.close_connection = True
            self.wfile.write(wanted)

        def _is_authorized(self) -> bool:
            return self.headers.get("Authorization") == f"Bearer {server.token}"

        def _send(
            self, status: int, content: bytes | Path, media_type: str, *, body: bool, **headers: str
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(_size(content)))
            self.send_header("Content-Type", media_type)
            digest = re.search(r"sha256:[0-9a-f]{64}$", self.path)
            if digest:
                self.send_header("Docker-Content-Digest", digest[0])
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if not body:
                return
            if isinstance(content, bytes):
                self.wfile.write(content)
                return
            with content.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    self.wfile.write(chunk)

        def log_message(self, *_: object) -> None: ...

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client may go away whenever it likes."""

    with Quiet(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}"
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server
        finally:
            http.shutdown()


def _json(document: object) -> bytes:
    return json.dumps(document).encode()
