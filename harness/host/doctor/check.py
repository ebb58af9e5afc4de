"""What `harness doctor` reports: checks of one machine, each with its hint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from harness.errors import CauseCode, combined_exit_code

Status = Literal["ok", "warning", "missing"]

# Names that the fixes look for.
DOCKER_CLI = "docker cli"
DOCKER_DAEMON = "docker daemon"
PRIVILEGED = "privileged containers"
KERNEL_MODULES = "kernel modules folder"
INOTIFY = "inotify limits"
GIT = "git"
MMDEBSTRAP = "mmdebstrap"


@dataclass(frozen=True)
class Check:
    """One thing that harness needs: what was seen, why it is needed, and the command that helps.

    `missing` stops `harness up`; `warning` may slow it or fail it later. `fixable`: `doctor --fix` can mend
    it on this machine, as this user.
    """

    name: str
    status: Status
    found: str
    needed: str
    hint: str = ""
    cause: CauseCode | None = None
    fixable: bool = False


@dataclass(frozen=True)
class Report:
    """All checks of a machine, or of a cluster. `notes` say what could not be checked and why."""

    machine: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    subject: str = "This machine"

    @property
    def ok(self) -> bool:
        """Whether nothing is missing; warnings do not count."""
        return all(check.status != "missing" for check in self.checks)

    @property
    def exit_code(self) -> int:
        """0, or what the causes of the missing things fix: 3."""
        causes = (check.cause for check in self.checks if check.status == "missing")
        return combined_exit_code((cause or CauseCode.TOOL_MISSING).exit_code for cause in causes)

    @property
    def fixable(self) -> tuple[Check, ...]:
        """What `doctor --fix` would do something about."""
        return tuple(check for check in self.checks if check.status != "ok" and check.fixable)

    def of(self, name: str) -> Check | None:
        """The check of that name, if it was made."""
        return next((check for check in self.checks if check.name == name), None)

    def to_json(self) -> str:
        """The report as indented JSON with a final newline."""
        checks = [
            {
                "name": check.name,
                "status": check.status,
                "found": check.found,
                "needed": check.needed,
                "hint": check.hint,
                "cause": check.cause.code if check.cause else None,
                "fixable": check.fixable,
            }
            for check in self.checks
        ]
        document = {"ok": self.ok, "machine": self.machine, "checks": checks, "notes": list(self.notes)}
        return json.dumps(document, indent=2) + "\n"
