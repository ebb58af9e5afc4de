"""What Ctrl-C does: the first stops the command and lets it clean up, the second ends it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

STDERR = 2
_SHOW_CURSOR = b"\x1b[?25h"  # live progress hides it


def heed(end: Callable[[], object]) -> None:
    """Raise KeyboardInterrupt at the first Ctrl-C, SIGTERM or SIGHUP, and call `end` at the second.

    A signal that whoever started us had ignored (nohup) stays ignored.
    """

    def first(*_: object) -> None:
        for number in heeded:
            signal.signal(number, second)
        _say(b"\ninterrupted: cleaning up; once more ends it at once\n")
        raise KeyboardInterrupt

    def second(*_: object) -> None:
        if os.isatty(STDERR):
            _say(_SHOW_CURSOR + b"\n")
        end()

    every = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [number for number in every if signal.getsignal(number) is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, first)


def _say(text: bytes) -> None:
    """Past Python's buffers, which may be in the middle of something."""
    try:
        os.write(STDERR, text)
    except OSError:
        return
