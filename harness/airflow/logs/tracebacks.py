"""Python's tracebacks as text: their frames, and the exception behind them."""

from __future__ import annotations

import re
from typing import NamedTuple

_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<name>.+))?$')


class Frame(NamedTuple):
    """One frame of a traceback."""

    file: str
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" in {self.name}" if self.name else "")


def traceback_frames(text: str) -> tuple[Frame, ...]:
    """The frames in a traceback's text, outermost first."""
    found = (_FRAME.match(line) for line in text.splitlines())
    return tuple(Frame(m["file"], int(m["line"]), m["name"] or "") for m in found if m)


def exception_text(trace: str) -> str:
    """What stands after the last frame of a traceback's text: the exception with all lines of its message."""
    lines = [line for line in trace.splitlines() if line.strip()]
    last_frame = max((index for index, line in enumerate(lines) if _FRAME.match(line)), default=-1)
    after = lines[last_frame + 1 :]
    begin = next((index for index, line in enumerate(after) if not line.startswith(" ")), None)
    return "\n".join(after[begin:] if begin is not None else lines[-1:]).strip()
