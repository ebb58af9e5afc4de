"""What kind of machine this is, and which command would give it what it lacks."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

FIX = "harness doctor --fix"
SUDO_FIX = 'sudo "$(command -v harness)" doctor --fix'
DOCKER_DESKTOP = Path("/Applications/Docker.app")
DOCKER_INSTALL_PAGE = "https://docs.docker.com/engine/install/"
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def architecture() -> str:
    """This machine's architecture by Go's and OCI's name."""
    return ARCHITECTURES.get(platform.machine().lower(), platform.machine().lower())


@dataclass(frozen=True)
class Machine:
    """The operating system and what this user may do on it."""

    system: str  # Linux, Darwin, Windows: as platform.system() says
    architecture: str
    distribution: str = ""
    is_root: bool = False
    has_apt: bool = False
    has_systemd: bool = False
    is_wsl: bool = False

    @property
    def is_linux(self) -> bool:
        return self.system == "Linux"

    @property
    def can_fix(self) -> bool:
        """Whether `doctor --fix` can install things here: as root, with apt-get."""
        return self.is_linux and self.is_root and self.has_apt

    def __str__(self) -> str:
        name = {"Darwin": "macOS"}.get(self.system, self.distribution or self.system)
        return f"{name}{' (WSL)' if self.is_wsl else ''}, {self.architecture}"


def read() -> Machine:
    """This machine; asks nothing that its system does not have."""
    system = platform.system()
    if system != "Linux":
        return Machine(system, platform.machine())
    return Machine(
        system,
        platform.machine(),
        distribution=_distribution(),
        is_root=os.geteuid() == 0,
        has_apt=Path("/usr/bin/apt-get").exists(),
        has_systemd=Path("/run/systemd/system").is_dir(),
        is_wsl="microsoft" in platform.release().lower(),
    )


def docker_install_hint(machine: Machine) -> str:
    """The command that installs Docker."""
    if machine.system == "Darwin":
        return "brew install --cask docker && open -a Docker"
    if machine.system == "Windows":
        return "wsl --install, then run harness inside WSL"
    if machine.is_wsl:
        return "Docker Desktop > Settings > Resources > WSL integration: enable it for this distribution"
    if machine.has_apt:
        return FIX if machine.is_root else SUDO_FIX
    return (
        f"install Docker Engine ({DOCKER_INSTALL_PAGE}), then: {_sudo(machine)}systemctl enable --now docker"
    )


def docker_start_hint(machine: Machine, url: str = "", origin: str = "") -> str:
    """The command that starts an installed Docker, by where it would answer and who says so."""
    named = _start_of_other(machine, url, origin)
    if named:
        return named
    if not machine.is_linux:
        return docker_install_hint(machine)
    if machine.can_fix:
        return FIX
    if machine.has_systemd:
        return f"{_sudo(machine)}systemctl enable --now docker"
    return SUDO_FIX if machine.has_apt else f"{_sudo(machine)}dockerd"


def _start_of_other(machine: Machine, url: str, origin: str) -> str:
    """What starts a Docker that is not this machine's usual daemon; empty where it is that."""
    is_mac = machine.system == "Darwin"
    if "/colima/" in url.replace("/.", "/") or origin.startswith("context colima"):
        return "colima start"
    if "/.docker/" in url or origin.startswith("context desktop"):
        return "open -a Docker" if is_mac else "systemctl --user start docker-desktop"
    if "/run/user/" in url or origin == "context rootless":
        return "systemctl --user start docker"
    if is_mac:
        return "colima start" if shutil.which("colima") and not DOCKER_DESKTOP.exists() else "open -a Docker"
    return ""


def docker_permission_hint(machine: Machine) -> str:
    """The command that lets this user use Docker."""
    if machine.system == "Darwin":
        return "open -a Docker"
    return 'sudo usermod -aG docker "$USER", then log in again (or for this shell: newgrp docker)'


def package_hint(machine: Machine, package: str, *, macos: str = "", elsewhere: str = "") -> str:
    """The command that installs a package."""
    if machine.system == "Darwin":
        return macos or f"brew install {package}"
    if machine.can_fix:
        return FIX
    if machine.has_apt:
        return f"sudo apt-get install {package}"
    return elsewhere or f"install {package} with this system's package manager"


def sysctl_hint(machine: Machine, **values: int) -> str:
    """The command that sets kernel parameters; `fs__inotify__max` stands for fs.inotify.max."""
    if machine.can_fix:
        return FIX
    words = " ".join(f"{name.replace('__', '.')}={value}" for name, value in values.items())
    return f"{_sudo(machine)}sysctl -w {words}"


def _sudo(machine: Machine) -> str:
    return "" if machine.is_root else "sudo "


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
