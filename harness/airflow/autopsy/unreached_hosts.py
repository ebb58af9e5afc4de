"""A host that a task asked and did not reach: which one, where the code names it, and what helps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.airflow.logs.task_log import Raised
from harness.airflow.logs.tracebacks import Frame
from harness.airflow.logs.user_frames import shortened, users_frames
from harness.project.places import CodeFiles

_UNREACHED = re.compile(
    r"Name or service not known|Temporary failure in name resolution|No address associated with hostname"
    r"|NameResolutionError|[Cc]ould not (?:resolve host|translate host name)|Network is unreachable|No route to host"
)
_SAID = re.compile(
    r"(?:host='|resolve '|resolve host: |translate host name \"|connect to host |connect to '?https?://)"
    r"(?P<host>[A-Za-z0-9][\w.-]*[A-Za-z0-9])"
)
_ADDRESS = re.compile(r"(?:https?|ftp)://(?:[^\s/@'\"]*@)?(?P<host>[A-Za-z0-9][\w.-]*\w)")
_NAME = re.compile(r"[A-Za-z_]\w*")
_ASSIGNED = re.compile(r"^\s*(?P<name>[A-Za-z_]\w*)\s*(?::[^=]+)?=", re.MULTILINE)
_PYTHONS_OWN = re.compile(r"^/usr/lib/python|/lib/python3\.\d+/(?!.*-packages/)")
_ASKING = frozenset(
    {"urllib3", "requests", "httpx", "httpcore", "aiohttp", "anyio", "pandas", "fsspec", "pooch"}
)


def unreached_host(
    everything: Sequence[Raised], said: Sequence[str], code: CodeFiles
) -> tuple[str, str] | None:
    """What to add to a task's failure, and what helps; None where no host was asked in vain, or none is known."""
    texts = [*(str(entry) for entry in everything), *reversed(said)]
    if not any(_UNREACHED.search(text) for text in texts):
        return None
    named = next((found["host"] for text in texts if (found := _SAID.search(text))), "")
    frames = [frame for entry in everything for frame in users_frames(entry, code.root)]
    host, place = next(_of_code(frames, named, code), (named, ""))
    asks = f"it asks {host}" + (f" ({place})" if place else "") if host else _of_package(everything)
    if not asks:
        return None
    if host and "." not in host:
        return (
            f"; {asks}, which no version has",
            "give the address of a server that pods reach, through [secrets] or [image.env], or let the test skip the "
            "task",
        )
    return (
        f"; {asks}, which the cluster's pods do not reach",
        f"let containers of this machine reach {host or 'it'}, by HTTPS_PROXY below [image.env] where a proxy leads "
        "there; or let the test read a copy: commit it, and give its path by the test's conf or by [image.env]",
    )


def _of_code(frames: Sequence[Frame], named: str, code: CodeFiles) -> Iterator[tuple[str, str]]:
    """The host that the lines of these frames ask, and where the code names it: that one, where it is known."""
    for frame in frames:
        text = code.read(frame.file)
        lines = (text or "").splitlines()
        if not 0 < frame.line <= len(lines):
            continue
        found = [
            (each["host"], number) for number, line in enumerate(lines, 1) for each in _ADDRESS.finditer(line)
        ]
        if named:
            yield from ((named, f"{frame.file}:{number}") for host, number in found if host == named)
            continue
        asked = lines[frame.line - 1]
        names = set(_NAME.findall(asked))
        for host, number in found:
            assigned = _ASSIGNED.match(lines[number - 1])
            if number == frame.line or (assigned and assigned["name"] in names):
                yield host, f"{frame.file}:{number}"
        if len({host for host, _ in found}) == 1:
            yield found[0][0], f"{frame.file}:{found[0][1]}"


def _of_package(everything: Sequence[Raised]) -> str:
    """Which package asked, where no address is the user's own."""
    for entry in everything:
        for frame in reversed(entry.frames):
            package = shortened(frame, "/").file.partition("/")[0]
            if "-packages/" in frame.file and package not in _ASKING and not _PYTHONS_OWN.search(frame.file):
                return f"{package} asks a server of the internet" if package != "airflow" else ""
    return ""
