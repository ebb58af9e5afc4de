"""Debian packages, installed without questions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from harness.errors import CauseCode
from harness.host import process
from harness.progress import Step

LISTS = Path("/var/lib/apt/lists")
LISTS_FRESH_S = 24 * 3600.0
_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}


def install(packages: Sequence[str], step: Step) -> None:
    """Install packages and what they depend on, refreshing apt's lists first when missing or a day old.

    Waits up to two minutes for another apt or dpkg. Raises ProgramError(TOOL_MISSING) with apt's last lines.
    """
    if not _lists_are_fresh():
        _refresh(step)
    try:
        _install(packages, step)
    except process.ProgramError:
        _refresh(step)  # a list that names packages the mirror has replaced since
        _install(packages, step)


def has(package: str) -> bool:
    """Whether apt could install `package`, by the lists it has."""
    shown = process.run(["apt-cache", "policy", package], check=False).stdout
    return any(line.strip().startswith("Candidate:") and "(none)" not in line for line in shown.splitlines())


def _lists_are_fresh() -> bool:
    ages = [time.time() - path.stat().st_mtime for path in LISTS.glob("*_Packages*")]
    return bool(ages) and min(ages) < LISTS_FRESH_S


def _refresh(step: Step) -> None:
    step.update("apt-get update")
    _apt(["update"], step)


def _install(packages: Sequence[str], step: Step) -> None:
    step.update(f"apt-get install {' '.join(packages)}")
    _apt(["install", "-y", "--no-install-recommends", *packages], step)


def _apt(arguments: list[str], step: Step) -> None:
    def show(line: str) -> None:
        if line.startswith(("Get:", "Setting up", "Unpacking", "Waiting for")):
            step.update(line[:80])

    process.stream(
        ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0", *arguments],
        on_line=show,
        env=_QUIET,
        cause=CauseCode.TOOL_MISSING,
        hint=f"apt-get {' '.join(arguments)}",
    )
