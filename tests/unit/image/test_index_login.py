"""The user's own logins for a private index: where they are looked for, and that each host gets its own alone."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from harness.image.dependencies import index_login

FILE = "https://private.test/files/x-1.tar.gz"


@pytest.fixture(autouse=True)
def _none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_KEYRING_PROVIDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def login(url: str) -> str:
    header = index_login.headers(url).get("Authorization", "")
    return base64.b64decode(header.removeprefix("Basic ")).decode()


def test_nobody_is_told_anything_without_a_login() -> None:
    assert index_login.headers(FILE) == {}


def test_a_login_in_the_address_of_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_EXTRA_INDEX_URL", "https://a.test/simple https://ann:p%40ss@private.test/simple")
    assert login(FILE) == "ann:p@ss"
    assert index_login.headers("https://a.test/x.zip") == {}
    assert index_login.headers("https://private.test.evil.test/x.zip") == {}


def test_a_login_beside_the_name_of_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX", "our-index=https://private.test/simple")
    monkeypatch.setenv("UV_INDEX_OUR_INDEX_USERNAME", "ann")
    monkeypatch.setenv("UV_INDEX_OUR_INDEX_PASSWORD", "secret")
    assert login(FILE) == "ann:secret"


def test_netrc(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine private.test login ann password secret\n", encoding="utf-8")
    (tmp_path / "netrc").chmod(0o600)
    assert login(FILE) == "ann:secret"
    assert index_login.headers("https://other.test/x") == {}


def test_a_netrc_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine\n", encoding="utf-8")
    assert index_login.headers(FILE) == {}
