"""What a registry is called, what images are called there, and the logins that Docker keeps."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.host import process
from harness.host.docker import registry_login
from harness.host.docker.registry_login import Login
from harness.image.registry.address import Registry


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("registry.example.com/ml", "registry.example.com", "ml"),
        ("https://registry.example.com/ml/team/", "registry.example.com", "ml/team"),
        ("127.0.0.1:5000", "127.0.0.1:5000", ""),
        ("[::1]:5000/a", "[::1]:5000", "a"),
        ("1234.dkr.ecr.eu-west-1.amazonaws.com/ml", "1234.dkr.ecr.eu-west-1.amazonaws.com", "ml"),
    ],
)
def test_addresses(url: str, host: str, path: str) -> None:
    found = Registry.parse(url)
    assert (found.host, found.path, found.root) == (host, path, f"https://{host}/v2/")


@pytest.mark.parametrize(
    "url", ["", "/ml", "ftp://a/b", "a b", "a/UPPER", "http://a/b", "a/b?c", "user:pw@a/b", "a//b"]
)
def test_what_is_no_registry(url: str) -> None:
    with pytest.raises(ValueError, match=r"registry|insecure"):
        Registry.parse(url)


def test_without_tls_only_where_it_is_said() -> None:
    assert Registry.parse("http://a:5000/b", insecure=True).root == "http://a:5000/v2/"


def test_docker_hub_has_an_address_and_a_login_of_other_names() -> None:
    hub = Registry.parse("docker.io/me")
    assert (hub.root, hub.repository("harness.local/churn/dependencies")) == (
        "https://registry-1.docker.io/v2/",
        "me/churn-dependencies",
    )
    assert registry_login.name_of("docker.io") == "https://index.docker.io/v1/"
    assert registry_login.name_of("r.example.com") == "r.example.com"


def test_repositories_have_no_domain_of_ours() -> None:
    assert Registry.parse("r.example.com/ml").repository("harness.local/churn/dependencies") == (
        "ml/churn-dependencies"
    )
    assert Registry.parse("r.example.com").repository("harness.local/churn") == "churn"


@given(st.text())
def test_any_text_is_a_registry_or_refused(text: str) -> None:
    try:
        found = Registry.parse(text)
    except ValueError:
        return
    assert "@" not in found.host
    assert " " not in found.root


class TestLogins:
    def write(self, folder: Path, patch: pytest.MonkeyPatch, **document: object) -> None:
        (folder / "config.json").write_text(json.dumps(document))
        patch.setenv("DOCKER_CONFIG", str(folder))

    def test_of_the_configuration(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pair = base64.b64encode(b"me:secret:with:colons").decode()
        self.write(tmp_path, monkeypatch, auths={"r.example.com": {"auth": pair}})
        found = registry_login.find("r.example.com")
        assert found == Login("me", "secret:with:colons")
        assert found.headers == {"Authorization": f"Basic {pair}"}
        assert "secret" not in repr(found)
        assert registry_login.find("other.example.com") is None

    def test_an_identity_token_is_no_password(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pair = base64.b64encode(b"0000:").decode()
        self.write(tmp_path, monkeypatch, auths={"r.example.com": {"auth": pair, "identitytoken": "t"}})
        found = registry_login.find("r.example.com")
        assert found is not None
        assert found.identity_token == "t"
        assert found.headers == {}

    @pytest.mark.parametrize("auth", ["not base64!", base64.b64encode(b"\xff\xfe").decode(), ""])
    def test_what_can_not_be_read_is_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: str
    ) -> None:
        self.write(tmp_path, monkeypatch, auths={"r.example.com": {"auth": auth}})
        assert registry_login.find("r.example.com") is None

    @pytest.mark.parametrize("document", [None, [], {"auths": None}, {"auths": {"r.example.com": "x"}}])
    @pytest.mark.parametrize("said", ["[]", "null", '{"Username": "me"}', "credentials not found"])
    def test_a_document_of_another_form_is_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: object, said: str
    ) -> None:
        if isinstance(document, dict):
            document = {**document, "credHelpers": None, "credsStore": "own"}
        (tmp_path / "config.json").write_text(json.dumps(document))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        monkeypatch.setattr(process, "run", lambda *_, **__: process.Completed((), 0, said, ""))
        assert registry_login.find("r.example.com") is None
