"""Logging in by a kubeconfig: what the official client is given, and what is told when there is no login."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes.config.exec_provider import ExecProvider

from harness.cluster import login
from harness.cluster.login import Login
from harness.errors import CauseCode, HarnessError

SERVER = "https://127.0.0.1:6443"
V1 = "client.authentication.k8s.io/v1"


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    login._plugins_answer.cache_clear()


def written(folder: Path, user: dict[str, Any], server: str = SERVER) -> Path:
    """A kubeconfig of ours, with one context."""
    document = {
        "current-context": "team",
        "contexts": [{"name": "team", "context": {"cluster": "team", "user": "team"}}],
        "clusters": [{"name": "team", "cluster": {"server": server}}],
        "users": [{"name": "team", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(document))
    return path


def token(kubeconfig: Path) -> str | None:
    return Login(kubeconfig).current().headers().get("authorization")


def failure(kubeconfig: Path) -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        Login(kubeconfig)
    assert caught.value.cause is CauseCode.LOGIN_FAILED
    assert caught.value.hint
    return caught.value


class Plugin:
    """Stands for the program: answers in order, and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked = 0
        monkeypatch.setattr(ExecProvider, "run", lambda _: self.answer())

    def answer(self) -> Any:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def by_plugin(folder: Path, **more: Any) -> Path:
    return written(folder, {"exec": {"apiVersion": V1, "command": "/opt/log-in", **more}})


def test_a_token(tmp_path: Path) -> None:
    found = Login(written(tmp_path, {"token": "abc"}))
    assert found.current().headers() == {"authorization": "Bearer abc"}
    assert found.server == SERVER
    assert not found.may_be_renewed


def test_a_token_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    user = {"token": "of-long-ago", "tokenFile": str(tmp_path / "token")}
    found = Login(written(tmp_path, user))
    assert found.current().headers() == {"authorization": "Bearer first"}
    (tmp_path / "token").write_text("second\n")
    assert found.may_be_renewed
    assert found.renewed(found.current()).headers() == {"authorization": "Bearer second"}


@pytest.mark.parametrize("text", ["two\nlines", "a b", "\x00", "ü-token", "a\tb"])
def test_a_token_that_is_none_is_refused_and_not_told(tmp_path: Path, text: str) -> None:
    assert text not in failure(written(tmp_path, {"token": text})).message


def test_a_token_file_that_is_gone(tmp_path: Path) -> None:
    assert "can't be read" in failure(written(tmp_path, {"tokenFile": str(tmp_path / "none")})).message


def test_certificates_are_files_that_only_their_owner_reads(tmp_path: Path) -> None:
    data = base64.b64encode(b"key").decode()
    user = {"client-certificate-data": data, "client-key-data": data}
    assert token(written(tmp_path, user)) is None
    for name in ("kubeconfig.crt", "kubeconfig.key"):
        assert (tmp_path / name).read_bytes() == b"key"
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_a_plugin_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = Plugin(monkeypatch, {"token": "from-plugin"})
    kubeconfig = by_plugin(tmp_path)
    assert [token(kubeconfig), token(kubeconfig)] == ["Bearer from-plugin"] * 2
    assert plugin.asked == 1


def test_what_has_expired_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    past, future = (
        (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        for minutes in (-1, 60)
    )
    plugin = Plugin(
        monkeypatch,
        {"token": "old", "expirationTimestamp": past},
        {"token": "new", "expirationTimestamp": future},
    )
    assert token(by_plugin(tmp_path)) == "Bearer new"
    assert token(by_plugin(tmp_path)) == "Bearer new"
    assert plugin.asked == 2


def test_a_refused_login_is_renewed_once_for_all_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = Plugin(monkeypatch, {"token": "one"}, {"token": "two"}, {"token": "three"})
    found = Login(by_plugin(tmp_path))
    assert found.may_be_renewed
    refused = found.current()
    assert found.renewed(refused).headers() == {"authorization": "Bearer two"}
    assert found.renewed(refused).headers() == {"authorization": "Bearer two"}
    assert plugin.asked == 2


def test_a_plugin_gives_a_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Plugin(monkeypatch, {"clientCertificateData": "CERT", "clientKeyData": "KEY"})
    assert token(by_plugin(tmp_path)) is None
    assert (tmp_path / "kubeconfig.crt").read_text() == "CERT"
    assert (tmp_path / "kubeconfig.key").read_text() == "KEY"


@pytest.mark.parametrize("answer", [{}, {"clientCertificateData": "CERT"}, {"token": ""}])
def test_a_plugin_that_gives_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    Plugin(monkeypatch, answer)
    assert "log-in gave neither a token nor a certificate" in failure(by_plugin(tmp_path)).message


def test_a_plugin_that_is_not_there_hints_at_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        subprocess, "Popen", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError(2, "none"))
    )
    error = failure(by_plugin(tmp_path, installHint="brew install\n  log-in"))
    assert "plugin log-in can't be run: none" in error.message
    assert error.hint == "brew install log-in"
    assert failure(by_plugin(tmp_path)).hint == "kubectl --context team auth whoami"


def jwt(expires_in: timedelta) -> str:
    claims = json.dumps({"exp": int((datetime.now(UTC) + expires_in).timestamp())}).encode()
    return f"a.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c"


def test_oidc(tmp_path: Path) -> None:
    given = jwt(timedelta(hours=1))
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": given}}}
    assert token(written(tmp_path, user)) == f"Bearer {given}"


@pytest.mark.parametrize("config", [{}, {"id-token": "nonsense"}, {"id-token": "a.!.c"}])
def test_oidc_without_a_token(tmp_path: Path, config: dict[str, str]) -> None:
    failure(written(tmp_path, {"auth-provider": {"name": "oidc", "config": config}}))


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", "a: [", '{"current-context": "x", "contexts": []}'])
def test_files_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(HarnessError) as caught:
        Login(path)
    assert caught.value.cause is CauseCode.CLUSTER_MISSING


@pytest.mark.parametrize(
    ("server", "goes_through"),
    [
        ("https://127.0.0.1:6443", False),
        ("https://127.9.9.9", False),
        ("https://localhost:6443", False),
        ("https://[::1]:6443", False),
        ("https://0.0.0.0:6443", False),
        ("https://10.0.0.1:6443", True),
        ("https://127.0.0.1.example.org", True),
        ("https://inside.example.net", False),
    ],
)
def test_a_proxy_never_gets_what_is_meant_for_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, goes_through: bool
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://proxy.example.org:3128")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "example.net,fd00::/8")
    connections = Login(written(tmp_path, {"token": "abc"}, server)).current().connections
    assert (connections.proxy is not None) == goes_through


@pytest.mark.parametrize("proxy", ["socks://127.0.0.1:1/", "ftp://x", "socks5://127.0.0.1:1"])
def test_proxies_of_odd_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    for name in ("no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    assert token(written(tmp_path, {"token": "abc"})) == "Bearer abc"  # of no concern here
    error = failure(written(tmp_path, {"token": "abc"}, "https://far.example.org"))
    assert "proxy settings can't be used" in error.message
    assert error.hint == 'export NO_PROXY="$NO_PROXY,"far.example.org'
