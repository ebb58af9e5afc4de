"""Debian's `docker-registry` on this machine, with TLS by an authority of its own, a password, and a log."""

from __future__ import annotations

import base64
import ipaddress
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.host import cache, process

USER, PASSWORD = "pusher", "planted-registry-password"
# By `htpasswd -nbB`: there is no bcrypt in the standard library any more.
_HTPASSWD = f"{USER}:$2b$05$KET/B.h9oDAoUIRVfzrOEOusmHalJsKNVfjea1Z17KbYaLxkPSIqq\n"


@dataclass
class DockerRegistry:
    """A registry that can be stopped and started again; its images stay. `log`: all that it was asked."""

    folder: Path
    host: str
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def authority(self) -> Path:
        """The certificate that its own was signed with."""
        return self.folder / "ca.pem"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def requests(self, method: str) -> list[str]:
        """The paths that were asked for by a method, in order."""
        marked = (line.partition(f'"{method} ')[2] for line in self.log.splitlines() if '" ' in line)
        return [rest.split()[0] for rest in marked if rest]

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        argv = [program(), "serve", str(self.folder / "config.json")]
        self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        address, _, port = self.host.rpartition(":")
        until = time.monotonic() + 20
        while True:
            with closing(socket.socket()) as probe:
                if probe.connect_ex((address, int(port))) == 0:
                    return
            assert time.monotonic() < until and self._process.poll() is None, self.log[-2000:]
            time.sleep(0.1)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def collect(self) -> None:
        """Free what no manifest of its needs any more."""
        self.stop()
        process.run([program(), "garbage-collect", self.folder / "config.json"], timeout_s=60)
        self.start()

    def log_in(self, folder: Path) -> Path:
        """A configuration of Docker's in `folder`, as `docker login` writes it; returns the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {self.host: {"auth": pair}}}))
        return folder


def program() -> Path:
    """`docker-registry` from PATH, else from its Debian package, which is only unpacked."""
    found = shutil.which("docker-registry")
    if found:
        return Path(found)
    if shutil.which("apt-get") is None:
        pytest.fail("docker-registry is missing: https://distribution.github.io/distribution", pytrace=False)

    def unpack(folder: Path) -> None:
        process.run(["apt-get", "download", "--quiet", "docker-registry"], cwd=folder, timeout_s=120)
        (package,) = folder.glob("*.deb")
        process.run(["dpkg-deb", "--extract", package, folder])

    return cache.obtain("docker-registry", "debian", unpack) / "usr/bin/docker-registry"


@contextmanager
def serving(
    folder: Path, address: str = "127.0.0.1", auth: dict[str, Any] | None = None
) -> Iterator[DockerRegistry]:
    """The registry at a free port of an address of this machine. `auth`: how it knows who asks, else by a password."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(socket.socket()) as probe:
        probe.bind((address, 0))
        host = f"{address}:{probe.getsockname()[1]}"
    _certificates(folder, address)
    (folder / "htpasswd").write_text(_HTPASSWD)
    settings = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {
            "addr": host,
            "secret": "the-same-after-a-restart",
            "tls": {"certificate": str(folder / "crt.pem"), "key": str(folder / "key.pem")},
        },
        "auth": auth or {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}},
    }
    (folder / "config.json").write_text(json.dumps(settings))
    registry = DockerRegistry(folder, host)
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()


def _certificates(folder: Path, address: str) -> None:
    """An authority, and a certificate for `address` that it signed."""
    now = datetime.now(UTC)

    def builder(name: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        subject, by = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, issuer))
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(by)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )

    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    signs = x509.BasicConstraints(ca=True, path_length=None)
    root = builder("tests", "tests", authority).add_extension(signs, critical=True)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    leaf = builder("registry", "tests", server).add_extension(names, critical=False)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(root.sign(authority, hashes.SHA256()).public_bytes(pem))
    (folder / "crt.pem").write_bytes(leaf.sign(authority, hashes.SHA256()).public_bytes(pem))
    (folder / "key.pem").write_bytes(
        server.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
