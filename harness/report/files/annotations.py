"""What failed, as workflow commands of GitHub Actions: each beside the line that it comes from.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.project.configuration import FILE_NAMES
from harness.report import format
from harness.report.model import Cause, Result, TestResult, VersionResult

MOST = 10  # GitHub shows no more errors of a step
_PLACE = re.compile(
    r"(?<![\w./-])(?P<file>[\w.-]+(?:/[\w.-]+)*\.(?:py|toml|lock|txt)):(?P<line>[1-9][0-9]*)\b"
)
_HEADER = re.compile(r"\s*\[(?P<keys>[^\[\]]+)\]")


@dataclass(frozen=True)
class Place:
    """A line of a file, by its path from the workspace."""

    file: str
    line: int


def places(start: Path) -> tuple[Path, Path]:
    """The repository's root around `start`, and the workspace that GitHub names files from."""
    root = next((each for each in (start, *start.parents) if (each / ".git").exists()), start)
    return root, Path(os.environ.get("GITHUB_WORKSPACE") or root)


def render(result: Result, root: Path, workspace: Path) -> list[str]:
    """A command for each failure. `root` is the repository's; paths are told as from `workspace`."""
    found = []
    for version in format.cleaned(result).versions:
        for test in version.tests:
            found += list(_test(version, test, root, workspace))
        if version.cause is not None:
            found.append(
                _command(version.cause.message, version.ref, _raised_at(version.cause, root, workspace))
            )
    if result.cause is not None:
        found.append(_command(result.cause.message, "harness", _raised_at(result.cause, root, workspace)))
    return found[:MOST]


def _test(version: VersionResult, test: TestResult, root: Path, workspace: Path) -> Iterator[str]:
    title = f"{test.name} ({version.ref})"
    failed = {name: metric for name, metric in test.metrics.items() if metric.verdict == "failed"}
    for name, metric in failed.items():
        yield _command(metric.message or f"{name} failed", title, _gate_of(test.name, name, root, workspace))
    if test.cause is not None and not failed:
        yield _command(test.cause.message, title, _raised_at(test.cause, root, workspace))


def _raised_at(cause: Cause, root: Path, workspace: Path) -> Place | None:
    """The first line of the repository's own files that the cause names: the innermost of the user's frames."""
    for text in (cause.message, *cause.evidence):
        for found in _PLACE.finditer(text):
            # The dag-processor names files from the DAGs folder on.
            for path in (root / found["file"], *sorted(root.glob(f"*/{found['file']}"))):
                if path.is_file():
                    return Place(_from(workspace, path), int(found["line"]))
    return None


def _gate_of(test: str, metric: str, root: Path, workspace: Path) -> Place | None:
    """Where the configuration names the gate: its own table, or its key in that of the test."""
    for name in FILE_NAMES:
        path = root / name
        if not path.is_file():
            continue
        line = _line_of_gate(path.read_text(encoding="utf-8", errors="replace").splitlines(), test, metric)
        if line:
            return Place(_from(workspace, path), line)
    return None


def _line_of_gate(lines: list[str], test: str, metric: str) -> int | None:
    best: tuple[int, int] | None = None  # how many keys are met, and where
    table: list[str] = []
    wanted = ["tests", test, "gates", metric]
    for number, line in enumerate(lines, 1):
        if header := _HEADER.match(line):
            table, keys = _keys(header["keys"]), []
        else:
            keys = _keys(line.partition("=")[0]) if "=" in line else []
        path = [key for key in (*table, *keys) if key]
        path = path[2:] if path[:2] == ["tool", "harness"] else path
        met = next(
            (index for index, key in enumerate(wanted) if path[index : index + 1] != [key]), len(wanted)
        )
        if met >= 2 and (best is None or met > best[0]):
            best = (met, number)
    return best[1] if best else None


def _keys(text: str) -> list[str]:
    """The parts of a dotted key of TOML, without their quotes."""
    return [found[0].strip("\"'") for found in re.finditer(r"\"[^\"]*\"|'[^']*'|[\w-]+", text)]


def _from(workspace: Path, path: Path) -> str:
    path, workspace = path.resolve(), workspace.resolve()
    shown = path.relative_to(workspace) if path.is_relative_to(workspace) else path
    return str(PurePosixPath(shown))


def _command(message: str, title: str, place: Place | None) -> str:
    where = f"file={_property(place.file)},line={place.line}," if place else ""
    return f"::error {where}title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
