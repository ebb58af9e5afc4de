"""What an autopsy finds, before it becomes a report's cause."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import CauseCode


@dataclass(frozen=True)
class Finding:
    """A cause with its message, what helps, and what was seen."""

    code: CauseCode
    message: str
    hint: str = ""
    evidence: tuple[str, ...] = ()
