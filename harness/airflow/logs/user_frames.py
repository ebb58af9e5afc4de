"""Which frames of a traceback are the user's own, and how they are shown."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from harness.airflow.logs.task_log import Raised
from harness.airflow.logs.tracebacks import Frame

_COMPILED = frozenset({".pxd", ".pxi", ".pyx"})
_LIBRARY = re.compile(r"/lib(?:64)?/python\d[\d.]*/")  # of any Python's own modules
_SYSTEM = ("/etc", "/lib", "/usr")


def users_frames(raised: Raised, code_root: str) -> list[Frame]:
    """The frames in the user's own code, innermost first."""
    return [shortened(frame, code_root) for frame in reversed(raised.frames) if is_users(frame, code_root)]


def is_users(frame: Frame, code_root: str) -> bool:
    """Whether a frame is in the user's code rather than in a package: below the root, or where a link leads there.

    What was compiled by Cython has relative names, such as `pandas/_libs/lib.pyx`, which Airflow's log makes absolute.
    """
    path = PurePosixPath(frame.file)
    packaged = {"site-packages", "dist-packages"} & set(path.parts) or path.suffix in _COMPILED
    if packaged or not path.is_absolute():
        return False
    return path.is_relative_to(code_root) or not (
        any(path.is_relative_to(each) for each in _SYSTEM) or _LIBRARY.search(frame.file)
    )


def shortened(frame: Frame, code_root: str) -> Frame:
    """The frame with its file as the repository has it, or from its package on."""
    path = PurePosixPath(frame.file)
    for folder in ("site-packages", "dist-packages"):
        if folder in path.parts:
            return Frame("/".join(path.parts[path.parts.index(folder) + 1 :]), frame.line, frame.name)
    shown = path.relative_to(code_root) if path.is_relative_to(code_root) else path
    return Frame(str(shown), frame.line, frame.name)
