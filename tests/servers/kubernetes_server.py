"""An API server of a cluster on this machine, as far as logins go: HTTPS, tokens, and a list that can be watched."""

from __future__ import annotations

import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NODES = "/api/v1/nodes"


@dataclass
class Server:
    """Whoever brings one of `tokens`, or a client certificate, is answered; `watches` are played back in order.

    A watch that is None is cut in the middle of a line, without a word.
    """

    url: str
    authority: Path
    certificate: Path
    key: Path
    tokens: set[str] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    watches: list[list[dict[str, Any]] | None] = field(default_factory=list)
    watched_since: list[str] = field(default_factory=list)


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server with an authority, and a client certificate, of its own in `folder`."""
    authority, certificate, key = (folder / name for name in ("ca.pem", "crt.pem", "key.pem"))
    _write_certificate(authority, certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_OPTIONAL

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            login = self.headers.get("Authorization", "")
            has_certificate = bool(self.connection.getpeercert())
            server.seen.append("certificate" if has_certificate else login)
            if not has_certificate and login.removeprefix("Bearer ") not in server.tokens:
                self._answer(401, {"kind": "Status", "message": "Unauthorized"})
                return
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            if parts.path != NODES:
                self._answer(404, {"kind": "Status", "message": "not found"})
            elif "watch" in query:
                server.watched_since.append(query["resourceVersion"][0])
                self._watch(float(query["timeoutSeconds"][0]))
            else:
                items = [{"metadata": {"name": each, "uid": each}} for each in server.names]
                self._answer(200, {"metadata": {"resourceVersion": "10"}, "items": items})

        def _watch(self, timeout_s: float) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            events = server.watches.pop(0) if server.watches else []
            for event in events or []:
                self._chunk(json.dumps(event).encode() + b"\n")
            if events is None:
                self._chunk(b'{"type": "ADD')
                self.close_connection = True
                return
            if not events:
                over.wait(timeout_s)
            self._chunk(b"")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

        def _answer(self, status: int, document: object) -> None:
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    over = threading.Event()
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    server = Server(f"https://127.0.0.1:{listener.server_port}", authority, certificate, key)
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        over.set()
        listener.shutdown()
        listener.server_close()
        thread.join()


def _write_certificate(authority: Path, certificate: Path, key: Path) -> None:
    """One certificate that signs itself, for the server and its clients."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(private, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    authority.write_bytes(pem)
    certificate.write_bytes(pem)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
