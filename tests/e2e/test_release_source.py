"""A cluster made from a release: files, node and images served on this machine under pins of the test's own.

What is published here was built from packages, so kind's node has no systemd; its containerd discards unpacked
layers of what it pulls, as kind's own nodes' does.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import scratch
from command import Harness, explained, loaded, only_version
from packaging.utils import canonicalize_name
from release_server import Server, serving, tar_of

import harness
from harness.cluster.kind import kind, network
from harness.cluster.kind.node_image import image as node_images
from harness.cluster.kind.node_image.program import Tools, built
from harness.host import process
from harness.host.machine import architecture
from harness.host.sources import debian, mirrors, pins, release_tools
from harness.image.base import debian as base
from harness.image.dependencies.lock_file import requirements

pytestmark = pytest.mark.slow  # eight minutes, and a third cluster on the machine
NAME = "harness-release"
VERSIONS = {"kind": "v0.33.0", "helm": "v4.3.0", "kubectl": "v1.37.0"}
# As the published Python has them: no part of any lock.
SITE = "usr/local/lib/python3.11/dist-packages"
INSTALLERS = {
    f"{SITE}/pip/__init__.py": b"",
    f"{SITE}/pip-24.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: pip\nVersion: 24.0\n",
    f"{SITE}/setuptools/__init__.py": b"",
    f"{SITE}/setuptools-79.0.1.dist-info/METADATA": b"Metadata-Version: 2.1\nName: setuptools\nVersion: 79.0.1\n",
}
# The share of the packages in the image that are in the lock, as they stand in the task's own process.
LOCKED_SHARE = """\
import importlib.metadata
from packaging.utils import canonicalize_name

LOCKED = {locked!r}


def accuracy():
    there = [canonicalize_name(each.name) for each in importlib.metadata.distributions()]
    print("not locked:", sorted(set(there) - LOCKED), "twice:", len(there) - len(set(there)))
    return sum(name in LOCKED for name in there) / len(there)
"""
PINNED = """\
[{name}]
version = "{version}"
url = "https://{host}/{name}{suffix}"
member = "{member}"
[{name}.sha256]
{platform} = "{sha256}"
"""


@dataclass(frozen=True)
class Release:
    """What is published, and the environment that makes the program take it from here."""

    server: Server
    env: Mapping[str, str]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    tools, roots = built(), [debian.built(each) for each in (base.recipe("3.11"), node_images.SYSTEM)]
    if tools is None or None in roots:
        pytest.skip("what is published here is built from packages first: harness up --sources packages")
    folder = tmp_path_factory.mktemp("release")
    python, system = (each for each in roots if each is not None)
    with serving() as server:
        lines = [_tool(server, name, tools) for name in VERSIONS]
        layers, config = _saved(_node(folder), folder)
        images = {
            "node": server.push("kindest/node", layers, config, compressed=False),
            "python": server.push(
                "library/python",
                [python, tar_of({"etc/published": b"", **INSTALLERS})],
                {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"]},
                compressed=False,
            ),
            "postgresql": server.push("library/postgres", [system], {}, compressed=False),
            "gateway": server.push("library/nginx", [system], {}, compressed=False),
        }
        names = {"node": "kindest/node", "python": "library/python", "postgresql": "library/postgres"}
        lines.append("[images]")
        for name, digest in images.items():
            lines.append(f'{name} = "docker.io/{names.get(name, "library/nginx")}@{digest}"')
        (folder / "pins.toml").write_text("\n".join(lines))
        hosts = ("github.com", "get.helm.sh", "dl.k8s.io")
        stands_for = [f"{host}={server.url}" for host in (*hosts, "docker.io")]
        yield Release(
            server,
            {pins.VARIABLE: str(folder / "pins.toml"), mirrors.VARIABLE: " ".join(stands_for)},
        )
        for name in (f"{server.host}/kindest/node@{images['node']}", _discarding()):
            process.run(["docker", "image", "rm", "--force", name], check=False)


@pytest.fixture(scope="module")
def program() -> Iterator[Harness]:
    program = Harness(NAME)
    yield program
    program(Path.cwd(), "down", "--force")


def _tool(server: Server, name: str, tools: Tools) -> str:
    """Publish a tool, Helm in an archive as it is in the world; returns its pin."""
    path: Path = getattr(tools, name)
    platform = f"linux-{architecture()}"
    member = f"{platform}/helm" if name == "helm" else ""
    suffix = ".tar.gz" if member else ""
    # A link to the one program that plays all roles: published by itself it is found by its own name.
    content: bytes | Path = tar_of({member: path.read_bytes()}, mode=0o755) if member else path.resolve()
    sha256 = server.publish(f"/{name}{suffix}", content)
    host = {"kind": "github.com", "helm": "get.helm.sh", "kubectl": "dl.k8s.io"}[name]
    return PINNED.format(
        name=name,
        version=VERSIONS[name],
        host=host,
        suffix=suffix,
        member=member,
        platform=platform,
        sha256=sha256,
    )


def _discarding() -> str:
    return "harness-test/node:discarding"


def _node(folder: Path) -> str:
    """The node image with a containerd that discards unpacked layers; returns its name."""

    def unseen(_: str) -> None: ...

    made = node_images.node_image(on_line=unseen, log=folder / "log").name
    context = folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(
        f"FROM {made}\n"
        "RUN sed -i 's/discard_unpacked_layers = false/discard_unpacked_layers = true/' "
        "/etc/containerd/config.toml && grep -q 'layers = true' /etc/containerd/config.toml\n"
    )
    process.run(["docker", "build", "--quiet", "--tag", _discarding(), context])
    return _discarding()


def _saved(name: str, folder: Path) -> tuple[list[bytes | Path], dict[str, object]]:
    """An image's layers and configuration as Docker gives them out."""
    saved = folder / "saved"
    process.run(["docker", "save", "--output", saved.with_suffix(".tar"), name])
    with tarfile.open(saved.with_suffix(".tar")) as tar:
        tar.extractall(saved, filter="data")
    saved.with_suffix(".tar").unlink()
    (manifest,) = json.loads((saved / "manifest.json").read_text())
    config = json.loads((saved / manifest["Config"]).read_text())["config"]
    return [saved / layer for layer in manifest["Layers"]], config


def test_a_flipped_byte_is_refused(release: Release, program: Harness, tmp_path: Path) -> None:
    good = release.server.contents["/kubectl"]
    release.server.flip("/kubectl")
    try:
        env = {**release.env, "HARNESS_CACHE_DIR": str(tmp_path / "cache")}
        refused = program(tmp_path, "up", "--sources", "release", **env)
    finally:
        release.server.contents["/kubectl"] = good
    assert refused.returncode == 4, explained(refused)
    assert "/kubectl was refused and deleted: its SHA-256 is not the pinned one" in refused.stderr
    assert "hint:" in refused.stderr
    kept = {path.name for path in (tmp_path / "cache" / "release").rglob("*") if path.is_file()}
    assert {name for name in kept if not name.endswith(".lock")} == {"kind", "helm"}
    assert kind.node_container(NAME) is None


def test_from_up_to_down(release: Release, program: Harness, tiny: scratch.Scratch, tmp_path: Path) -> None:
    server = release.server
    server.cut, server.busy, server.uncut = (
        0.4,
        set(server.contents),
        "/v2/kindest/node/",
    )  # which Docker pulls
    server.begun.clear()
    cache = {"HARNESS_CACHE_DIR": str(tmp_path / "cache")}
    env = {**release.env, **cache}
    made = program(tiny.root, "up", "--sources", "release", **env)
    server.cut = 0.0
    assert made.returncode == 0, explained(made)
    begun = {path: count for path, count in server.begun.items() if not path.startswith(server.uncut)}
    assert begun
    assert set(begun.values()) == {1}, begun
    assert "sources  release: kind v0.33.0, helm v4.3.0, kubectl v1.37.0 as published" in made.stderr
    config = process.run(["docker", "exec", network.node_name(NAME), "containerd", "config", "dump"]).stdout
    assert "discard_unpacked_layers = true" in config

    # The release's host is gone by now, and whoever tests need not know where the cluster came from.
    first = _tested(program, tiny, tmp_path, cache)
    locked = {
        canonicalize_name(each.partition("==")[0])
        for each in requirements((tiny.root / "dags/requirements.lock").read_text())
    }
    tiny.write("dags/tiny_model.py", LOCKED_SHARE.format(locked=locked))
    second = _tested(program, tiny, tmp_path, cache)
    assert second["tests"][0]["metrics"]["accuracy"]["value"] == 1.0
    assert second["load_bytes"] < 100_000  # an import keeps its layers, also there
    assert second["image"]["base_digest"] == first["image"]["base_digest"]

    # What is discarded all the same is sent again.
    node = network.node_name(NAME)
    process.run(["docker", "exec", node, "ctr", "-n", "k8s.io", "content", "prune", "references"])
    tiny.write("dags/tiny_model.py", scratch.tiny_model(0.98))
    third = _tested(program, tiny, tmp_path, cache)
    assert third["load_bytes"] > 100_000_000

    again = program(tiny.root, "up", "--sources", "packages", **env)
    assert again.returncode == 0, explained(again)
    assert f"sources: release, as cluster {NAME} was made from" in again.stderr

    gone = program(tiny.root, "down", **cache)
    assert gone.returncode == 0, explained(gone)


def _tested(
    program: Harness, tiny: scratch.Scratch, folder: Path, cache: Mapping[str, str]
) -> dict[str, Any]:
    report = folder / "result.json"
    done = program(tiny.root, "test", "--json", report, **cache)
    assert done.returncode == 0, explained(done)
    return only_version(loaded(report))


def test_pins_of_the_test_are_of_the_versions_that_are_pinned() -> None:
    text = (Path(harness.__file__).parent / "pins.toml").read_text(encoding="utf-8")
    assert all(f'version = "{version}"' in text for version in VERSIONS.values())
    assert set(VERSIONS) == set(release_tools.NAMES)
