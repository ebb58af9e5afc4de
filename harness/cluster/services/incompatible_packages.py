"""A part of Airflow that raised while packages were imported or put together: that is the lock's fault."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.errors import CauseCode, HarnessError

EVIDENCE_LINES = 12
# An exception's last line, as Python and structlog write it: its kind, perhaps with its module's name, and a colon.
_RAISED = re.compile(
    r"^(?P<kind>(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Warning|Interrupt)): (?P<text>\S.*)$"
)
_FILE = re.compile(r'(?:File "|│? *)(?P<file>/[^":│]+\.py)(?:", line |:)(?P<line>\d+)')
_TWICE = re.compile(
    r"Detected recursive loop when walking DAG directory (?P<walked>\S+): (?P<twice>\S+) has appeared"
)
# Packages, Python's own modules, and the chart's programs.
_NOT_THE_USERS = re.compile(r"/(?:site|dist)-packages/|/lib/python3|^/etc/harness/")
_PACKAGES = ("site-packages/", "dist-packages/")
# What is around Airflow, or a DAG that its database does not take.
_NOT_OF_PACKAGES = re.compile(
    r"^(?:sqlalchemy|psycopg2?|asyncpg|kubernetes|httpx?2?|httpcore|requests|urllib3|redis)\."
    r"|(?:Operational|Interface|Integrity|Data|Programming|Internal|Statement|DBAPI|Database|Connection|Connect|Timeout"
    r"|Memory|OS|IO|Permission|FileNotFound|BrokenPipe|Api|Resolution|ReadTimeout|MaxRetry)(?:Error|Exception)$"
    r"|^(?:SystemExit|KeyboardInterrupt|\w+Warning)$"
)


def incompatible(who: str, lines: Sequence[str]) -> HarnessError | None:
    """The error where `who` ended with an exception of its packages, by the last lines that it wrote.

    None where it raised nothing, or what it raised is about something around it. Where a file of the user's own, such
    as airflow_local_settings.py, has part in it, that is what can't be imported.
    """
    found = next(
        (
            (index, match)
            for index, line in reversed(list(enumerate(lines)))
            if (match := _RAISED.match(line.strip()))
        ),
        None,
    )
    if found is None:
        return None
    index, raised = found
    if _NOT_OF_PACKAGES.search(raised["kind"]):
        return None
    if twice := _TWICE.search(raised["text"]):
        return _linked_twice(who, twice)
    begins = max((at for at, line in enumerate(lines[:index]) if "Traceback (most recent" in line), default=0)
    before = [match for line in lines[begins:index] if (match := _FILE.search(line))]
    if own := next((frame for frame in reversed(before) if not _NOT_THE_USERS.search(frame["file"])), None):
        return _of_the_user(who, own, raised, lines[max(0, index - EVIDENCE_LINES + 1) : index + 1])
    package = next(
        (
            path.rpartition(part)[2].split("/")[0].removesuffix(".py")
            for path in (frame["file"] for frame in reversed(before))
            for part in _PACKAGES
            if part in path
        ),
        "",
    )
    kind = raised["kind"].rpartition(".")[2]
    return HarnessError(
        CauseCode.DEPENDENCIES_INCOMPATIBLE,
        f"{who} can't run with the packages of the lock: {kind}: {raised['text']}"
        + (f" (raised in {package})" if package and package != "airflow" else ""),
        hint="make the lock again with the versions that Airflow was released with, from what it was made of: "
        "harness lock FILE, such as requirements.txt",
        evidence=[line.rstrip() for line in lines[max(0, index - EVIDENCE_LINES + 1) : index + 1]],
    )


def _linked_twice(who: str, found: re.Match[str]) -> HarnessError:
    return HarnessError(
        CauseCode.DAG_IMPORT_ERROR,
        f"{who} can't read {found['walked']}: a symbolic link leads to {found['twice']}, which it has read already",
        hint="take that link out of the folder of the DAGs: git ls-files --stage | grep ^120000 names all links",
    )


def _of_the_user(who: str, frame: re.Match[str], raised: re.Match[str], lines: Sequence[str]) -> HarnessError:
    kind = raised["kind"].rpartition(".")[2]
    return HarnessError(
        CauseCode.DAG_IMPORT_ERROR,
        f"{who} can't start, because of {frame['file']}:{frame['line']}: {kind}: {raised['text']}",
        hint=f"edit {frame['file'].rpartition('/')[2]}: Airflow reads it when it starts",
        evidence=[line.rstrip() for line in lines],
    )
