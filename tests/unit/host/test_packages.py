"""The list of Debian packages of a root file system, from dpkg's own record."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from harness.host.sources.packages import STATUS, packages, parse_status

TEXT = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u13
Description: GNU C Library: Shared libraries
 Version: not a field, but a line of the description
 .
 more

Package: gone
Status: deinstall ok config-files
Version: 1.0

Package: adduser
Status: hold ok installed
Version: 3.134
"""


def rootfs(path: Path, name: str | None) -> Path:
    with tarfile.open(path, "w") as archive:
        if name is not None:
            member = tarfile.TarInfo(name)
            member.size = len(TEXT.encode())
            archive.addfile(member, io.BytesIO(TEXT.encode()))
    return path


def test_installed_packages_by_name() -> None:
    assert list(parse_status(TEXT).items()) == [("adduser", "3.134"), ("libc6", "2.36-9+deb12u13")]


@pytest.mark.parametrize("name", [STATUS, f"./{STATUS}"])
def test_read_once_and_kept_beside(name: str, tmp_path: Path) -> None:
    tar = rootfs(tmp_path / "rootfs.tar", name)
    found = packages(tar)
    assert found == {"adduser": "3.134", "libc6": "2.36-9+deb12u13"}
    tar.unlink()
    assert packages(tar) == found


def test_without_a_record_of_dpkg(tmp_path: Path) -> None:
    assert packages(rootfs(tmp_path / "rootfs.tar", None)) == {}
