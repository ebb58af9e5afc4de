"""What it means that something could not be had from the network, and what helps."""

from __future__ import annotations

import os
import platform
import re
import shlex
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.errors import CauseCode, HarnessError

if TYPE_CHECKING:
    import httpx2

PROXY_VARIABLES = ("ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")


def hint(*more: str) -> str:
    """What helps where a release can't be had: packages can be built from on Linux alone."""
    packages = ["harness up --sources packages"] if platform.system() == "Linux" else []
    return "; ".join(
        [*packages, *(more or ("a mirror is named by HARNESS_MIRRORS, a proxy by HTTPS_PROXY",))]
    )


def status(answer: httpx2.Response, url: str) -> HarnessError:
    """An answer that is no good one."""
    return HarnessError(
        CauseCode.SOURCE_UNREACHABLE, f"{url} answered with status {answer.status_code}", hint=hint()
    )


def is_certificate(error: Exception) -> bool:
    """Whether a connection was not made because of who answered."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def unreachable(url: str, error: Exception) -> HarnessError:
    """What a broken connection means."""
    host = urlsplit(url).netloc
    if is_certificate(error):
        return HarnessError(
            CauseCode.SOURCE_UNREACHABLE,
            f"the certificate of {host} is not known here: something on the way, a company's proxy for instance, "
            "may have signed it anew",
            hint=_certificate_hint(),
            evidence=[str(error)],
        )
    reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
    return HarnessError(CauseCode.SOURCE_UNREACHABLE, f"{host} can't be reached: {reason}", hint=hint())


def unusable_proxy(error: Exception) -> HarnessError:
    """Proxy variables that no connection can be made by."""
    named = [name for name in PROXY_VARIABLES if os.environ.get(name)]
    reason = str(error).removeprefix("Unknown scheme for proxy URL ")
    reason = f"no proxy is known by {reason}" if reason != str(error) else reason
    for name in named:
        scheme, found, address = os.environ[name].partition("://")
        if found and scheme.lower() == "socks":  # as GNOME's settings write it
            wanted = shlex.quote(f"socks5://{address.rstrip('/')}")
            return HarnessError(
                CauseCode.SOURCE_UNREACHABLE,
                f"the proxy settings can't be used: {name} says socks://, which does not tell the version",
                hint=f"export {name}={wanted}",
            )
    return HarnessError(
        CauseCode.SOURCE_UNREACHABLE,
        f"the proxy settings can't be used ({', '.join(named) or 'no variable is set'}): {reason}",
        hint=f"unset {' '.join(named)}" if named else hint(),
    )


def _certificate_hint() -> str:
    if platform.system() == "Darwin":
        return (
            "security find-certificate -a -p /Library/Keychains/System.keychain "
            "/System/Library/Keychains/SystemRootCertificates.keychain >~/certificates.pem && "
            "export SSL_CERT_FILE=~/certificates.pem"
        )
    return (
        "export SSL_CERT_FILE=FILE, a PEM file with your company's certificate and the usual ones; or, on Debian: "
        "sudo cp company.crt /usr/local/share/ca-certificates/ && sudo update-ca-certificates"
    )
