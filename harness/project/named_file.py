"""A file that a setting names, as a commit has it."""

from __future__ import annotations

import shlex

from harness.errors import CauseCode, HarnessError
from harness.project.commit import Commit


def named_text(commit: Commit, path: str, setting: str) -> str:
    """Its text; `setting`, such as `[image] dockerfile`, is who names it. Raises HarnessError(CODE_NOT_FOUND)."""
    content = commit.read(path)
    if content is None:
        raise HarnessError(
            CauseCode.CODE_NOT_FOUND,
            f"{setting}: there is no file `{path}` in {commit.place}",
            hint=f"git add {shlex.quote(path)}",
        )
    return content.decode(errors="replace")
