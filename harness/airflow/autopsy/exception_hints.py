"""What helps against the exceptions that tasks fail with most often."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from harness.airflow.autopsy.missing_modules import missing_module
from harness.airflow.autopsy.missing_settings import missing_setting
from harness.airflow.autopsy.pod_trouble import MEMORY_HINT
from harness.airflow.logs.task_log import Raised
from harness.hints import toml_text
from harness.project.configuration import ImageSettings

# As Python, numpy, pyarrow and SQLAlchemy's neighbours say it.
_MISSING_FILE = re.compile(
    r"No such file or directory: '(?P<python>[^']+)'|local file '(?P<arrow>[^']+)'"
    r"|(?P<numpy>/\S+) not found\b|[Ff]ile:? '?(?P<other>/[^\s']+)'? (?:does not|doesn't) exist"
)
# As programs that a task starts say it: `cat: /tmp/model.txt: No such file or directory`.
_SAID_MISSING = re.compile(r"(?:^|[\s:'\"`])(?P<path>[^\s:'\"`]+)['\"]?: No such file or directory")
_OF_THE_IMAGE = ("/bin/", "/dev/", "/etc/", "/lib/", "/lib64/", "/proc/", "/sbin/", "/sys/", "/usr/")
_HOMES = ("/opt/airflow", "/usr/local/airflow")  # of Airflow's own images and of Astro's
_STARTS_PROGRAMS = frozenset({"_execute_child", "_posix_spawn", "create_subprocess_exec"})
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


def missing_file(raised: Raised) -> str | None:
    """The path that was not there; None for anything else that was raised."""
    if raised.kind not in {"FileNotFoundError", "OSError"} or missing_program(raised):
        return None
    match = _MISSING_FILE.search(raised.message)
    return next(filter(None, match.groups()), None) if match else None


def missing_program(raised: Raised) -> str | None:
    """The program that a task could not start because it is not there; None for anything else."""
    started = raised.frames and raised.frames[-1].name in _STARTS_PROGRAMS
    if raised.kind != "FileNotFoundError" or not started:
        return None
    match = _MISSING_FILE.search(raised.message)
    return match["python"] if match else None


def file_said_missing(lines: Iterable[str]) -> str | None:
    """The file that a program which a task ran did not find, by what it printed; None where it told of none."""
    for line in lines:
        match = _SAID_MISSING.search(line)
        if match and may_be_handed_over(match["path"]):
            return match["path"]
    return None


def may_be_handed_over(path: str) -> bool:
    """Whether an earlier task could have written it: a file of its own, neither a word nor the image's."""
    name = PurePosixPath(path).name
    is_file = "/" in path or "." in name.strip(".")
    return is_file and not path.startswith(_OF_THE_IMAGE) and ".so" not in PurePosixPath(path).suffixes


def hand_over(path: str, code_root: str) -> str:
    """What to do about a file at `path` that one task left for another."""
    file, root = PurePosixPath(posixpath.normpath(path)), PurePosixPath(code_root)
    other = next((each for each in _HOMES if each != code_root and file.is_relative_to(each)), None)
    if other is not None:
        return (
            f"the image has the code at {code_root}: to have it at {other}, as your own image has, "
            f"put `root = {toml_text(other)}` under [image] in harness.toml"
        )
    folder = file.relative_to(root).parent if file.is_relative_to(root) else None
    if (
        folder is not None and len(folder.parts) > 1 and _can_be_shared(str(folder))
    ):  # a top one holds the code
        where = f"put `shared = [{toml_text(str(folder))}]` under [image] in harness.toml"
    else:
        where = "write it into a folder that [image] shared names in harness.toml"
    return (
        f"each task runs in a pod of its own, and what it writes goes with it: to hand files on, {where}, "
        "or use $HARNESS_ARTIFACTS_URL"
    )


def _can_be_shared(folder: str) -> bool:
    try:
        return bool(ImageSettings(shared=(folder,)))
    except ValueError:  # an odd name, or a place of the version's own
        return False


def in_working_directory(path: str, code_root: str) -> str:
    """The absolute path of one that a task named: it works in the folder that holds the code."""
    return posixpath.normpath(posixpath.join(code_root, path))


def hint_for(raised: Raised, code_root: str) -> str:
    """What to do about it; empty where nothing is known. `code_root`: where the user's code lies in the image."""
    refused = _NOT_WRITABLE.search(raised.message)
    path = missing_file(raised) or (refused["path"] if refused else None)
    path = in_working_directory(path, code_root) if path else None
    if path and (not refused or PurePosixPath(path).is_relative_to(code_root)):
        return hand_over(path, code_root)
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
