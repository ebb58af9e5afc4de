"""Texts and paths of which the source tells the beginning alone, such as those of a file with the time in its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any

from harness.init.reading.syntax.known_functions import UNKNOWN, is_plain


@dataclass(frozen=True)
class Begun:
    """Something below a folder."""

    folder: str


def text_begun(parts: Iterable[Any]) -> Any:  # noqa: ANN401  Begun or UNKNOWN
    """What a text of these parts begins with, of which one at least is unknown."""
    parts = list(parts)
    known = list(takewhile(is_plain, parts))
    if not known:
        return parts[0] if parts and isinstance(parts[0], Begun) else UNKNOWN
    folder = "".join(map(str, known)).rpartition("/")[0]
    return Begun(folder) if folder else UNKNOWN


def path_begun(parts: Iterable[Any]) -> Any:  # noqa: ANN401  Begun or UNKNOWN
    """What a path of these parts begins with, of which one at least is unknown."""
    parts = list(parts)
    known = list(takewhile(lambda part: isinstance(part, str | PurePosixPath), parts))
    if not known:
        return parts[0] if parts and isinstance(parts[0], Begun) else UNKNOWN
    return Begun(str(PurePosixPath(*known)))
