"""Images into a real registry with TLS and a password: only what it lacks, and also through a registry that is away."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from docker_registry import PASSWORD, USER, DockerRegistry, serving
from token_server import IDENTITY, ISSUER, SERVICE, TokenServer
from token_server import serving as token_serving

from harness.errors import CauseCode, HarnessError
from harness.image.layer import Layer, Member, write_layer
from harness.image.oci import MANIFEST_TYPE, BaseImage, Image, assemble
from harness.image.registry import collection
from harness.image.registry import push as pushing
from harness.image.registry.address import Registry
from harness.image.registry.push import push

MIB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with serving(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def registry(server: DockerRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry below a path of this test's own, with a login, as a process sees it that was just started."""
    monkeypatch.setenv("DOCKER_CONFIG", str(server.log_in(tmp_path / "docker")))
    pushing._pusher.cache_clear()
    return Registry.parse(f"{server.host}/{tmp_path.name.replace('_', '-')}", ca=server.authority)


def layer(store: Path, name: str, size_bytes: int) -> Layer:
    content = os.urandom(size_bytes)
    return write_layer([Member(name, len(content), chunks=lambda: [content])], store=store)


def image(base: BaseImage, *layers: Layer, name: str, tag: str) -> Image:
    return assemble(
        base, layers, name=f"harness.local/{name}", tag=tag, platform="linux/amd64", env={},
        user="50000:0", workdir="/opt/airflow", labels={},
    )  # fmt: skip


@pytest.fixture
def base(tmp_path: Path) -> BaseImage:
    lowest = layer(tmp_path / "store", "base", 3 * MIB)
    return BaseImage((lowest,), lowest.digest, "usr/lib/python3/dist-packages")


def there(server: DockerRegistry, image: Image, registry: Registry) -> httpx2.Response:
    """The image's manifest as the registry gives it."""
    repository = registry.repository(image.name)
    import ssl

    trust = ssl.create_default_context(cafile=str(server.authority))
    url = f"{registry.root}{repository}/manifests/{image.digest}"
    return httpx2.get(url, auth=(USER, PASSWORD), verify=trust, headers={"Accept": MANIFEST_TYPE})


class TestOnlyWhatIsMissing:
    def test_a_line_of_code_is_all_that_a_second_push_sends(
        self, server: DockerRegistry, registry: Registry, base: BaseImage, tmp_path: Path
    ) -> None:
        store = tmp_path / "store"
        packages = layer(store, "packages", 5 * MIB)
        dependencies = image(base, packages, name="churn/dependencies", tag="d1")
        first = image(base, packages, layer(store, "code", 2000), name="churn", tag="c1")
        second = image(base, packages, layer(store, "code", 2001), name="churn", tag="c2")
        assert push(dependencies, registry) > 8 * MIB
        assert push(first, registry) < 10_000, "base and packages are mounted, in the registry itself"
        pushing._pusher.cache_clear()  # another command
        assert push(second, registry) < 10_000
        assert push(second, registry) == 0
        for each in (dependencies, first, second):
            answer = there(server, each, registry)
            assert answer.headers["docker-content-digest"] == each.digest
            assert answer.content == each.manifest

    def test_another_project_mounts_the_base(
        self, registry: Registry, base: BaseImage, tmp_path: Path
    ) -> None:
        store = tmp_path / "store"
        push(image(base, layer(store, "a", 1000), name="one/dependencies", tag="d"), registry)
        sent_bytes = push(image(base, layer(store, "b", 1000), name="two/dependencies", tag="d"), registry)
        assert sent_bytes < 10_000

    def test_bytes_of_bytes_are_told(self, registry: Registry, base: BaseImage) -> None:
        said: list[str] = []
        push(image(base, name="told", tag="t"), registry, on_change=said.append)
        assert f"0.0 of 3.1 MB pushed to {registry.host}" in said
        assert f"3.1 of 3.1 MB pushed to {registry.host}" in said


class TestWhatNobodyNeeds:
    @pytest.fixture
    def images(self, base: BaseImage, tmp_path: Path) -> tuple[Image, Image, Image]:
        """A project's dependencies, and two commits on them."""
        store = tmp_path / "store"
        packages = layer(store, "packages", MIB)
        first, second = (layer(store, "code", size_bytes) for size_bytes in (2 * MIB, 2000))
        return (
            image(base, packages, name="old/dependencies", tag="d"),
            image(base, packages, first, name="old", tag="c1"),
            image(base, packages, second, name="old", tag="c2"),
        )

    def test_it_goes_and_the_rest_stays(
        self, server: DockerRegistry, registry: Registry, images: tuple[Image, Image, Image]
    ) -> None:
        dependencies, first, second = images
        for each in images:
            push(each, registry)
        names = {f"{registry.path}/old:c2"}
        found = collection.stored(registry)
        assert {each.digest for each in images} < {each.digest for each in found}, "and what they stand on"
        doomed = collection.unneeded(found, {dependencies.digest}, names, registry.base)
        assert [each.digest for each in doomed] == [first.digest]
        assert 2 * MIB < collection.freed_bytes(found, doomed) < 2.1 * MIB
        before = size_bytes(server.folder / "data")
        collection.remove(registry, doomed)
        server.collect()
        assert before - size_bytes(server.folder / "data") > 2 * MIB
        assert there(server, first, registry).status_code == 404
        assert there(server, second, registry).status_code == 200

    def test_a_push_that_counted_on_it_begins_anew(
        self, server: DockerRegistry, registry: Registry, images: tuple[Image, Image, Image]
    ) -> None:
        """It was seen to be there by this very process, which knows nothing of its removal."""
        dependencies, first, second = images
        push(dependencies, registry)
        push(first, registry)
        collection.remove(registry, collection.stored(registry))
        server.collect()
        assert push(second, registry) > 4 * MIB, "all of it, though most was there a moment ago"
        assert there(server, second, registry).status_code == 200


def size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class TestAway:
    def test_a_push_outlives_it(
        self, server: DockerRegistry, registry: Registry, base: BaseImage, tmp_path: Path
    ) -> None:
        """It goes in the middle of a layer, and comes back seconds later."""
        large = layer(tmp_path / "store", "large", 40 * MIB)
        wanted = image(base, large, name="away/dependencies", tag="d")
        said: list[str] = []
        back: list[threading.Timer] = []

        def on_change(text: str) -> None:
            said.append(text)
            if text.startswith("2") and " of 41.9 MB" in text and not back:
                server.stop()
                back.append(threading.Timer(5, server.start))
                back[0].start()

        push(wanted, registry, on_change=on_change)
        back[0].join()
        assert any("again in" in each for each in said)
        assert there(server, wanted, registry).headers["docker-content-digest"] == wanted.digest

    def test_one_that_stays_away_is_told(
        self, server: DockerRegistry, registry: Registry, base: BaseImage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("harness.image.registry.session.NEVER_S", 3.0)
        server.stop()
        try:
            began_s = time.monotonic()
            with pytest.raises(HarnessError) as raised:
                push(image(base, name="gone", tag="t"), registry)
        finally:
            server.start()
        assert raised.value.cause is CauseCode.IMAGE_LOAD_FAILED
        assert registry.host in raised.value.message
        assert time.monotonic() - began_s < 10

    def test_an_unknown_name_is_told_at_once(self, base: BaseImage) -> None:
        began_s = time.monotonic()
        with pytest.raises(HarnessError) as raised:
            push(image(base, name="x", tag="t"), Registry.parse("registry.invalid/ml"))
        assert raised.value.cause is CauseCode.IMAGE_LOAD_FAILED
        assert time.monotonic() - began_s < 10


def configured(folder: Path, known: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with this configuration of Docker's, which counts."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(known))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


class TestLogin:
    def test_without_one(
        self, registry: Registry, base: BaseImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nothing"))
        with pytest.raises(HarnessError) as raised:
            push(image(base, name="x", tag="t"), registry)
        assert raised.value.cause is CauseCode.LOGIN_FAILED
        assert raised.value.hint == f"docker login {registry.host}"

    def test_by_a_credential_helper(
        self, server: DockerRegistry, registry: Registry, base: BaseImage, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        known = {"auths": {server.host: {}}, "credHelpers": {server.host: "ours"}}
        folder = configured(tmp_path / "helped", known, monkeypatch)
        answer = json.dumps({"ServerURL": server.host, "Username": USER, "Secret": PASSWORD})
        (folder / "docker-credential-ours").write_text(f"#!/bin/sh\ncat >/dev/null\necho '{answer}'\n")
        (folder / "docker-credential-ours").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        assert push(image(base, name="helped", tag="t"), registry) > 0

    def test_a_wrong_password_is_in_no_message(
        self, server: DockerRegistry, registry: Registry, base: BaseImage, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        login = {"username": USER, "password": "not-the-password"}
        configured(tmp_path / "wrong", {"auths": {server.host: login}}, monkeypatch)
        with pytest.raises(HarnessError) as raised:
            push(image(base, name="x", tag="t"), registry)
        assert raised.value.cause is CauseCode.LOGIN_FAILED
        assert "not-the-password" not in repr((raised.value.message, raised.value.evidence))

    def test_an_authority_that_nobody_named(self, registry: Registry, base: BaseImage) -> None:
        stranger = Registry(registry.host, registry.path)
        with pytest.raises(HarnessError) as raised:
            push(image(base, name="x", tag="t"), stranger)
        assert raised.value.cause is CauseCode.IMAGE_LOAD_FAILED
        assert "ca" in raised.value.hint


class TestTokens:
    """As most registries have it: a token for each scope, from elsewhere."""

    @pytest.fixture
    def tokens(self, tmp_path: Path) -> Iterator[TokenServer]:
        with token_serving(tmp_path / "tokens", USER, PASSWORD) as tokens:
            yield tokens

    @pytest.fixture
    def by_tokens(
        self, tokens: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[DockerRegistry]:
        auth = {
            "realm": tokens.url, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(tokens.certificate)
        }  # fmt: skip
        with serving(tmp_path / "by-tokens", auth={"token": auth}) as server:
            monkeypatch.setenv("DOCKER_CONFIG", str(server.log_in(tmp_path / "docker")))
            pushing._pusher.cache_clear()
            yield server

    def test_a_push_with_a_mount(
        self, by_tokens: DockerRegistry, tokens: TokenServer, base: BaseImage, tmp_path: Path
    ) -> None:
        registry = Registry.parse(f"{by_tokens.host}/ml", ca=by_tokens.authority)
        packages = layer(tmp_path / "store", "packages", MIB)
        push(image(base, packages, name="churn/dependencies", tag="d"), registry)
        code = layer(tmp_path / "store", "code", 2000)
        assert push(image(base, packages, code, name="churn", tag="c"), registry) < 10_000
        assert ("repository:ml/churn-dependencies:pull", "repository:ml/churn:pull,push") in tokens.asked

    def test_a_token_that_ends_meanwhile(
        self, by_tokens: DockerRegistry, tokens: TokenServer, base: BaseImage, tmp_path: Path
    ) -> None:
        tokens.lives_s = -57.0  # the registry lets them be a minute late
        registry = Registry.parse(f"{by_tokens.host}/ml", ca=by_tokens.authority)
        push(image(base, name="one", tag="d"), registry)
        before = len(tokens.asked)
        time.sleep(5)
        tokens.lives_s = 300.0
        push(image(base, layer(tmp_path / "store", "code", 2000), name="one", tag="e"), registry)
        assert len(tokens.asked) > before

    def test_an_identity_token(
        self, by_tokens: DockerRegistry, base: BaseImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "identity"
        folder.mkdir()
        login = {"auth": "MDAwMDo=", "identitytoken": IDENTITY}
        (folder / "config.json").write_text(json.dumps({"auths": {by_tokens.host: login}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(folder))
        registry = Registry.parse(f"{by_tokens.host}/ml", ca=by_tokens.authority)
        assert push(image(base, name="identity", tag="d"), registry) > 0

    def test_a_wrong_login(
        self, by_tokens: DockerRegistry, base: BaseImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nothing"))
        registry = Registry.parse(f"{by_tokens.host}/ml", ca=by_tokens.authority)
        with pytest.raises(HarnessError) as raised:
            push(image(base, name="x", tag="d"), registry)
        assert raised.value.cause is CauseCode.LOGIN_FAILED
        assert "wrong login" in raised.value.message


def test_an_authority_that_is_no_certificate(tmp_path: Path, base: BaseImage) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(HarnessError) as raised:
        push(image(base, name="x", tag="t"), Registry("127.0.0.1:1", ca=tmp_path / "ca.pem"))
    assert raised.value.cause is CauseCode.CONFIG_INVALID
