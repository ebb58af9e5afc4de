"""What `harness doctor --fix` does, with nothing done in earnest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from machine_samples import (
    BARE_ROOT,
    DEBIAN,
    FEDORA,
    MACOS,
    NOT_RUNNING,
    USUAL,
    WINDOWS,
    all_missing,
    report,
)

from harness.host import machine
from harness.host.docker import daemon as docker_daemon
from harness.host.doctor import apt, docker_checks, fixes, tool_checks
from harness.host.machine import Machine
from harness.progress import Silent


class Recorder(Silent):
    """Progress that keeps the titles."""

    def __init__(self) -> None:
        self.titles: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator:
        self.titles.append(title)
        with super().step(title) as step:
            yield step


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A machine of root's without systemd and without dockerd; the list fills with what is done to it."""
    done: list[str] = []

    def install(packages: tuple[str, ...], step: object) -> None:
        done.append(f"apt {' '.join(packages)}")

    def start(step: object, *, ready: object) -> str:
        done.append("start")
        return "started Docker"

    def runtime() -> tuple[str, ...]:
        done.append("runtime")
        return ("installed the runtime",)

    monkeypatch.setattr(fixes, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(machine, "read", lambda: BARE_ROOT)
    monkeypatch.setattr(apt, "install", install)
    monkeypatch.setattr(docker_daemon, "find_program", lambda: None)
    monkeypatch.setattr(docker_daemon, "runs_systemd", lambda: False)
    monkeypatch.setattr(docker_daemon, "lacking_capabilities", lambda: ("CAP_SYS_RESOURCE",))
    monkeypatch.setattr(docker_daemon, "install_bounded_runtime", runtime)
    monkeypatch.setattr(docker_daemon, "is_listening", lambda: False)
    monkeypatch.setattr(docker_daemon, "start", start)
    monkeypatch.setattr(fixes, "_answers", lambda: False)
    monkeypatch.setattr(fixes.shutil, "which", lambda name: "/usr/bin/docker")
    monkeypatch.setattr(tool_checks, "DEBIAN_KEYRING", tmp_path / "keyring")
    return done


NO_DOCKER = report(
    docker_checks.cli(None, BARE_ROOT),
    docker_checks.daemon(NOT_RUNNING, BARE_ROOT, is_installed=False, where=USUAL),
    tool_checks.mmdebstrap(None, BARE_ROOT, sources="packages", has_keyring=False),
)


def test_fixes_come_in_an_order_that_works(world: list[str]) -> None:
    progress = Recorder()
    lines = fixes.fix(NO_DOCKER, progress)
    packages = "apt docker.io containerd runc iptables iproute2 mmdebstrap debian-archive-keyring"
    assert world == ["runtime", packages, "start"]
    assert lines[0] == "installed the runtime"
    assert lines[-1] == "started Docker"
    assert len(progress.titles) == 4


def test_a_machine_that_allows_everything_keeps_the_usual_runtime(
    world: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_daemon, "lacking_capabilities", lambda: ())
    fixes.fix(NO_DOCKER, Silent())
    assert "runtime" not in world


def test_a_daemon_that_is_installed_is_only_started(
    world: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_daemon, "find_program", lambda: "/usr/sbin/dockerd")
    down = docker_checks.daemon(NOT_RUNNING, BARE_ROOT, is_installed=True, where=USUAL)
    fixes.fix(report(down), Silent())
    assert world == ["runtime", "start"]


@pytest.mark.parametrize("host", [DEBIAN, FEDORA, MACOS, WINDOWS, replace(FEDORA, is_root=True)], ids=str)
def test_nothing_is_done_without_root_or_apt(
    world: list[str], monkeypatch: pytest.MonkeyPatch, host: Machine
) -> None:
    monkeypatch.setattr(machine, "read", lambda: host)
    assert fixes.fix(report(*all_missing(host)), Silent()) == ()
    assert fixes.fix(NO_DOCKER, Silent()) == ()
    assert world == []


def test_nothing_is_done_where_all_is_well(world: list[str]) -> None:
    assert fixes.fix(report(docker_checks.cli("/usr/bin/docker", BARE_ROOT)), Silent()) == ()
    assert world == []
