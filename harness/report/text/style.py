"""What a stream can show: colour, signs beyond ASCII, live lines; text made to fit it; and how to part from it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

_SGR = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_NO_SCREEN_WIDTH = 100
_NARROWEST = 40


@dataclass(frozen=True)
class Signs:
    """The few characters beyond letters that reports use."""

    passed: str
    failed: str
    error: str
    running: str
    bar: str
    rest: str
    ellipsis: str
    dash: str


UNICODE = Signs(passed="✓", failed="✗", error="!", running="…", bar="█", rest="░", ellipsis="…", dash="─")
ASCII = Signs(
    passed="ok", failed="FAIL", error="ERROR", running="...", bar="#", rest=".", ellipsis="...", dash="-"
)


@dataclass(frozen=True)
class Style:
    """How text for one stream is made."""

    colour: bool = False
    width: int = 80
    signs: Signs = UNICODE

    def paint(self, text: str, *names: str) -> str:
        """`text` in the named styles (bold, dim, red, green, yellow, cyan) where the stream has colour."""
        if not self.colour or not text or not names:
            return text
        return f"\x1b[{';'.join(_SGR[name] for name in names)}m{text}\x1b[0m"

    def verdict(self, verdict: str | None, text: str) -> str:
        """`text` in the colour of a verdict."""
        colours = {"passed": ("green",), "failed": ("red",), "error": ("red",)}
        return self.paint(text, *colours.get(verdict or "", ("dim",)))

    def sign(self, verdict: str | None) -> str:
        """A verdict's sign: ✓, ✗ or !."""
        signs = {"passed": self.signs.passed, "failed": self.signs.failed, "error": self.signs.error}
        return signs.get(verdict or "", "-")

    def fit(self, text: str, width: int) -> str:
        """`text` cut to `width` columns, with an ellipsis where it was cut."""
        from rich.cells import cell_len, set_cell_size

        if cell_len(text) <= width:
            return text
        return set_cell_size(text, max(0, width - len(self.signs.ellipsis))).rstrip() + self.signs.ellipsis


def is_terminal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether lines on `stream` can be redrawn: a terminal that is not dumb, outside CI."""
    if environ.get("TERM", "").lower() in {"dumb", "unknown"} or environ.get("CI"):
        return False
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def style_of(stream: TextIO, environ: Mapping[str, str] | None = None) -> Style:
    """The style that suits `stream`: NO_COLOR beats FORCE_COLOR, which beats what the stream is."""
    environ = os.environ if environ is None else environ
    terminal = is_terminal(stream, environ)
    if environ.get("NO_COLOR"):
        colour = False
    elif environ.get("FORCE_COLOR"):
        colour = environ["FORCE_COLOR"] not in {"0", "false"}
    else:
        colour = terminal
    return Style(colour=colour, width=_width(environ, terminal), signs=_signs(stream))


def encodable(text: str, stream: TextIO) -> str:
    """`text` with a question mark for each character that `stream` has no code for."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def let_go(stream: TextIO) -> None:
    """Drop what `stream` could not take: Python's own flush on exit would fail of it, and change the exit code."""
    with suppress(ValueError):  # closed, or no file at all
        try:
            stream.flush()
        except OSError:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())


def _width(environ: Mapping[str, str], terminal: bool) -> int:
    given = environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        width = int(given)
    else:
        width = shutil.get_terminal_size((80, 24)).columns if terminal else _NO_SCREEN_WIDTH
    return max(_NARROWEST, width)


def _signs(stream: TextIO) -> Signs:
    try:
        "".join(vars(UNICODE).values()).encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE
