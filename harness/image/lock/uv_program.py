"""uv as a program: what it is run with, and what it says when it fails."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from harness.errors import CauseCode, HarnessError
from harness.host import cache

_DRAWN = " \u00d7╰─▶│├"  # around what it says
_UNREACHABLE = re.compile(
    r"error sending request|dns error|tcp connect error|timed out|certificate|connectivity is disabled", re.I
)


def environment() -> dict[str, str]:
    """What uv is run with: the user's own settings and credentials count, Pythons are not downloaded."""
    # A cache of our own: files of the user's are hard-linked into environments, where anything may have
    # changed them since (a company's certificate added to certifi, for instance).
    return {
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_CACHE_DIR": str(cache.root() / "uv"),
        "UV_HTTP_RETRIES": os.environ.get("UV_HTTP_RETRIES", "3"),
        "COLUMNS": "10000",  # what it says is wrapped by whoever shows it
    }


@dataclass(frozen=True)
class Said:
    """What uv said went wrong, line by line."""

    lines: tuple[str, ...]

    @classmethod
    def of(cls, stderr: str) -> Said:
        """Without warnings, and without what is drawn around it."""
        lines = (line.strip(_DRAWN) for line in stderr.splitlines())
        return cls(tuple(line for line in lines if line and not line.startswith("warning:")))

    @property
    def reason(self) -> str:
        """The first two lines as one."""
        first = ": ".join(re.sub(r"^(error|cause): ", "", line) for line in self.lines[:2])
        return first or "uv gave no reason"

    def of_machine(self, origin: str) -> HarnessError | None:
        """The error where the requirements in `origin` are not to blame: the disk is, or the package index."""
        if any("No space left" in line for line in self.lines):
            return HarnessError(
                CauseCode.DISK_FULL,
                f"no space left for the packages of {origin}",
                hint="df -h",
                evidence=self.lines[:12],
            )
        if any(_UNREACHABLE.search(line) for line in self.lines):
            return HarnessError(
                CauseCode.SOURCE_UNREACHABLE,
                f"the package index that {origin} needs can't be reached: {self.reason}",
                hint="harness doctor; an index of your own is named by UV_INDEX_URL, a proxy by HTTPS_PROXY",
                evidence=self.lines[:12],
            )
        return None
