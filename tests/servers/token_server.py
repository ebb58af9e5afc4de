"""What gives tokens for a registry, as those of the clouds have it: signed by a certificate that the registry knows.

By https://distribution.github.io/distribution/spec/auth/jwt/
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

ISSUER, SERVICE = "tests", "registry-of-tests"
IDENTITY = "planted-identity-token"


@dataclass
class TokenServer:
    """`asked`: scopes that somebody with `login` asked for. Others are refused. Tokens are good for `lives_s`."""

    url: str
    certificate: Path
    login: str
    lives_s: float = 300.0
    asked: list[tuple[str, ...]] = field(default_factory=list)


@contextmanager
def serving(folder: Path, username: str, password: str) -> Iterator[TokenServer]:
    """A server for one user, at a port of this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = _certificate(key)
    path = folder / "tokens.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            self._give(self.headers.get("Authorization") == server.login, query.get("scope", []), "token")

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            known = form.get("refresh_token") == [IDENTITY] and form["grant_type"] == ["refresh_token"]
            self._give(known, form["scope"][0].split(), "access_token")

        def _give(self, is_known: bool, scopes: list[str], name: str) -> None:
            document: dict[str, object] = {"errors": [{"code": "UNAUTHORIZED", "message": "wrong login"}]}
            if is_known:
                server.asked.append(tuple(scopes))
                document = {name: _token(key, certificate, scopes, server.lives_s)}
            data = json.dumps(document).encode()
            self.send_response(200 if is_known else 401)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = TokenServer(f"http://127.0.0.1:{listener.server_port}/token", path, f"Basic {pair}")
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _token(key: rsa.RSAPrivateKey, certificate: x509.Certificate, scopes: list[str], lives_s: float) -> str:
    der = certificate.public_bytes(serialization.Encoding.DER)
    header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
    now = int(time.time())
    access = []
    for scope in scopes:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        access.append({"type": kind, "name": name, "actions": actions.split(",")})
    claims = {
        "iss": ISSUER, "sub": "pusher", "aud": SERVICE, "exp": int(now + lives_s), "nbf": now - 10, "iat": now,
        "jti": str(now), "access": access,
    }  # fmt: skip
    signed = ".".join(_plain(json.dumps(each).encode()) for each in (header, claims))
    return f"{signed}.{_plain(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _plain(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
