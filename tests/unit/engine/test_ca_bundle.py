"""The certificates of this machine, as pods and builds are given them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.engine.testing.deployment import LARGEST_BUNDLE_BYTES, _readable
from harness.errors import CauseCode, HarnessError
from harness.host.sources.ca_bundle import CaBundle

CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def test_comments_beside_the_certificates_may_be_of_any_encoding(tmp_path: Path) -> None:
    file = tmp_path / "corporate.pem"
    file.write_bytes("# Société Générale\n".encode("latin-1") + CERTIFICATE)
    assert CERTIFICATE.decode() in _readable(CaBundle(file, "SSL_CERT_FILE"))


@pytest.mark.parametrize("name", ["gone.pem", "."])
def test_what_is_no_file_is_told_with_the_variable_that_names_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(HarnessError, match=r"\(from REQUESTS_CA_BUNDLE\) can't be read") as caught:
        _readable(CaBundle(tmp_path / name, "REQUESTS_CA_BUNDLE"))
    assert caught.value.cause is CauseCode.USAGE
    assert caught.value.hint == "export REQUESTS_CA_BUNDLE=FILE, a PEM file"


def test_more_certificates_than_pods_can_be_given_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "all.pem"
    file.write_bytes(CERTIFICATE * (LARGEST_BUNDLE_BYTES // len(CERTIFICATE) + 1))
    with pytest.raises(HarnessError, match="which pods can't be given"):
        _readable(CaBundle(file, "the system"))
