"""The result into the files that were asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import CauseCode, HarnessError
from harness.report.model import Result

if TYPE_CHECKING:
    from harness.report.console import Console


@dataclass(frozen=True)
class Targets:
    """Where to write which form of the result; `json` may be '-' for stdout."""

    json: str | None = None
    junit: Path | None = None
    markdown: Path | None = None
    html: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        json = Path(self.json) if self.json not in {None, "-"} else None
        return tuple(path for path in (json, self.junit, self.markdown, self.html) if path is not None)


def check(targets: Targets) -> None:
    """Raises HarnessError(USAGE) now for a file that could not be written after minutes of work."""
    for path in targets.paths:
        folder = path.absolute().parent
        if not folder.is_dir():
            raise HarnessError(
                CauseCode.USAGE, f"{path} can't be written: no folder {folder}", hint=f"mkdir -p {folder}"
            )
        if path.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
            raise HarnessError(CauseCode.USAGE, f"{path} can't be written", hint=f"ls -ld {path} {folder}")


def write(targets: Targets, result: Result, console: Console) -> None:
    """Write each file that was asked for; in GitHub Actions the job summary too."""
    from harness.report import html, junit, markdown

    if targets.json == "-":
        console.data(result.to_json())
    elif targets.json is not None:
        Path(targets.json).write_text(result.to_json(), encoding="utf-8")
    for path, renderer in ((targets.junit, junit), (targets.markdown, markdown), (targets.html, html)):
        if path is not None:
            path.write_text(renderer.render(result), encoding="utf-8")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(markdown.render(result))
