"""Docker as people have it: a daemon that maps users, and one that sees none of the user's files."""

from __future__ import annotations

import os
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker.errors
import other_daemon
import pytest
from git_repository import git, make

from harness.host import cache
from harness.host.docker import client, privileged_probe
from harness.image.base import debian
from harness.image.dependencies import bytecode, source

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not other_daemon.can_be_made(), reason="only root may make namespaces"),
]
# A package whose build backend lies in it, so that building needs no index.
PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "ours"
version = "0.3"
"""
BACKEND = """\
import pathlib, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "ours-0.3-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        wheel.writestr("ours.py", "A = 1\\n")
        wheel.writestr("ours-0.3.dist-info/METADATA", "Metadata-Version: 2.1\\nName: ours\\nVersion: 0.3\\n")
        wheel.writestr("ours-0.3.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("ours-0.3.dist-info/RECORD", "")
    return name
"""
SITE = "usr/local/lib/python3/dist-packages"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below the home, which one of them does not see; containers' root must get through to it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def mapped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with other_daemon.with_mapped_users(folder) as daemon:
        monkeypatch.setenv("DOCKER_HOST", daemon.url)
        yield daemon.url


@pytest.fixture
def homeless(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with other_daemon.without_home(folder) as daemon:
        monkeypatch.setenv("DOCKER_HOST", daemon.url)
        yield daemon.url


def base_image() -> str:
    """One of the bases that this machine's own daemon has."""
    argv = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", debian.REPOSITORY]
    listed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    if not listed:
        pytest.skip("no base image yet: harness up makes one")
    return listed[-1]


def given(image: str, url: str) -> None:
    """Let the other daemon have an image of this machine's own."""
    elsewhere = {key: value for key, value in os.environ.items() if key != "DOCKER_HOST"}
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE, env=elsewhere) as saving:
        subprocess.run(
            ["docker", "--host", url, "load"], stdin=saving.stdout, check=True, capture_output=True
        )
        assert saving.wait() == 0


@pytest.fixture(params=["mapped", "homeless"])
def image(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A base that either daemon was given, in which this test's commands run."""
    name = base_image()
    given(name, request.getfixturevalue(request.param))
    monkeypatch.setattr(debian, "in_docker", lambda _: name)
    return name


def probed(folder: Path) -> tuple[Any, Any]:
    with closing(client.connect()) as found:
        architecture = found.info()["Architecture"]
        return privileged_probe.probe(found, architecture), privileged_probe.sees(found, architecture, folder)


def test_a_daemon_that_maps_users_starts_what_kind_starts(mapped: str) -> None:
    started, seen = probed(cache.root())
    assert started.started, started.detail
    assert seen.started, seen.detail
    with closing(client.connect()) as found, pytest.raises(docker.errors.APIError, match="user namespaces"):
        found.containers.run("harness-doctor", privileged=True)  # what the probe must not do


def test_a_daemon_in_a_sandbox_is_found_out(homeless: str, folder: Path) -> None:
    started, seen = probed(Path.home() / ".cache")
    assert started.started, started.detail
    assert seen.started is False
    assert probed(folder)[1].started
    assert not client.sees(Path.home() / ".cache")


@pytest.mark.usefixtures("image")
def test_packages_are_compiled_by_either(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    (packages / "airflow" / "inner").mkdir(parents=True)
    (packages / "airflow" / "__init__.py").write_text("A = 1\n")
    (packages / "airflow" / "inner" / "template.py").write_text("{{ no Python }}\n")
    packages.chmod(0o700)
    base: Any = SimpleNamespace(site_directory=SITE)
    bytecode.compile_packages(packages, base, tmp_path / "compile.log")
    (made,) = packages.rglob("*.pyc")
    assert made.parent == packages / "airflow" / "__pycache__"


@pytest.mark.usefixtures("image")
def test_a_package_without_a_wheel_is_built_by_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    ours = make(tmp_path / "ours", {"pyproject.toml": PROJECT, "backend.py": BACKEND})
    wanted = source.Source("ours", f"git+file://{ours}@{git(ours, 'rev-parse', 'HEAD')}")
    tools: Any = SimpleNamespace(digest="sha256:any")
    (wheel,) = source.wheels([wanted], tools=tools, as_of="", on_line=lambda _: None, log=tmp_path / "log")
    assert wheel.name == "ours-0.3-py3-none-any.whl"
    assert zipfile.ZipFile(wheel).read("ours.py") == b"A = 1\n"
    assert [each.name for each in wheel.parent.iterdir()] == [wheel.name]
