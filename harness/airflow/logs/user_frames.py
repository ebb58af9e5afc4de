"""Which frames of a traceback are the user's own, and how they are shown."""

from __future__ import annotations

from pathlib import PurePosixPath

from harness.airflow.logs.task_log import Raised
from harness.airflow.logs.tracebacks import Frame


def users_frames(raised: Raised, code_root: str) -> list[Frame]:
    """The frames in the user's own code, innermost first."""
    return [shortened(frame, code_root) for frame in reversed(raised.frames) if is_users(frame, code_root)]


def is_users(frame: Frame, code_root: str) -> bool:
    """Whether a frame is in the user's code rather than in a package."""
    path = PurePosixPath(frame.file)
    return path.is_relative_to(code_root) and not {"site-packages", "dist-packages"} & set(path.parts)


def shortened(frame: Frame, code_root: str) -> Frame:
    """The frame with its file as the repository has it, or from its package on."""
    path = PurePosixPath(frame.file)
    for folder in ("site-packages", "dist-packages"):
        if folder in path.parts:
            return Frame("/".join(path.parts[path.parts.index(folder) + 1 :]), frame.line, frame.name)
    shown = path.relative_to(code_root) if path.is_relative_to(code_root) else path
    return Frame(str(shown), frame.line, frame.name)
