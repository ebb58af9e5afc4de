"""What the exception that a task raised tells of its cause."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from harness.airflow.autopsy.exception_hints import (
    ended_by_exit,
    hint_by_words,
    hint_for,
    not_a_metric,
    refused_by_airflow,
)
from harness.airflow.autopsy.missing_files import (
    by_absolute_path,
    elsewhere,
    file_said_missing,
    hand_over,
    in_working_directory,
    may_be_handed_over,
    missing_file,
)
from harness.airflow.autopsy.missing_modules import module_said_missing
from harness.airflow.autopsy.missing_programs import (
    lacks_library,
    lacks_program,
    library_said_missing,
    program_said_missing,
)
from harness.airflow.autopsy.unreached_hosts import unreached_host
from harness.airflow.logs.excerpts import in_a_line, whole
from harness.airflow.logs.task_log import LogRecord, Raised, last_texts, parse_traceback
from harness.airflow.logs.tracebacks import Frame
from harness.airflow.logs.user_frames import is_users, shortened, users_frames
from harness.airflow.rest.models import TaskInstance
from harness.errors import CauseCode, HarnessError
from harness.project.places import CodeFiles

SAID_LINES = 20
GROUP_CHARS = 120  # of an exception group's own text, in a message
_TOKEN_REFUSED = re.compile(
    r"ServerResponseError.*(?:Invalid auth token|Signature has expired|token.*expired)", re.DOTALL
)

_RETURNED = "Done. Returned value was: "
_NOT_FINITE = re.compile(r"'(?P<name>[^']{1,100})': (?:np\.\w+\()?'?(?P<is>-?(?:nan|inf|NaN|Infinity))\b")
NAMED_NUMBERS = 3
_EXIT_CODE = re.compile(r"exit (?:code|status) \d")
# What BashOperator and its kin log beside what the program prints.
_AROUND_A_PROGRAM = re.compile(
    r"Command exited with return code|Output:$|Running command: |Executing cmd: |Task (?:failed|finished)|::|harness: "
    r"|Tmp dir root location|Process exited abnormally|Workload finished"
)
_TASK_FAILED = "Task failed with exception"
_GAVE_UP = "Unhandled exception"  # of Airflow's own process beside the task's, which it has killed before
_TIME_IS_OVER = "Timeout, PID: "  # all that Airflow says of a task's execution_timeout
_TRIGGER_FAILED = "Trigger failed:\n"
# Beginnings of what Airflow says when something beside the task raised.
_BESIDE_THE_TASK = (
    "Early rendering of map_index_template failed",
    "Failed to push an xcom",
    "Failed to run task callback",
    "Failed to send email notification",
    "Failed to set rendered fields",
    "Retry policy evaluation failed",
    "error calling listener",
)


def raised_by_task(records: Sequence[LogRecord]) -> tuple[Raised, ...]:
    """What ended the task, then what led to it; not what its callbacks and listeners raised."""
    telling = [record for record in records if record.raised and not record.text.startswith(_BESIDE_THE_TASK)]
    own = [record for record in telling if record.text == _TASK_FAILED]
    raised = (own or telling)[-1].raised if telling else ()
    if raised and raised[0].kind == "TaskDeferralError":
        return _raised_by_trigger(records) or raised
    return raised


def _raised_by_trigger(records: Sequence[LogRecord]) -> tuple[Raised, ...]:
    """What ended the trigger that a task waited for: Airflow hands it to the task as a traceback's text."""
    told = next((record.text for record in reversed(records) if record.text.startswith(_TRIGGER_FAILED)), "")
    found = parse_traceback(told.removeprefix(_TRIGGER_FAILED))
    return () if found is None else (found,)


def from_token(task: TaskInstance, raised: Sequence[Raised]) -> HarnessError | None:
    """A token that Airflow gave the task when it was queued, and refused when the task came with it."""
    if not any(_TOKEN_REFUSED.search(str(found)) for entry in raised for found in entry.with_inner):
        return None
    return HarnessError(
        CauseCode.API_SERVER_LOST,
        f"task {task.label}: its token had expired, so Airflow refused what it asked: it waited for too long",
        hint="run the test again; harness status shows what else the cluster was doing",
        evidence=_in_full(raised),
    )


def from_supervisor(task: TaskInstance, records: Sequence[LogRecord]) -> HarnessError | None:
    """What Airflow's own process beside the task's could not go on from: it kills the task, then tells why."""
    last = next((record for record in reversed(records) if record.raised), None)
    if last is None or last.text != _GAVE_UP:
        return None
    if not any(record.text.startswith("Process exited") and record.signal for record in records):
        return None
    return HarnessError(
        CauseCode.API_SERVER_LOST,
        f"task {task.label}: Airflow itself gave it up: {_told(last.raised[0])}",
        hint="run the test again; harness logs shows what came before",
        evidence=(*_in_full(last.raised), *last_texts(records)),
    )


def from_metrics(
    task: TaskInstance, records: Sequence[LogRecord], raised: Sequence[Raised], metrics_task: str | None
) -> HarnessError | None:
    """Numbers that Airflow itself refused to keep, which therefore never came to be read as metrics."""
    wrong = next((found for entry in raised if (found := not_a_metric(entry))), None)
    if wrong is None or task.task_id != metrics_task:
        return None
    returned = next((each.text for each in reversed(records) if each.text.startswith(_RETURNED)), "")
    numbers = islice(_NOT_FINITE.finditer(returned), NAMED_NUMBERS)
    which = ", ".join(f"{match['name']} is {match['is']}" for match in numbers)
    return HarnessError(
        CauseCode.METRICS_INVALID,
        f"task {task.label}: {wrong}" + (f": {which}" if which else ""),
        hint="harness logs: see where the training went wrong",
        evidence=(*_in_full(raised), *([whole(returned)] if returned else [])),
    )


def from_exception(
    task: TaskInstance,
    records: Sequence[LogRecord],
    raised: Sequence[Raised],
    code: CodeFiles,
    has_earlier: bool,
) -> HarnessError | None:
    """What a task raised, where in the user's code, and what helps; None where it raised nothing.

    `has_earlier`: whether an earlier task may have written a file that this one misses.
    """
    if not raised:
        return None
    ours = users_frames(raised[0].leaves[0], code.root) or users_frames(raised[0], code.root)
    # Raised by an operator, about a program that it ran: what that one printed tells why.
    said = [] if ours else [record.text for record in records[-SAID_LINES:] if not record.raised]
    because, hint = _why(raised, said, code, has_earlier)
    if raised[0].kind == "ModuleNotFoundError" and _raised_by_trigger(records):
        hint = (
            "put that module below plugins/, and list plugins in [image] code, or into a package: the triggerer "
            "does not look into the folder of the DAGs, here as in production"
        )
    evidence = [line for entry in raised for line in _with_frames(entry, code.root)]
    if not ours:  # raised by an operator: what was printed before tells more than its frames
        evidence += last_texts([record for record in records if not record.raised])
    return HarnessError(
        CauseCode.TASK_FAILED,
        f"task {task.label} {_what(raised[0], ours)}{because}",
        hint=hint,
        evidence=tuple(evidence),
    )


def _what(raised: Raised, ours: Sequence[Frame]) -> str:
    """What became of the task, and at which of the user's own frames."""
    place = f" at {ours[0]}" if ours else ""
    if ended_by_exit(raised):
        return f"ended itself{place}: exit() or quit()"
    if raised.kind == "AirflowTaskTimeout" and raised.message.startswith(_TIME_IS_OVER):
        return f"ran longer than its execution_timeout{place}: {raised.kind}"
    return f"failed{place}: {_told(raised)}"


def _why(
    raised: Sequence[Raised], said: Sequence[str], code: CodeFiles, has_earlier: bool
) -> tuple[str, str]:
    """What the exception came from, as far as its words don't tell, and what helps.

    `said`: what a program printed that an operator ran.
    """
    because = f" (from {_told(raised[-1])})" if len(raised) > 1 else ""
    everything = [found for entry in raised for found in entry.with_inner]
    if (unreached := unreached_host(everything, said, code)) is not None:
        told, hint = unreached
        return because + told, hint
    if (lacking := _lacking([*(str(entry) for entry in everything), *said])) is not None:
        told, hint = lacking
        return f"{because}; {told}", hint
    told, hint = _about_file(everything, said, code, has_earlier)
    hints = (hint_for(entry, code) for entry in everything)
    words = (hint_by_words(line) for line in reversed(said))
    hint = (
        hint
        or next(filter(None, hints), "")
        or module_said_missing(said, code)
        or next(filter(None, words), "")
    )
    return because + (told or _said_last(raised[0], said)), hint


def _with_frames(entry: Raised, code_root: str) -> Iterator[str]:
    """An exception whole, with the user's frames, the one that raised it, and what is in a group."""
    yield whole(str(entry))
    yield from (f"  {frame}" for frame in users_frames(entry, code_root)[:4])
    if entry.frames and not is_users(entry.frames[-1], code_root):
        yield f"  {shortened(entry.frames[-1], code_root)}"
    if entry.inner:
        yield whole("\n".join(_placed(leaf, code_root) for leaf in entry.leaves))


def _said_last(raised: Raised, said: Sequence[str]) -> str:
    """The last words of a program that an operator ran, where all that it raises is the program's exit code."""
    own = [line for line in said if line.strip() and not _AROUND_A_PROGRAM.match(line)]
    return f"; it said last: {in_a_line(own[-1])}" if own and _EXIT_CODE.search(raised.message) else ""


def _lacking(lines: Sequence[str]) -> tuple[str, str] | None:
    """What the image lacks by these lines, and what helps."""
    if library := library_said_missing(lines):
        return lacks_library(library)
    program = program_said_missing(lines)
    return lacks_program(program) if program else None


def _told(raised: Raised) -> str:
    """An exception in a line: of a group the first that is in it, as the group's own text tells nothing."""
    if refusal := refused_by_airflow(raised):
        return f"Airflow refused what it asked for: {in_a_line(refusal)}"
    if not raised.inner:
        return in_a_line(str(raised))
    return f"{in_a_line(str(raised.leaves[0]))} (in {in_a_line(str(raised), GROUP_CHARS)})"


def _in_full(raised: Sequence[Raised]) -> tuple[str, ...]:
    return tuple(whole(str(entry)) for entry in raised)


def _about_file(
    everything: Sequence[Raised], said: Sequence[str], code: CodeFiles, has_earlier: bool
) -> tuple[str, str]:
    """Where a file is that was not found, or that it went with the pod of an earlier task; and what helps."""
    lost = next((path for entry in everything if (path := missing_file(entry))), None)
    of_program = None if lost else file_said_missing(said)
    lost = lost or of_program
    if lost is None:
        return "", ""
    path = in_working_directory(lost, code)
    if (found := elsewhere(path, code)) is not None:
        return f"; {found[0]}", found[1]
    named = "" if of_program is None or of_program.startswith("/") else by_absolute_path(lost, code)
    if named and code.in_image(lost) and os.path.normpath(lost) in code.paths():
        return f"; the image has {lost} at {path}", named
    if not has_earlier or not may_be_handed_over(lost):
        return "", ""
    told = f"; each task has a file system of its own: what an earlier task wrote to {lost} is not in it"
    hint = hand_over(path, code)
    return "" if code.seen_by_all(path) else told, f"{hint}; {named}" if named else hint


def _placed(raised: Raised, code_root: str) -> str:
    ours = users_frames(raised, code_root)
    return f"  {raised}" + (f" at {ours[0]}" if ours else "")
