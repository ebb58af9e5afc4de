"""What somebody else wrote, without secrets and short enough for a message or for evidence."""

from __future__ import annotations

import re

from harness.airflow.logs.redaction import masked
from harness.report.format import one_line

MESSAGE_CHARS = 300  # of what somebody else wrote, in a message
EVIDENCE_CHARS = 4000
READ_CHARS = 65536  # of a text without end; to look for secrets in megabytes takes long
# pydantic links to its docs after each of its errors, which leaves no room for the others.
_LINKS = re.compile(r"^\s*For further information visit \S+$", re.MULTILINE)


def in_a_line(text: str, most: int = MESSAGE_CHARS) -> str:
    """Text on one line, not longer than `most`. Masked first: half a secret is not seen to be one."""
    line = one_line(_LINKS.sub("", masked(text[:READ_CHARS])))
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def first_line(text: str) -> str:
    """The first line that is not blank."""
    return in_a_line(next((line for line in masked(text[:READ_CHARS]).splitlines() if line.strip()), ""))


def whole(text: str) -> str:
    """Text with its lines, for the evidence."""
    text = masked(text[:READ_CHARS])
    return text if len(text) <= EVIDENCE_CHARS else text[: EVIDENCE_CHARS - 1].rstrip() + "…"


def abridged(text: str) -> str:
    """A line that may have megabytes, as far as patterns look for what it tells: its beginning and its end.

    Some patterns take the square of a line's length. Masked first, as it is cut.
    """
    if len(text) <= EVIDENCE_CHARS:
        return text
    half = EVIDENCE_CHARS // 2
    return f"{masked(text[:READ_CHARS])[:half]} … {masked(text[-READ_CHARS:])[-half:]}"
