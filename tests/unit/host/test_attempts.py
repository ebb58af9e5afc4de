"""What is tried again, how long is waited, and what is told in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import CauseCode, HarnessError
from harness.host.sources import attempts, network_errors
from harness.image.base import image_pull as pull

URL = "https://files.example/kind"
Answer = httpx2.Response | Exception
BROKEN = httpx2.ReadError("reset by peer")
NOBODY = httpx2.ConnectError("[Errno 111] Connection refused")
UNKNOWN = httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate in certificate chain")


class Waits:
    """How long was waited, with nobody waiting."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds: list[float] = []
        monkeypatch.setattr(attempts, "pause", self.seconds.append)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return Waits(monkeypatch).seconds


def playing(*answers: Answer) -> httpx2.Client:
    """A client whose server gives these answers, the last one for ever."""
    left = list(answers)

    def answer(_: httpx2.Request) -> httpx2.Response:
        given = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(given, Exception):
            raise given
        return given

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def read(*answers: Answer) -> bytes:
    return b"".join(piece for piece, _ in attempts.pieces(playing(*answers), URL))


def ok() -> httpx2.Response:
    return httpx2.Response(200, stream=httpx2.ByteStream(b"content"))


def test_pauses_grow(waits: list[float]) -> None:
    assert read(BROKEN, httpx2.Response(503), BROKEN, ok()) == b"content"
    assert waits == [1.0, 4.0, 16.0]


def test_after_three_more_attempts_it_is_told(waits: list[float]) -> None:
    with pytest.raises(HarnessError, match=r"files\.example can't be reached: reset by peer") as caught:
        read(BROKEN)
    assert caught.value.cause is CauseCode.SOURCE_UNREACHABLE
    assert waits == [1.0, 4.0, 16.0]


def test_a_machine_without_network_does_not_wait_long(waits: list[float]) -> None:
    with pytest.raises(HarnessError, match="Connection refused"):
        read(NOBODY)
    assert waits == [1.0]


@pytest.mark.parametrize("answer", [httpx2.Response(404), httpx2.Response(403), UNKNOWN], ids=str)
def test_what_will_not_pass_is_told_at_once(answer: Answer, waits: list[float]) -> None:
    with pytest.raises(HarnessError):
        read(answer)
    assert waits == []


def test_a_certificate_that_is_not_known_is_told_as_that(waits: list[float]) -> None:
    with pytest.raises(HarnessError, match=r"the certificate of files\.example is not known here") as caught:
        read(UNKNOWN)
    assert "SSL_CERT_FILE" in caught.value.hint


def test_a_busy_server_says_how_long(waits: list[float]) -> None:
    assert read(httpx2.Response(429, headers={"Retry-After": "7"}), ok()) == b"content"
    assert waits == [7.0]
    with pytest.raises(HarnessError, match="status 429"):
        read(httpx2.Response(429, headers={"Retry-After": "3600"}), ok())


def test_the_same_holds_for_requests_without_content(waits: list[float]) -> None:
    found = attempts.answer(playing(BROKEN, httpx2.Response(502), httpx2.Response(401)), "HEAD", URL)
    assert found.status_code == 401
    assert waits == [1.0, 4.0]


@given(st.integers(min_value=0, max_value=10_000))
def test_retry_after_in_both_forms(seconds: int) -> None:
    assert attempts.retry_after_s(str(seconds)) == seconds
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    assert attempts.retry_after_s(date) == pytest.approx(seconds, abs=2)


@given(st.text())
def test_retry_after_of_any_other_form(text: str) -> None:
    found = attempts.retry_after_s(text)
    assert found is None or found >= 0


@pytest.mark.parametrize("name", network_errors.PROXY_VARIABLES)
def test_gnomes_proxy_settings(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for each in network_errors.PROXY_VARIABLES:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, "socks://127.0.0.1:1080/")
    found = network_errors.unusable_proxy(ValueError("Unknown scheme for proxy URL URL('socks://…')"))
    assert found.hint == f"export {name}=socks5://127.0.0.1:1080"
    monkeypatch.setenv(name, "ftp://x")
    assert network_errors.unusable_proxy(ValueError("Unknown scheme")).hint == f"unset {name}"


@pytest.mark.parametrize(
    ("line", "cause", "hint"),
    [
        ("failed to register layer: write /x: no space left on device", CauseCode.DISK_FULL, "docker system"),
        (
            'error getting credentials - err: exec: "docker-credential-desktop": executable file not found in $PATH',
            CauseCode.LOGIN_FAILED,
            "install docker-credential-desktop",
        ),
        (
            "toomanyrequests: You have reached your pull rate limit.",
            CauseCode.SOURCE_UNREACHABLE,
            "docker login",
        ),
        ("Get https://x/v2/: dial tcp: i/o timeout", CauseCode.SOURCE_UNREACHABLE, "Docker's own proxy"),
    ],
)
def test_what_docker_pull_fails_of(line: str, cause: CauseCode, hint: str) -> None:
    found = pull.explained("kindest/node", ("Pulling", line))
    assert found.cause is cause
    assert hint in found.hint
    assert line in found.message


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        (
            "r.example.com/ml/a:1",
            "Head https://r.example.com/v2/: no basic auth credentials",
            "docker login r.example.com;",
        ),
        ("r.example.com:5000/a", "unauthorized: authentication required", "docker login r.example.com:5000;"),
        (
            "team/a:1",
            "pull access denied for team/a, repository does not exist or may require 'docker login'",
            "docker login;",
        ),
    ],
)
def test_a_pull_without_a_login_is_told_where_to_log_in(name: str, said: str, hint: str) -> None:
    found = pull.explained(name, (f"Error response from daemon: {said}",))
    assert found.hint.startswith(hint)
    assert found.hint.endswith(f"docker pull {name}")
