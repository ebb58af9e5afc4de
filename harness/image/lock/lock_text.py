"""The text of `harness.lock`: a hashed requirements file, headed by what it was made from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_HEADER = re.compile(
    r"# Made by `harness lock` from (?P<source>.+) for Python (?P<python>\S+)\..*\n"
    r"# inputs: (?P<inputs>sha256:[0-9a-f]{64})\n"
    r"# packages: (?P<packages>.+)\n"
    r"# nothing newer than: (?P<as_of>[0-9TZ:-]+)\n"
    r"(?:# base: (?P<base>\S+)\n)?"
)


@dataclass(frozen=True)
class Header:
    """The first lines of a lock. `packages` says as of when, or by which constraints, they were chosen.

    `as_of` is a time that no file is newer than, but for packages whose version the source fixes. `base` is the image
    of the team's own that the packages are put on, by its digest.
    """

    source: str
    python: str
    inputs: str
    packages: str
    as_of: str
    base: str = ""

    @property
    def text(self) -> str:
        """The lock's first lines."""
        return (
            f"# Made by `harness lock` from {self.source} for Python {self.python}. Edit that, and lock again.\n"
            f"# inputs: {self.inputs}\n"
            f"# packages: {self.packages}\n"
            f"# nothing newer than: {self.as_of}\n" + (f"# base: {self.base}\n" if self.base else "")
        )


def write(header: Header, lines: Sequence[str]) -> bytes:
    """The whole file."""
    return (header.text + "".join(f"{line}\n" for line in lines)).encode()


def header_of(content: bytes) -> Header | None:
    """What a lock was made from; None for one that `harness lock` did not make."""
    text = content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
    found = _HEADER.match(text)
    return Header(**found.groupdict(default="")) if found else None


def is_of(content: bytes | None, inputs: str) -> bool:
    """Whether a lock was made from inputs of that digest."""
    header = header_of(content) if content is not None else None
    return header is not None and header.inputs == inputs


def as_of(content: bytes) -> str:
    """The time that build tools of a lock's packages may not be newer than; empty where it says none."""
    header = header_of(content)
    return header.as_of if header else ""
