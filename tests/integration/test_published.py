"""Files and images of a release: fetched from real servers on this machine, checked, and refused."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import platform
import shutil
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from release_server import Server, serving, sha256, tar_of

from harness import versions
from harness.cluster.kind import sourcing
from harness.errors import CauseCode, HarnessError
from harness.host import cache, process
from harness.host.doctor import tool_checks
from harness.host.machine import architecture
from harness.host.sources import attempts, download, mirrors, pins, release_hosts, release_tools
from harness.host.sources import choice as sources
from harness.host.sources.pins import Reference, ToolPin
from harness.image.base import published, registry
from harness.image.oci import Image, docker_archive

PLATFORM = f"{platform.system().lower()}-{architecture()}"
RUNS = b"#!/bin/sh\necho kind v0.33.0 go1.26 linux/amd64\n"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A release host that stands for github.com, and an empty cache."""
    monkeypatch.setenv(cache.ROOT_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with serving() as server:
        monkeypatch.setenv(mirrors.VARIABLE, f"github.com={server.url}/mirror registry.test={server.url}")
        yield server


def pin(
    sha256_of: bytes, *, url: str = "https://github.com/x/{version}/kind-{os}-{arch}", member: str = ""
) -> ToolPin:
    return ToolPin(version="v0.33.0", url=url, member=member, sha256={PLATFORM: sha256(sha256_of)})


def path_of(pinned: ToolPin) -> str:
    words = {"version": pinned.version, "os": platform.system().lower(), "arch": architecture()}
    return pinned.url.format(**words).replace("https://github.com", "/mirror")


def left(root: Path) -> list[str]:
    """Files in a cache, but for locks."""
    return [path.name for path in root.rglob("*") if path.is_file() and not path.name.endswith(".lock")]


class TestFiles:
    def test_the_pinned_one_is_kept_and_asked_for_once(self, server: Server) -> None:
        pinned = pin(RUNS)
        server.publish(path_of(pinned), RUNS)
        told: list[str] = []
        assert release_tools.downloaded("kind", pinned) is None
        tool = release_tools.download_tool("kind", pinned, told.append)
        assert tool.path.read_bytes() == RUNS
        assert os.access(tool.path, os.X_OK)
        assert told[-1].startswith("kind v0.33.0: ")
        assert release_tools.download_tool("kind", pinned, told.append) == tool
        assert release_tools.downloaded("kind", pinned) == tool
        assert server.requests == [f"GET {path_of(pinned)}"]

    def test_a_flipped_byte_is_refused_and_nothing_of_it_stays(self, server: Server, tmp_path: Path) -> None:
        pinned = pin(RUNS)
        server.publish(path_of(pinned), RUNS)
        server.flip(path_of(pinned))
        with pytest.raises(HarnessError, match="refused and deleted") as caught:
            release_tools.download_tool("kind", pinned, lambda _: None)
        assert caught.value.cause is CauseCode.CHECKSUM_MISMATCH
        assert caught.value.exit_code == 4
        assert f"pinned {sha256(RUNS)}" in caught.value.evidence
        assert left(tmp_path / "cache") == []
        server.publish(path_of(pinned), RUNS)  # mended, it is taken
        assert release_tools.download_tool("kind", pinned, lambda _: None).path.exists()

    def test_an_archive_is_checked_before_it_is_opened(self, server: Server, tmp_path: Path) -> None:
        archive = gzip.compress(tar_of({f"{PLATFORM}/helm": b"helm"}), mtime=0)
        url = "https://github.com/helm-{version}-{os}-{arch}.tar.gz"
        pinned = pin(archive, url=url, member="{os}-{arch}/helm")
        server.publish(path_of(pinned), archive)
        server.flip(path_of(pinned))
        with pytest.raises(HarnessError) as caught:
            release_tools.download_tool("helm", pinned, lambda _: None)
        assert caught.value.cause is CauseCode.CHECKSUM_MISMATCH
        server.publish(path_of(pinned), archive)
        tool = release_tools.download_tool("helm", pinned, lambda _: None)
        assert tool.path.read_bytes() == b"helm"
        assert left(tmp_path / "cache") == ["helm"]

    @pytest.mark.parametrize("status", [404, None])
    def test_what_cannot_be_had(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int | None
    ) -> None:
        if status is None:
            monkeypatch.setenv(mirrors.VARIABLE, "github.com=http://127.0.0.1:9")
        with pytest.raises(HarnessError, match=str(status or "can't be reached")) as caught:
            release_tools.download_tool("kind", pin(RUNS), lambda _: None)
        assert caught.value.cause is CauseCode.SOURCE_UNREACHABLE
        assert caught.value.hint
        assert left(tmp_path / "cache") == []

    def test_what_breaks_off_goes_on_where_it_was(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each connection ends after 40 % of what was asked for, and once the server is busy."""
        monkeypatch.setattr(attempts, "PAUSES_S", (0.0, 0.1, 0.2, 0.3))
        content = os.urandom(3 << 20)
        pinned = pin(content)
        path = path_of(pinned)
        server.publish(path, content)
        server.cut, server.busy = 0.4, {path}
        told: list[str] = []
        tool = release_tools.download_tool("kind", pinned, told.append)
        assert tool.path.read_bytes() == content
        assert server.begun == {path: 1}
        assert any("status 429: again in 1 s" in line for line in told)
        assert left(tmp_path / "cache") == ["kind"]

    def test_a_server_that_knows_no_ranges_is_read_from_the_start(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(attempts, "PAUSES_S", (0.0, 0.0, 0.0, 0.0))
        content = os.urandom(1 << 20)
        server.publish("/file", content)
        server.cut, server.knows_ranges = 0.4, False
        with download.client() as http, pytest.raises(HarnessError, match="can't be reached"):
            download.fetch(http, f"{server.url}/file", tmp_path / "file", sha256(content))
        assert server.begun["/file"] == 1
        server.cut = 0.0
        with download.client() as http:
            download.fetch(http, f"{server.url}/file", tmp_path / "file", sha256(content))
        assert (tmp_path / "file").read_bytes() == content

    def test_ctrl_c_ends_it(self, server: Server, tmp_path: Path) -> None:
        content = bytes(8 << 20)
        server.publish("/big", content)
        begun, goes_on = threading.Event(), threading.Event()

        def fetch() -> None:
            def on_bytes(*_: int) -> None:
                begun.set()
                goes_on.wait(10)

            with download.client() as http:
                download.fetch(
                    http, f"{server.url}/big", tmp_path / "big", sha256(content), on_bytes=on_bytes
                )

        with pytest.raises(KeyboardInterrupt), process.threads(1) as executor:
            running = executor.submit(fetch)
            assert begun.wait(10)
            threading.Timer(0.2, goes_on.set).start()
            raise KeyboardInterrupt
        error = running.exception()
        assert isinstance(error, HarnessError)
        assert error.cause is CauseCode.INTERRUPTED
        assert left(tmp_path) == []

    def test_a_platform_without_a_pin(self, server: Server) -> None:
        pinned = ToolPin(version="v1", url="https://github.com/kind", sha256={"plan9-amd64": "0" * 64})
        with pytest.raises(HarnessError, match=f"pinned for {PLATFORM}") as caught:
            release_tools.download_tool("kind", pinned, lambda _: None)
        assert caught.value.cause is CauseCode.TOOL_MISSING


class TestPath:
    def install(self, folder: Path, name: str, says: str) -> None:
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{says}'\n")
        program.chmod(0o755)

    @pytest.mark.parametrize(
        ("name", "says", "pinned", "fits"),
        [
            ("kind", "kind v0.33.1 go1.27.0 linux/amd64", "v0.33.0", True),
            ("kind", "kind v0.32.0 go1.27.0 linux/amd64", "v0.33.0", False),
            ("kind", "kind v0.34.0-alpha go1.27.0 linux/amd64", "v0.33.0", False),
            ("helm", "v4.3.1+g1234567", "v4.3.0", True),
            ("helm", "v4.2.9+g1234567", "v4.3.0", False),
            ("helm", "v3.22.0+g1234567", "v4.3.0", False),
            ("kubectl", "Client Version: v1.36.4 Kustomize Version: v5.8.1", "v1.37.0", True),
            ("kubectl", "Client Version: v1.35.0", "v1.37.0", False),
            ("kubectl", "something else", "v1.37.0", False),
        ],
    )
    def test_only_a_version_that_fits(
        self, server: Server, tmp_path: Path, name: str, says: str, pinned: str, fits: bool
    ) -> None:
        self.install(tmp_path, name, says)
        tool = release_tools.on_path(name, ToolPin(version=pinned, url="", sha256={}))
        assert (tool is not None) == fits
        if tool is not None:
            assert tool.path == tmp_path / name
            assert tool.is_on_path

    def test_one_that_cannot_run(self, server: Server, tmp_path: Path) -> None:
        program = tmp_path / "kind"
        program.write_bytes(b"\x7fELF of another machine")
        program.chmod(0o755)
        assert release_tools.on_path("kind", pin(RUNS)) is None


def layers() -> list[bytes]:
    return [
        tar_of({"etc/passwd": b"root:x:0:0::/:/bin/sh\n", "old": b"1"}),
        tar_of({"usr/bin/python3": b"#!"}, mode=0o755),
    ]


def reference(digest: str, repository: str = "library/python") -> Reference:
    return Reference.parse(f"registry.test/{repository}:3.11@{digest}")


class TestImages:
    @pytest.mark.parametrize("token", ["", "secret"])
    def test_layers_are_those_that_were_pushed(self, server: Server, tmp_path: Path, token: str) -> None:
        server.token = token
        digest = server.push("library/python", layers(), {"Env": ["PATH=/usr/bin"]})
        told: list[str] = []
        pulled = registry.pull(reference(digest), architecture(), tmp_path / "store", on_line=told.append)
        assert [layer.path.read_bytes() for layer in pulled.layers] == layers()
        assert [layer.digest for layer in pulled.layers] == [f"sha256:{sha256(each)}" for each in layers()]
        assert pulled.config["config"]["Env"] == ["PATH=/usr/bin"]
        assert pulled.digest != digest  # the platform's manifest, not the index
        assert told
        assert ("GET /token" in server.requests) == bool(token)

    @pytest.mark.parametrize("identity", ["", "of-docker-login"])
    def test_an_identity_token_is_exchanged(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, identity: str
    ) -> None:
        server.token, server.identity = "secret", "of-docker-login"
        digest = server.push("library/python", layers(), {})
        pair = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()
        (tmp_path / "config.json").write_text(
            json.dumps({"auths": {server.host: {"auth": pair, "identitytoken": identity}}})
        )
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

        def pull() -> int:
            pulled = registry.pull(
                reference(digest), architecture(), tmp_path / "store", on_line=lambda _: None
            )
            return len(pulled.layers)

        if identity:
            assert pull() == 2
        else:
            with pytest.raises(HarnessError):
                pull()

    def test_a_login_that_gives_no_token(self, server: Server, tmp_path: Path) -> None:
        server.token, server.identity = "secret", "of-docker-login"
        server.publish("/token", b"<html>sign in to this network</html>")
        digest = server.push("library/python", layers(), {})
        with pytest.raises(
            HarnessError, match=f"where {server.host} has logins done, answered without"
        ) as caught:
            registry.pull(reference(digest), architecture(), tmp_path / "store", on_line=lambda _: None)
        assert caught.value.cause is CauseCode.SOURCE_UNREACHABLE

    def test_a_token_that_has_expired_is_renewed(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(registry, "LOGIN_S", 0.0)
        server.token = "1"
        digest = server.push("library/python", layers(), {})

        def expire(_: str) -> None:
            server.token += "1"

        assert registry.pull(reference(digest), architecture(), tmp_path, on_line=expire).layers
        assert server.requests.count("GET /token") > 1

    def test_connections_that_break_off_are_gone_on_with(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(attempts, "PAUSES_S", (0.0, 0.1, 0.2, 0.3))
        big = [*layers(), os.urandom(1 << 20)]
        digest = server.push("library/python", big, {"Env": ["PATH=/usr/bin"]}, compressed=False)
        server.token, server.cut = "secret", 0.4
        server.busy = {path for path in server.contents if "/blobs/" in path}
        pulled = registry.pull(reference(digest), architecture(), tmp_path, on_line=lambda _: None)
        assert [layer.path.read_bytes() for layer in pulled.layers] == big
        assert set(server.begun.values()) == {1}

    def test_a_digest_of_another_platform_is_refused(self, server: Server, tmp_path: Path) -> None:
        elsewhere = "arm64" if architecture() == "amd64" else "amd64"
        index = json.loads(
            server.contents[f"/v2/library/python/manifests/{server.push('library/python', layers(), {})}"]
        )
        (mine,) = (each for each in index["manifests"] if each["platform"]["architecture"] == architecture())
        with pytest.raises(HarnessError, match=f"it is for {architecture()}, and Docker runs {elsewhere}"):
            registry.pull(reference(mine["digest"]), elsewhere, tmp_path, on_line=lambda _: None)

    def test_layers_that_are_there_are_not_fetched_again(self, server: Server, tmp_path: Path) -> None:
        first = server.push("library/python", layers(), {})
        registry.pull(reference(first), architecture(), tmp_path, on_line=lambda _: None)
        second = server.push("library/python", [*layers(), tar_of({"new": b"2"})], {})
        server.requests.clear()
        pulled = registry.pull(reference(second), architecture(), tmp_path, on_line=lambda _: None)
        assert len(pulled.layers) == 3
        # Index, manifest, configuration and the one new layer.
        assert len([each for each in server.requests if each.startswith("GET")]) == 4

    def test_a_flipped_byte_anywhere_is_refused(self, server: Server, tmp_path: Path) -> None:
        digest = server.push("library/python", layers(), {})
        for number, path in enumerate(list(server.contents)):
            good = server.contents[path]
            server.flip(path)
            store = tmp_path / str(number)
            with pytest.raises(HarnessError) as caught:
                registry.pull(reference(digest), architecture(), store, on_line=lambda _: None)
            assert caught.value.cause is CauseCode.CHECKSUM_MISMATCH, path
            served = {sha256(each) for each in layers()}
            assert {Path(name).stem for name in left(store)} <= served
            server.contents[path] = good
        assert registry.pull(reference(digest), architecture(), tmp_path / "x", on_line=lambda _: None)

    def test_a_layer_that_is_not_what_the_configuration_says(self, server: Server, tmp_path: Path) -> None:
        """Each blob has its digest, but what is in one is not the layer that was built."""
        digest = server.push("library/python", layers(), {})
        real = gzip.compress

        def other(data: bytes, *arguments: int, **options: int) -> bytes:
            return real(data.replace(b"old", b"new"), *arguments, **options)

        gzip.compress = other
        try:
            digest = server.push("library/python", layers(), {})
        finally:
            gzip.compress = real
        with pytest.raises(HarnessError) as caught:
            registry.pull(reference(digest), architecture(), tmp_path, on_line=lambda _: None)
        assert caught.value.cause is CauseCode.CHECKSUM_MISMATCH

    def test_a_mirror_may_have_a_path_of_its_own(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(mirrors.VARIABLE, f"registry.test={server.url}/hub")
        digest = server.push("hub/library/python", layers(), {})
        assert registry.pull(reference(digest), architecture(), tmp_path, on_line=lambda _: None).layers

    def test_a_mirror_that_docker_has_is_asked_first(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(mirrors.VARIABLE)
        monkeypatch.setattr(mirrors.docker_client, "hub_mirrors", lambda: (server.url,))
        digest = server.push("library/python", layers(), {})
        hub = Reference.parse(f"docker.io/library/python@{digest}")
        assert registry.pull(hub, architecture(), tmp_path, on_line=lambda _: None).layers
        # One that lacks the image is passed over; what is asked next can't be reached from a test.
        monkeypatch.setattr(mirrors, "_REGISTRY_HOSTS", {"docker.io": "127.0.0.1:9"})
        with serving() as empty:
            monkeypatch.setattr(mirrors.docker_client, "hub_mirrors", lambda: (empty.url, server.url))
            assert registry.pull(hub, architecture(), tmp_path / "2", on_line=lambda _: None).layers
            assert empty.requests
            monkeypatch.setattr(mirrors.docker_client, "hub_mirrors", lambda: (empty.url,))
            with pytest.raises(HarnessError, match=r"127\.0\.0\.1:9 can't be reached"):
                registry.pull(hub, architecture(), tmp_path / "3", on_line=lambda _: None)

    def test_none_for_the_platform(self, server: Server, tmp_path: Path) -> None:
        digest = server.push("library/python", layers(), {})
        with pytest.raises(HarnessError, match="none for linux/riscv64") as caught:
            registry.pull(reference(digest), "riscv64", tmp_path, on_line=lambda _: None)
        assert caught.value.cause is CauseCode.IMAGE_NOT_STARTABLE

    def test_an_image_that_is_not_there(self, server: Server, tmp_path: Path) -> None:
        with pytest.raises(HarnessError, match="status 404") as caught:
            registry.pull(reference(f"sha256:{'1' * 64}"), architecture(), tmp_path, on_line=lambda _: None)
        assert caught.value.cause is CauseCode.SOURCE_UNREACHABLE


class TestInstallers:
    """pip and its like are no part of an image: no lock names them, and a base made of packages has none."""

    SITE = "usr/local/lib/python3.11/site-packages"

    def test_they_are_taken_out_and_nothing_else(self, server: Server, tmp_path: Path) -> None:
        kept = {
            "usr/local/bin/python3.11": b"",
            "usr/local/lib/python3.11/os.py": b"",
            "etc/passwd": b"root\n",
        }
        first = {f"{self.SITE}/setuptools/__init__.py": b"", f"{self.SITE}/distutils-precedence.pth": b""}
        second = {
            f"{self.SITE}/pip/__init__.py": b"",
            "usr/local/bin/pip3.11": b"",
            "usr/local/bin/wheel": b"",
        }
        first |= {f"{self.SITE}/setuptools-79.0.1.dist-info/METADATA": b""}
        digest = server.push("library/python", [tar_of({**kept, **first}), tar_of(second)], {})
        base = published._pulled(reference(digest), architecture(), lambda _: None, user=True)
        with tarfile.open(base.layers[-1].path) as archive:
            files = [member.name for member in archive if member.isfile()]
            archive.getmembers()
        gone = ("setuptools", "distutils-precedence.pth", "setuptools-79.0.1.dist-info", "pip")
        wanted = {f"{self.SITE}/.wh.{name}" for name in gone}
        assert set(files) == {"etc/passwd", "usr/local/bin/.wh.pip3.11", "usr/local/bin/.wh.wheel", *wanted}

    def test_folders_keep_their_modes(self, server: Server) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, mode in (("usr", 0o755), ("usr/local", 0o2775), (self.SITE, 0o750)):
                member = tarfile.TarInfo(name)
                member.type, member.mode = tarfile.DIRTYPE, mode
                archive.addfile(member)
            archive.addfile(tarfile.TarInfo(f"{self.SITE}/pip.py"))
        digest = server.push("library/python", [buffer.getvalue()], {})
        base = published._pulled(reference(digest), architecture(), lambda _: None, user=True)
        with tarfile.open(base.layers[-1].path) as made:
            modes = {member.name: member.mode for member in made if member.isdir()}
        assert (modes["usr/local"], modes[self.SITE], modes["usr/local/lib"]) == (0o2775, 0o750, 0o755)


class TestService:
    def image(self, digest: str) -> Image:
        return published.service_image(
            reference(digest, "library/nginx"), architecture(), on_line=lambda _: None
        )

    def test_fetched_once_and_again_when_the_store_was_emptied(self, server: Server, tmp_path: Path) -> None:
        settings = {"Env": ["PATH=/usr/sbin:/bin", "A=b=c"], "Entrypoint": ["/start"], "Cmd": ["nginx"]}
        digest = server.push("library/nginx", layers(), settings)
        first = self.image(digest)
        assert first.reference.startswith("harness.local/nginx:")
        config = json.loads(first.config)
        assert config["config"]["Env"] == ["A=b=c", "PATH=/usr/sbin:/bin"]
        assert config["config"]["Entrypoint"] == ["/start"]
        assert config["rootfs"]["diff_ids"] == [f"sha256:{sha256(each)}" for each in layers()]
        server.requests.clear()
        assert self.image(digest) == first
        assert server.requests == []
        shutil.rmtree(tmp_path / "cache" / "layers")
        assert self.image(digest) == first
        assert server.requests

    def test_docker_can_be_given_it(self, server: Server, tmp_path: Path) -> None:
        image = self.image(server.push("library/nginx", layers(), {}))
        with tarfile.open(fileobj=io.BytesIO(b"".join(docker_archive(image)))) as tar:
            contents = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        (manifest,) = json.loads(contents["manifest.json"])
        assert manifest["RepoTags"] == [image.reference]
        assert [contents[name] for name in manifest["Layers"]] == layers()
        assert contents[manifest["Config"]] == image.config


class TestNodeImage:
    @pytest.mark.parametrize(
        ("mirror", "name"),
        [
            ("", "docker.io/kindest/node"),
            ("docker.io=https://mirror.example/hub", "mirror.example/hub/kindest/node"),
            ("docker.io=http://127.0.0.1:5000", "127.0.0.1:5000/kindest/node"),
        ],
    )
    def test_docker_pulls_it_at_the_mirror(
        self, monkeypatch: pytest.MonkeyPatch, mirror: str, name: str
    ) -> None:
        monkeypatch.setenv(mirrors.VARIABLE, mirror)
        node = Reference.parse(pins.load().images.node)
        assert sourcing.docker_name(node) == f"{name}@{node.digest}"

    def test_the_tools_that_the_cluster_remembers(self, server: Server, tmp_path: Path) -> None:
        origin = {"source": "release"}
        for name in release_tools.NAMES:
            content = f"{name}".encode()
            pinned = pin(content, url=f"https://github.com/{name}")
            server.publish(path_of(pinned), content)
            origin[f"{name}_file"] = release_tools.download_tool(name, pinned, lambda _: None).key
        found = sourcing.present_tools(origin)
        assert found is not None
        assert [path.read_text() for path in (found.kind, found.helm, found.kubectl)] == [
            "kind",
            "helm",
            "kubectl",
        ]
        shutil.rmtree(tmp_path / "cache" / "release")
        assert sourcing.present_tools(origin) is None


class TestDoctor:
    def test_hosts_that_answer(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        hosts = ("github.com", "get.helm.sh", "dl.k8s.io", "docker.io")
        monkeypatch.setenv(mirrors.VARIABLE, " ".join(f"{host}={server.url}" for host in hosts))
        assert release_hosts.addresses() == (server.url,)
        assert release_hosts.silent() == ()
        found = tool_checks.release_sources((), release_hosts.addresses(), sources="release")
        assert (found.status, found.found) == ("ok", f"{server.host} answer")

    def test_one_that_does_not(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        listed = [f"{host}={server.url}" for host in ("github.com", "get.helm.sh", "dl.k8s.io")]
        monkeypatch.setenv(mirrors.VARIABLE, " ".join([*listed, "docker.io=http://127.0.0.1:9"]))
        silent = release_hosts.silent()
        assert [error.message.partition(" ")[0] for error in silent] == ["127.0.0.1:9"]
        hosts = release_hosts.addresses()
        missing = tool_checks.release_sources(silent, hosts, sources="release")
        assert (missing.status, missing.cause) == ("missing", CauseCode.SOURCE_UNREACHABLE)
        assert missing.hint
        packages = tool_checks.release_sources(silent, hosts, sources="auto")
        assert packages.status == "ok"
        assert packages.found.endswith("packages will be used")


class TestPins:
    def test_ours_are_whole(self) -> None:
        found = pins.load()
        for tool in (found.kind, found.helm, found.kubectl):
            assert sorted(tool.sha256) == ["darwin-amd64", "darwin-arm64", "linux-amd64", "linux-arm64"]
            assert tool.url.format(version=tool.version, os="linux", arch="arm64").startswith("https://")

    def test_both_sources_give_the_same_kubernetes(self) -> None:
        found = pins.load()
        assert found.kind.version == versions.KIND
        assert found.kubectl.version == versions.KUBERNETES
        assert Reference.parse(found.images.node).tag == versions.KUBERNETES
        assert found.helm.version.split(".")[:2] == versions.HELM.split(".")[:2]
        assert Reference.parse(found.images.python).tag.startswith(f"{versions.DEBIAN_PYTHON}.")

    def test_another_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import harness

        text = (Path(harness.__file__).parent / "pins.toml").read_text().replace("v4.3.0", "v4.9.9")
        (tmp_path / "pins.toml").write_text(text)
        monkeypatch.setenv(pins.VARIABLE, str(tmp_path / "pins.toml"))
        assert pins.load().helm.version == "v4.9.9"

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("aee6151561422756", "xyz", "kind.sha256.linux-amd64"),
            ("@sha256:a1ed", ":latest@sha256:", "images.node"),
            ("[kind]", "[knid]", "kind"),
            ("[kind]", "[kind", "line"),
        ],
    )
    def test_a_broken_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, problem: str
    ) -> None:
        import harness

        text = (Path(harness.__file__).parent / "pins.toml").read_text().replace(old, new, 1)
        (tmp_path / "pins.toml").write_text(text)
        monkeypatch.setenv(pins.VARIABLE, str(tmp_path / "pins.toml"))
        with pytest.raises(HarnessError) as caught:
            pins.load()
        assert caught.value.cause is CauseCode.CONFIG_INVALID
        assert problem in "\n".join([caught.value.message, *caught.value.evidence])


def test_unknown_words_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sources.VARIABLE, "relaese")
    with pytest.raises(HarnessError, match="relaese") as caught:
        sources.asked()
    assert caught.value.cause is CauseCode.USAGE
    assert sources.asked(sources.Sources.RELEASE) is sources.Sources.RELEASE
    monkeypatch.setenv(mirrors.VARIABLE, "github.com")
    with pytest.raises(HarnessError, match="no mirror"):
        mirrors.load()
