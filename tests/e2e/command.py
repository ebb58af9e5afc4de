"""The installed `harness` program, run as a user runs it."""

from __future__ import annotations

import json
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import schema

from harness.errors import CauseCode
from harness.host import process

PROGRAM = Path(sysconfig.get_path("scripts")) / "harness"
# Fixed, so that the same lines are printed on every machine; a scratch run is no part of a CI job's summary.
# In CI no Airflow is started for a next test: few scratch repositories have one.
ENVIRONMENT = {
    "CI": "true",
    "COLUMNS": "160",
    "NO_COLOR": "1",
    "GITHUB_ACTIONS": "",
    "GITHUB_STEP_SUMMARY": "",
}
DEADLINE_S = 900.0


@dataclass(frozen=True)
class Line:
    """A line that the program printed, and when."""

    text: str
    at_s: float


@dataclass(frozen=True)
class Watched:
    """What a command printed on stdout and stderr in the order it came, as a terminal shows it."""

    exit_code: int
    lines: tuple[Line, ...]
    ended_s: float

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)

    @property
    def last_lines(self) -> str:
        """The end that a person sees without scrolling up."""
        return "\n".join([line.text for line in self.lines if line.text.strip()][-3:])


@dataclass(frozen=True)
class Harness:
    """The program for one cluster."""

    cluster: str

    def __call__(self, cwd: Path, *arguments: str | Path, **env: str) -> process.Completed:
        """Run to the end; stdout and stderr apart."""
        return process.run(
            self._argv(arguments), cwd=cwd, env={**ENVIRONMENT, **env}, check=False, timeout_s=DEADLINE_S
        )

    def watch(self, cwd: Path, *arguments: str | Path) -> Watched:
        """Run to the end; both streams together, each line with its time."""
        lines: list[Line] = []
        exit_code = 0
        try:
            process.stream(
                self._argv(arguments),
                cwd=cwd,
                env=ENVIRONMENT,
                on_line=lambda text: lines.append(Line(text, time.monotonic())),
                cause=CauseCode.INTERNAL,
            )
        except process.ProgramError as error:
            exit_code = error.completed.returncode
        return Watched(exit_code, tuple(lines), time.monotonic())

    def _argv(self, arguments: tuple[str | Path, ...]) -> list[str | Path]:
        return [PROGRAM, *arguments, "--name", self.cluster]


def explained(completed: process.Completed) -> str:
    """What to show when a command did not do what was expected."""
    return f"exit {completed.returncode}\n{completed.stderr}\n{completed.stdout}"


def loaded(path: Path) -> dict[str, Any]:
    """The document of `--json FILE`; whatever happened, it follows the schema."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert schema.violations(document) == []
    return document


def only_version(document: dict[str, Any]) -> dict[str, Any]:
    """The one version that was tested."""
    (version,) = document["versions"]
    return dict(version)
