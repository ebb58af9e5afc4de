"""What helps against the exceptions that tasks fail with most often."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from harness.airflow.autopsy.missing_files import (
    hand_over,
    in_working_directory,
    missing_file,
    missing_program,
    what_helps,
)
from harness.airflow.autopsy.missing_modules import missing_module
from harness.airflow.autopsy.missing_settings import missing_setting
from harness.airflow.autopsy.pod_trouble import MEMORY_HINT
from harness.airflow.logs.task_log import Raised
from harness.project.places import CodeFiles

_BY_MESSAGE = (
    (
        re.compile(r"lib[\w.+-]+\.so[\d.]*: cannot open shared object file"),
        "the image lacks a system library that a wheel wants: name its Debian package in `[image] system_packages` "
        "(LightGBM wants libgomp1)",
    ),
    (
        re.compile(r"(?:can ?not|unable to|not|n't).{0,20}serializ", re.IGNORECASE),
        "what a task returns is kept as an XCom: return numbers, text, lists or dicts, and files by their path",
    ),
    (
        re.compile("Service (?:token file does not exist|host/port is not set)"),
        "a version's pods have no token for the cluster's own API, by choice: what starts pods itself, as "
        "KubernetesPodOperator does, can't run there: name the task in `skip` of the test in harness.toml",
    ),
    (
        re.compile("unmappable_return_value_length"),
        "map over fewer parts: 1024 at most, unless AIRFLOW__CORE__MAX_MAP_LENGTH below [image.env] says more",
    ),
)
_BY_KIND = {
    "AirflowSensorTimeout": "what the sensor waits for did not come: raise its `timeout`, or give the test that input",
    "AirflowTaskTimeout": "raise the task's `execution_timeout`, or give it less to do through the test's `conf`",
    "BrokenProcessPool": f"such a process is mostly killed for its memory: {MEMORY_HINT}",
    "MemoryError": MEMORY_HINT,
    "TerminatedWorkerError": f"such a process is mostly killed for its memory: {MEMORY_HINT}",
}


_NOT_WRITABLE = re.compile(r"(?:Permission denied|Read-only file system): '(?P<path>[^']+)'")
_NOT_ALLOWED = re.compile(r"(?P<name>[\w.]+) was not found in allow list for deserialization")
_NOT_FINITE = "Out of range float values are not JSON compliant"
_TOO_LARGE = "can't serialize ints"


def not_a_metric(raised: Raised) -> str | None:
    """What is wrong with a number that Airflow refused to keep; None for anything else that was raised."""
    if _NOT_FINITE in raised.message:
        return "a number that it returned is not finite (NaN or infinite)"
    if raised.kind == "OverflowError" and raised.message.startswith(_TOO_LARGE):
        return "a number that it returned is too large (more than 64 bits)"
    return None


def ended_by_exit(raised: Raised) -> bool:
    """Whether a task called exit() or quit(), which close standard input first: a task has none that can be closed."""
    return raised.kind == "OSError" and any(
        frame.file.endswith("_sitebuiltins.py") for frame in raised.frames
    )


def hint_for(raised: Raised, code: CodeFiles) -> str:
    """What to do about it; empty where nothing is known. `code`: what of the repository is in the image, and where."""
    if hint := _about_files(raised, code):
        return hint
    if program := missing_program(raised):
        return f"the image has no program {program}: it holds Python and what the lock names; take a package with it"
    if raised.kind == "ModuleNotFoundError" and (hint := missing_module(raised.message)):
        return hint
    if hint := missing_setting(raised.kind, raised.message):
        return hint
    if told := _told_by_airflow(raised):
        return told
    found = (hint for pattern, hint in _BY_MESSAGE if pattern.search(raised.message))
    return next(found, _BY_KIND.get(raised.kind, ""))


def _about_files(raised: Raised, code: CodeFiles) -> str:
    """What helps against a file that is not there, or may not be written."""
    if path := missing_file(raised):
        return what_helps(in_working_directory(path, code), code)
    if refused := _NOT_WRITABLE.search(raised.message):
        path = in_working_directory(refused["path"], code)
        return hand_over(path, code) if PurePosixPath(path).is_relative_to(code.root) else ""
    return ""


def _told_by_airflow(raised: Raised) -> str:
    """What helps against what Airflow refuses, or a task does that can't be done in one."""
    if match := _NOT_ALLOWED.search(raised.message):
        return (
            f'set AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES = "airflow.* {match["name"]}" below [image.env] in '
            "harness.toml, and the same in your own Airflow"
        )
    if ended_by_exit(raised):
        return "return from the task instead, or raise an exception: exit() and quit() are for the interactive Python"
    if not_a_metric(raised):
        return "return finite numbers of ordinary size: Airflow keeps what a task returns as JSON"
    return ""
