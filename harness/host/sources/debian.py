"""Root file systems from Debian packages alone, by mmdebstrap; the same packages give the same bytes."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import versions
from harness.errors import CauseCode, HarnessError
from harness.host import cache, process

FORMAT = 1  # raise when what make() does changes
EPOCH_S = 315532800  # 1980-01-01: no time stamp of the build gets in
UNWANTED = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
)
# What mmdebstrap or packages copy from this machine, or make anew each time.
TRACES = (
    "etc/resolv.conf",
    "etc/hostname",
    "etc/machine-id",
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/*",
    "var/lib/dbus/machine-id",
    "var/cache/ldconfig/aux-cache",
    "var/lib/apt/lists/*",
    "var/cache/apt/*",
    "var/log/*.log",
    "var/log/apt/*",
)


@dataclass(frozen=True)
class RootfsRecipe:
    """What a root file system holds: packages, path patterns left out, shell commands run on the tree `$1`.

    `suite` is the release of Debian.
    """

    name: str
    packages: tuple[str, ...]
    unwanted: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    suite: str = versions.DEBIAN

    @property
    def key(self) -> str:
        """A digest of all that determines the result, but for the mirror's package versions."""
        recipe = {name: value for name, value in asdict(self).items() if name != "suite"}
        inputs = [FORMAT, self.suite, platform.machine(), UNWANTED, TRACES, recipe]
        return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]


def rootfs(recipe: RootfsRecipe, *, on_line: Callable[[str], None], log: Path) -> Path:
    """The recipe's tar, built once. Raises HarnessError(TOOL_MISSING) without mmdebstrap, BUILD_FAILED else."""

    def make(folder: Path) -> None:
        if shutil.which("mmdebstrap") is None:
            raise HarnessError(
                CauseCode.TOOL_MISSING,
                "mmdebstrap is not installed: without it no image can be made from Debian packages",
                hint="harness doctor --fix",
            )
        unwanted = [f"--dpkgopt=path-exclude={path}" for path in (*UNWANTED, *recipe.unwanted)]
        traces = " ".join(f'"$1"/{path}' for path in TRACES)
        hooks = [f"--customize-hook={command}" for command in (*recipe.commands, f"rm -rf {traces}")]
        argv = [
            "mmdebstrap",
            "--variant=minbase",
            "--mode=auto",
            f"--include={','.join(recipe.packages)}",
            *unwanted,
            *hooks,
            recipe.suite,
            str(_tar(folder)),
            *_mirrors(recipe.suite),
        ]
        environment = {"SOURCE_DATE_EPOCH": str(EPOCH_S), "LC_ALL": "C.UTF-8"}
        process.stream(
            argv,
            on_line=on_line,
            env=environment,
            log=log,
            cause=CauseCode.BUILD_FAILED,
            hint=f"less {shlex.quote(str(log))}",
        )

    return _tar(cache.obtain("rootfs", f"{recipe.name}-{recipe.key}", make, on_wait=on_line))


def built(recipe: RootfsRecipe) -> Path | None:
    """The recipe's tar if it was built before, else None."""
    folder = cache.entry("rootfs", f"{recipe.name}-{recipe.key}")
    return _tar(folder) if cache.used(folder) else None


def _tar(folder: Path) -> Path:
    return folder / "rootfs.tar"


def _mirrors(suite: str) -> list[str]:
    """This machine's own apt sources for the suite; none, which means Debian's default, on another system.

    Where the machine runs another release of Debian, its mirrors are asked for this one.
    """
    if shutil.which("apt-get") is None:
        return []
    listed = process.run(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(SUITE)|$(COMPONENT)",
            "Created-By: Packages",
        ],
        check=False,
    )
    return sources_of(listed.stdout, suite)


def sources_of(listed: str, suite: str) -> list[str]:
    """Lines of sources.list for a suite, from what apt lists of its own."""
    found = []
    for line in dict.fromkeys(listed.splitlines()):
        origin, uri, codename, _, component = [*line.split("|"), "", "", "", ""][:5]
        if origin == "Debian":
            name, dash, pocket = codename.partition("-")
            if name and pocket in {"", "security", "updates"}:
                found.append(f"deb {uri} {suite}{dash}{pocket} {component}")
    return list(dict.fromkeys(found))
