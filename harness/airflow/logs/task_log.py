"""A task's log as Airflow writes it: lines of JSON, with exceptions and their frames."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from harness.airflow.logs.excerpts import abridged
from harness.airflow.logs.tracebacks import Frame, exception_text, traceback_frames

_KIND = re.compile(r"[A-Za-z_][\w.]*")
# Beginnings of what Airflow says around every task, which tells nothing about this one.
_AIRFLOWS_OWN = (
    "DAG bundles loaded",
    "Executing workload",
    "Filling up the DagBag",
    "Process exited abnormally",
    "Secrets backends loaded",
    "Task finished",
    "Using Public CAs",
    "Worker startup parse complete",
    "Workload finished",
)


@dataclass(frozen=True)
class Raised:
    """An exception in a task's log, its frames outermost first.

    `inner`: what an exception group holds; of each exception what led to it comes after it.
    """

    kind: str
    message: str
    frames: tuple[Frame, ...] = ()
    inner: tuple[tuple[Raised, ...], ...] = ()

    @property
    def leaves(self) -> tuple[Raised, ...]:
        """The exceptions in a group that are no groups themselves; an exception that is no group alone."""
        found = tuple(leaf for chain in self.inner if chain for leaf in chain[0].leaves)
        return found or (self,)

    @property
    def with_inner(self) -> tuple[Raised, ...]:
        """It and all that is in it."""
        return (self, *(found for chain in self.inner for entry in chain for found in entry.with_inner))

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


@dataclass(frozen=True)
class LogRecord:
    """One line of a task's log. `raised`: the exception it reports, then those that led to it.

    `exited` is what the task gave to sys.exit, as text; `exit_code` with what code its process ended, if not 0.
    """

    text: str
    level: str = "info"
    time: str = ""
    raised: tuple[Raised, ...] = ()
    signal: int | None = None
    exited: str | None = None
    exit_code: int | None = None


def parse_log(text: str, *, whole: bool = False) -> tuple[LogRecord, ...]:
    """A task's or its pod's log: lines of JSON; a line that is none stands for itself.

    Long texts are abridged, unless they are asked for as a `whole`.
    """
    shown = str if whole else abridged
    # JSON ends with a line feed alone: what Python takes for an end too, such as U+2028, may be in what a task printed.
    return tuple(record for line in text.split("\n") for record in _records(line, shown))


def parse_traceback(text: str) -> Raised | None:
    """The exception that a traceback's text ends with, with its own frames; None where it has none."""
    last = text.rpartition("Traceback (most recent call last):")[2]
    said = exception_text(last)
    kind, _, message = said.partition(":")
    if not _KIND.fullmatch(kind):
        return None
    return Raised(kind.rpartition(".")[2], message.strip(), traceback_frames(last))


def readable(text: str) -> str:
    """The log for people: time, level and text of each line, and exceptions as Python shows them."""
    lines: list[str] = []
    for record in parse_log(text, whole=True):
        head = f"{record.time[11:19]} {record.level:<8} " if record.time else ""
        lines.append(head + record.text)
        lines += _traceback(record.raised)
    return "".join(f"{line}\n" for line in lines)


def _traceback(chain: Sequence[Raised]) -> Iterator[str]:
    for number, raised in enumerate(reversed(chain)):
        if number:
            yield from ("", "The above exception was the direct cause of the following exception:", "")
        yield "Traceback (most recent call last):"
        yield from (f'  File "{frame.file}", line {frame.line}, in {frame.name}' for frame in raised.frames)
        yield str(raised)
        for place, inner in enumerate(raised.inner, start=1):
            yield f"  +---------------- {place} ----------------"
            yield from (f"  | {line}" for line in _traceback(inner))


def last_texts(records: Sequence[LogRecord]) -> tuple[str, ...]:
    """The last lines that are not Airflow's own."""
    told = (record.text for record in records if not record.text.startswith(("::", *_AIRFLOWS_OWN)))
    return tuple(told)[-4:]


def _records(line: str, shown: Callable[[str], str]) -> Iterator[LogRecord]:
    data = None
    with suppress(ValueError, RecursionError):
        data = json.loads(line)
    if not isinstance(data, dict) or "event" not in data:
        yield from (LogRecord(shown(each)) for each in line.splitlines() if each.strip())
        return
    yield LogRecord(
        text=shown(str(data["event"])),
        level=str(data.get("level") or "info"),
        time=str(data.get("timestamp") or ""),
        # The second is how Airflow's own process beside the task's tells of what it did not expect.
        raised=tuple(
            _raised(entry, shown) for entry in _dicts(data.get("error_detail") or data.get("exception"))
        ),
        signal=_signal(data),
        exited=str(data.get("exit_code")) if data["event"] == "Task exited" else None,
        exit_code=_exit_code(data),
    )


def _signal(data: Mapping[str, Any]) -> int | None:
    """The signal that ended the task's process: named in the task's log, an exit code in the pod's."""
    for key in ("signal", "exit_code"):
        number = data.get(key)
        if isinstance(number, int) and not isinstance(number, bool) and number < 0:
            return -number
    return None


def _exit_code(data: Mapping[str, Any]) -> int | None:
    """The code that the task's process ended with by itself: the task's log and its pod's tell of it."""
    code = data.get("exit_code")
    told = data["event"] in ("Process exited abnormally", "Workload finished")
    return code if told and isinstance(code, int) and not isinstance(code, bool) and code > 0 else None


def _raised(entry: Mapping[str, Any], shown: Callable[[str], str]) -> Raised:
    frames = tuple(
        Frame(str(frame.get("filename", "?")), int(frame.get("lineno") or 0), str(frame.get("name", "")))
        for frame in _dicts(entry.get("frames"))
    )
    chains = entry.get("exceptions")
    inner = tuple(
        tuple(_raised(inner, shown) for inner in _dicts(chain))
        for chain in (chains if isinstance(chains, list) else [])
    )
    return Raised(
        str(entry.get("exc_type") or "Exception"),
        shown(str(entry.get("exc_value") or "").strip()),
        frames,
        inner,
    )


def _dicts(value: object) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
