"""The certificate authorities that this machine trusts: also those of a corporate proxy, if it has one."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import CauseCode, HarnessError

VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, Alpine
)


@dataclass(frozen=True)
class CaBundle:
    """A PEM file and who names it: an environment variable or the system."""

    path: Path
    origin: str

    def certificates(self) -> int:
        """How many certificates it holds; 0 when it can't be read."""
        try:
            return self.path.read_bytes().count(b"-----BEGIN CERTIFICATE-----")
        except OSError:
            return 0

    def content(self) -> bytes:
        """All that is in it. Raises HarnessError(USAGE) when it can't be read."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            variable = self.origin if self.origin in VARIABLES else VARIABLES[0]
            raise HarnessError(
                CauseCode.USAGE,
                f"the certificates in {self.path} (from {self.origin}) can't be read: {error.strerror}",
                hint=f"export {variable}=FILE, a PEM file",
            ) from error


def find(environment: Mapping[str, str] | None = None) -> CaBundle | None:
    """The bundle in force: the first variable set (even if its file is bad), else the system's own."""
    values = os.environ if environment is None else environment
    for variable in VARIABLES:
        if value := values.get(variable):
            return CaBundle(Path(value), variable)
    paths = [*SYSTEM_BUNDLES, ssl.get_default_verify_paths().cafile or ""]
    return next((CaBundle(Path(path), "the system") for path in paths if path and Path(path).is_file()), None)
