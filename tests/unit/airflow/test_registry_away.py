"""A registry that does not answer for a moment is no image that can't be had."""

from __future__ import annotations

import pytest

from harness.airflow.pods.pods import registry_is_away

PULLING = 'Back-off pulling image "r/x@sha256:1": ErrImagePull: failed to pull and unpack image "r/x": '


@pytest.mark.parametrize(
    "said",
    [
        'failed to do request: Head "https://r/v2/x": dial tcp 10.0.0.1:443: connect: connection refused',
        "dial tcp 10.0.0.1:443: i/o timeout",
        "net/http: TLS handshake timeout",
        'Head "https://r/v2/x": EOF',
        "unexpected status from HEAD request to https://r/v2/x: 503 Service Unavailable",
    ],
)
def test_away(said: str) -> None:
    assert registry_is_away(PULLING + said)


@pytest.mark.parametrize(
    "said",
    [
        "r/x:1: not found",
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "unexpected status from HEAD request to https://r/v2/x: 401 Unauthorized",
        "pull access denied, repository does not exist or may require authorization",
    ],
)
def test_what_does_not_pass(said: str) -> None:
    assert not registry_is_away(PULLING + said)
