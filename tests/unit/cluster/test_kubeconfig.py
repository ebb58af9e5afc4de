"""One context of the user's kubeconfig: what is taken from it, and what is refused."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.cluster.existing import kubeconfig
from harness.errors import CauseCode, HarnessError

CERTIFICATE = {"client-certificate-data": "Y2VydA==", "client-key-data": "a2V5"}
SERVER = "https://127.0.0.1:6443"


def document(
    name: str = "team", *, server: str = SERVER, user: Any = None, cluster: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A kubeconfig of one context, which is the current one."""
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": f"c-{name}", "user": f"u-{name}"}}],
        "clusters": [{"name": f"c-{name}", "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": f"u-{name}", "user": CERTIFICATE if user is None else user}],
    }


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write kubeconfig files, which KUBECONFIG lists in this order."""

    def written(*documents: Any) -> list[Path]:
        paths = []
        for number, each in enumerate(documents):
            path = tmp_path / f"config-{number}"
            path.write_text(each if isinstance(each, str) else yaml.safe_dump(each), encoding="utf-8")
            paths.append(path)
        monkeypatch.setenv(kubeconfig.VARIABLE, os.pathsep.join(map(str, paths)))
        return paths

    return written


def refusal(name: str = "team") -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        kubeconfig.find(name).document()
    assert caught.value.cause is CauseCode.USAGE
    assert caught.value.hint
    return caught.value


def test_only_the_context_that_was_named_is_taken(write: Any) -> None:
    first, second = document("team"), document("other", server="https://other:6443")
    (path, _) = write(first, second)
    before = path.read_bytes()
    found = kubeconfig.find("team")
    assert found.server == SERVER
    made = found.document()
    assert [each["name"] for key in ("clusters", "users", "contexts") for each in made[key]] == ["team"] * 3
    assert made["clusters"][0]["cluster"] == {"server": SERVER}
    assert made["users"][0]["user"] == CERTIFICATE
    assert "other" not in json.dumps(made)
    assert path.read_bytes() == before


def test_of_two_files_the_first_counts(write: Any) -> None:
    write(document(), document(server="https://evil:6443"))
    assert kubeconfig.find("team").server == SERVER


def test_a_file_that_is_not_there_is_no_failure(write: Any) -> None:
    (path,) = write(document())
    os.environ[kubeconfig.VARIABLE] = f"{path}-missing{os.pathsep}{path}"
    assert kubeconfig.find("team").server == SERVER


def test_the_current_context_is_never_taken(write: Any) -> None:
    write(document())
    assert "no context ''" in refusal("").message


def test_a_near_name_is_told(write: Any) -> None:
    write(document("kind-team"))
    assert refusal("kind-taem").evidence == ("did you mean kind-team?",)


def test_files_beside_it_are_read_into_it(write: Any, tmp_path: Path) -> None:
    for name in ("ca.pem", "crt.pem", "key.pem"):
        (tmp_path / name).write_text(name)
    user = {"client-certificate": "crt.pem", "client-key": str(tmp_path / "key.pem")}
    write(document(user=user, cluster={"certificate-authority": "ca.pem"}))
    made = kubeconfig.find("team").document()
    decoded = {key: base64.b64decode(value).decode() for key, value in made["users"][0]["user"].items()}
    assert decoded == {"client-certificate-data": "crt.pem", "client-key-data": "key.pem"}
    authority = made["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(authority) == b"ca.pem"


def test_tokens(write: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    read = {"token": "from-file", "tokenFile": str(tmp_path / "token")}
    for user, login in (
        ({"token": "inline"}, {"token": "inline"}),
        ({"tokenFile": "token"}, read),
        ({"tokenFile": "token", "token": "older"}, read),
    ):
        write(document(user=user))
        assert login_of() == login


def login_of(name: str = "team") -> Any:
    (user,) = kubeconfig.find(name).document()["users"]
    return user["user"]


@pytest.mark.parametrize(
    ("command", "found"), [("aws", "aws"), ("bin/login", "{}/bin/login"), ("/opt/login", "/opt/login")]
)
def test_a_plugin_lies_where_kubectl_looks_for_it(
    write: Any, tmp_path: Path, command: str, found: str
) -> None:
    settings = {"apiVersion": "client.authentication.k8s.io/v1", "args": ["get-token"], "command": command}
    write(document(user={"exec": settings}))
    assert login_of() == {"exec": {**settings, "command": found.format(tmp_path)}}


def test_oidc_with_the_providers_authority(write: Any, tmp_path: Path) -> None:
    (tmp_path / "idp.pem").write_text("idp")
    config = {"id-token": "a.b.c", "idp-certificate-authority": "idp.pem"}
    write(document(user={"auth-provider": {"name": "oidc", "config": config}}))
    kept = {"id-token": "a.b.c", "idp-certificate-authority-data": base64.b64encode(b"idp").decode()}
    assert login_of() == {"auth-provider": {"name": "oidc", "config": kept}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"user": {"exec": {"args": ["x"]}}}, "its plugin has no command"),
        ({"user": {"auth-provider": {"name": "gcp"}}}, "logs in by auth-provider"),
        ({"user": {"token": "t", "as": "admin"}}, "acts as another"),
        ({"user": {"username": "me", "password": "secret-word"}}, "logs in by username"),
        ({"user": {"client-certificate": "missing.pem", "client-key": "k"}}, "missing.pem can't be read"),
        ({"cluster": {"insecure-skip-tls-verify": True}}, "insecure-skip-tls-verify"),
        ({"cluster": {"proxy-url": "http://proxy"}}, "proxy-url"),
        ({"server": "http://127.0.0.1:8080"}, "no cluster with an https:// server"),
        ({"server": ""}, "no cluster with an https:// server"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused(write: Any, changes: dict[str, Any], told: str) -> None:
    write(document(**changes))
    error = refusal()
    assert told in error.message
    assert "secret-word" not in f"{error.message} {error.evidence} {error.hint}"


@pytest.mark.parametrize("text", ["a: [", "\x00", "- 1", "contexts: 3", "contexts: [3]", "", "contexts: {}"])
def test_broken_files(write: Any, text: str) -> None:
    write(text)
    refusal()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["contexts", "clusters", "users", "name", "context", "cluster", "user"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_is_in_the_file_it_is_found_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: Any
) -> None:
    path = tmp_path_factory.mktemp("any") / "config"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(kubeconfig.VARIABLE, str(path))
        refusal("team")
