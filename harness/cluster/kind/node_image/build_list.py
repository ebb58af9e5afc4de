"""How far a Go build is: the packages that it still has to compile, asked of Go before it begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import CauseCode
from harness.host import process
from harness.report import format

# What a package costs beside its size, in bytes of source: reading what it imports, and starting the compiler.
EACH_BYTES = 6000
LINKING = 0.04  # of the whole: what follows the last package
SURE_AFTER_S = 15.0
SURE_AFTER = 0.02
# Name, folder and files of each package that the build would compile: what Go's own cache has is left out.
_LISTED = '{{if .Stale}}{{.ImportPath}}{{"\\t"}}{{.Dir}}{{range .GoFiles}}{{"\\t"}}{{.}}{{end}}{{end}}'


@dataclass
class BuildProgress:
    """Tells what a build that names each package it begins has done of all, and how long the rest may take.

    `costs`: of each package to be compiled, in any unit.
    """

    costs: Mapping[str, float]
    clock: Callable[[], float] = time.monotonic
    _begun: dict[str, float] = field(default_factory=dict)
    _started_s: float | None = None

    def after(self, line: str) -> str | None:
        """What to show once the build has printed `line`; None for a line that names no package of it."""
        package = line.strip()
        if package not in self.costs:
            return None
        now_s = self.clock()
        if self._started_s is None:
            self._started_s = now_s
        done = sum(self._begun.values())
        self._begun[package] = self.costs[package]
        left = self._left(done / (sum(self.costs.values()) or 1.0), now_s - self._started_s)
        all_begun = len(self._begun) == len(self.costs)
        return (
            f"{len(self._begun)} of {len(self.costs)} packages{left}; "
            f"{'linking' if all_begun else f'compiling {package}'}"
        )

    def _left(self, share: float, elapsed_s: float) -> str:
        share *= 1 - LINKING
        if elapsed_s < SURE_AFTER_S or share < SURE_AFTER:
            return ""
        left_s = elapsed_s * (1 - share) / share
        return f", {format.seconds(60 * round(left_s / 60) if left_s > 90 else left_s)} left"


def build_progress(
    compiler: Path,
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    module: Path,
    on_line: Callable[[str], None],
) -> BuildProgress:
    """Ask Go what `go build` with these arguments has to compile; it downloads the modules for that.

    Raises HarnessError(BUILD_FAILED).
    """
    costs: dict[str, float] = {}
    known = (module / "go.sum").read_text(encoding="utf-8").splitlines()
    most = sum("/go.mod " not in line for line in known)
    downloaded = 0

    def show(line: str) -> None:
        nonlocal downloaded
        name, *where = line.split("\t")
        if where:
            costs[name] = _cost(Path(where[0]), where[1:])
        elif line.startswith("go: downloading "):
            downloaded += 1
            on_line(f"{downloaded} of at most {most} modules; {line.removeprefix('go: ')}")

    process.stream(
        [compiler, "list", "-deps", "-f", _LISTED, *arguments],
        on_line=show,
        env=env,
        cwd=module,
        cause=CauseCode.BUILD_FAILED,
    )
    return BuildProgress(costs)


def _cost(folder: Path, names: Sequence[str]) -> float:
    return EACH_BYTES + sum((folder / name).stat().st_size for name in names)
