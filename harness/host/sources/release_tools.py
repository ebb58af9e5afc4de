"""kind, Helm and kubectl: those on PATH where their version fits, else the published files, pinned."""

from __future__ import annotations

import platform
import re
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.host import cache, process
from harness.host.machine import architecture
from harness.host.sources import download, mirrors, network_errors
from harness.host.sources.pins import ToolPin

NAMES = ("kind", "helm", "kubectl")
_ASK = {"kind": ("version",), "helm": ("version", "--short"), "kubectl": ("version", "--client")}
_VERSION = re.compile(r"\bv(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True)
class Tool:
    """A program, its version, and the key of the cache entry that holds it; empty for one on PATH."""

    name: str
    path: Path
    version: str
    key: str

    @property
    def is_on_path(self) -> bool:
        return not self.key


def fits(name: str, version: tuple[int, ...], pinned: tuple[int, ...]) -> bool:
    """Whether a version does as well as the pinned one.

    kind knows its own node images only: the same minor version. Helm keeps to its major version. kubectl
    talks to servers one minor version away.
    """
    if name == "kind":
        return version[:2] == pinned[:2]
    if name == "helm":
        return version[0] == pinned[0] and version[1] >= pinned[1]
    return version[0] == pinned[0] and abs(version[1] - pinned[1]) <= 1


def parse_version(text: str) -> tuple[int, ...] | None:
    """(0, 33, 0) from what a program says of its version."""
    found = _VERSION.search(text)
    return tuple(map(int, found.groups())) if found else None


def on_path(name: str, pin: ToolPin) -> Tool | None:
    """The one on PATH if its version fits."""
    program = shutil.which(name)
    pinned = parse_version(pin.version)
    if program is None or pinned is None:
        return None
    try:
        said = process.run([program, *_ASK[name]], check=False, timeout_s=20).stdout
    except HarnessError:  # of another architecture, or not executable
        return None
    version = parse_version(said)
    if version is None or not fits(name, version, pinned):
        return None
    return Tool(name, Path(program), f"v{'.'.join(map(str, version))}", key="")


def is_pinned(pin: ToolPin) -> bool:
    """Whether there is a published one for this machine's platform."""
    return _platform() in pin.sha256


def downloaded(name: str, pin: ToolPin) -> Tool | None:
    """The published one if it was downloaded before."""
    sha256 = pin.sha256.get(_platform())
    return kept(name, _key(name, pin, sha256)) if sha256 else None


def kept(name: str, key: str) -> Tool | None:
    """The published one of a cache entry, whatever is pinned by now; None when it is not there any more."""
    folder = cache.entry("release", key)
    path = folder / name
    version = key.removeprefix(f"{name}-").rpartition("-")[0]
    return Tool(name, path, version, key) if cache.used(folder) and path.exists() else None


def download_tool(name: str, pin: ToolPin, on_line: Callable[[str], None]) -> Tool:
    """The published one, downloaded when it is not there yet.

    Raises HarnessError: TOOL_MISSING where none is pinned for this platform, SOURCE_UNREACHABLE,
    CHECKSUM_MISMATCH.
    """
    sha256 = pin.sha256.get(_platform())
    if sha256 is None:
        raise HarnessError(
            CauseCode.TOOL_MISSING,
            f"no SHA-256 of {name} {pin.version} is pinned for {_platform()}",
            hint=f"install {name} {pin.version} so that `{name}` is on PATH",
        )
    names = {"version": pin.version, "os": platform.system().lower(), "arch": architecture()}
    url = mirrors.load().url(pin.url.format(**names))

    def show(done: int, total: int) -> None:
        of = f" of {total / 1e6:.0f}" if total else ""
        on_line(f"{name} {pin.version}: {done / 1e6:.0f}{of} MB")

    def make(folder: Path) -> None:
        published = folder / ("archive" if pin.member else name)
        with download.client() as http:
            download.fetch(http, url, published, sha256, on_bytes=show, on_wait=on_line)
        if pin.member:
            _unpack(published, pin.member.format(**names), folder / name)
            published.unlink()
        (folder / name).chmod(0o755)

    key = _key(name, pin, sha256)
    return Tool(name, cache.obtain("release", key, make, on_wait=on_line) / name, pin.version, key)


def _unpack(archive: Path, member: str, target: Path) -> None:
    with tarfile.open(archive) as tar:
        try:
            content = tar.extractfile(member)
        except KeyError:
            content = None
        if content is None:
            raise HarnessError(
                CauseCode.BUILD_FAILED,
                f"the archive of {target.name} holds no file {member}",
                hint=network_errors.hint(),
            )
        with target.open("wb") as file:
            shutil.copyfileobj(content, file)


def _platform() -> str:
    return f"{platform.system().lower()}-{architecture()}"


def _key(name: str, pin: ToolPin, sha256: str) -> str:
    return f"{name}-{pin.version}-{sha256[:16]}"
