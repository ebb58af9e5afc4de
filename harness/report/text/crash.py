"""A bug of ours, told without a traceback on the terminal: that goes into a file to be sent."""

from __future__ import annotations

import tempfile
import traceback
from pathlib import Path

from harness import __version__
from harness.errors import CauseCode, HarnessError


def crash_report(error: Exception) -> HarnessError:
    """What to tell about an exception that nobody expected, its traceback written to a file."""
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="harness-crash-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(f"harness {__version__}\n{text}")
    except OSError as refused:  # nowhere to write: better a few lines of it than nothing
        evidence, hint = text.splitlines()[-8:], f"please report it with these lines ({refused.strerror})"
    else:
        evidence, hint = [], f"please report it with {Path(file.name)}"
    message = f"a bug of harness: {type(error).__name__}: {error}"
    return HarnessError(CauseCode.INTERNAL, message, hint=hint, evidence=evidence)
