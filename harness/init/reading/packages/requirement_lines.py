"""Lines of a requirements file that no lock can be made of: of one machine alone, or no requirement."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.init.reading.repository_files import Place

UTF_16 = "\ufeff"  # begins the text of a file that its editor wrote so, which no installer reads
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9](?:[\w.-]*\w)?)\s*(?:\[[^\]]*\])?\s*(?:$|[<>=!~;@(#\\]|--)")
_ELSEWHERE = re.compile(r"(?:git|hg|svn|bzr)\+|https?://|file:|[./~]|-{1,2}[A-Za-z]|[A-Za-z]:[\\/]")
_OF_A_BUILD = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)\s*@\s*file://", re.IGNORECASE
)  # conda's, or a wheel at hand
_OF_WINDOWS = re.compile(
    r"^(?P<name>pywin32|pywinpty|pypiwin32|wmi|winshell)\s*(?:[<>=!~;].*)?$", re.IGNORECASE
)
_OF_DEBIAN = re.compile(r"^pkg[-_]resources\s*==\s*0\.0\.0$", re.IGNORECASE)


@dataclass(frozen=True)
class Unfit:
    """A line that can't be locked, what is taken in its place, if anything, and why."""

    line: str
    instead: str
    why: str
    place: Place


def unfit(line: str, place: Place) -> Unfit | None:
    """What is wrong with a line of a requirements file, without its comment; None where nothing is."""
    if found := _OF_A_BUILD.match(line):
        return Unfit(line, found["name"], "its file lies on the machine that wrote it", place)
    if _OF_WINDOWS.match(line) and ";" not in line:
        return Unfit(line, "", "it is for Windows alone", place)
    if _OF_DEBIAN.match(line):
        return Unfit(line, "", "it is in no index: `pip freeze` of Debian wrote it", place)
    if _REQUIREMENT.match(line) or _ELSEWHERE.match(line):
        return None
    return Unfit(line, "", "this is no requirement", place)
