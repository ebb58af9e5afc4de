"""Files that a task did not find: which, whether the image or the repository has them elsewhere, and what helps."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from harness.airflow.autopsy.missing_modules import REQUIREMENTS, own_module
from harness.airflow.logs.task_log import Raised
from harness.hints import toml_text
from harness.project.image_settings import ImageSettings
from harness.project.places import TMP, CodeFiles

# As Python, pyarrow, h5py, pandas and what is written in Rust (polars, safetensors) say it.
_MISSING_FILE = re.compile(
    r"No such file or directory: '(?P<python>[^']+)'|local file '(?P<arrow>[^']+)'"
    r"|No such file or directory(?: \(os error 2\))?: (?P<rust>[^\s'\"]+)|name = '(?P<hdf>[^']+)', errno = 2\b"
    r"|(?<!\S)(?P<numpy>/\S+) not found\b|[Ff]ile:? '?(?P<other>[^\s']+)'? (?:does not|doesn't) exist"
)
_ONLY_THE_PATH = re.compile(r"(\S+?)(?: not found\.)?")  # all that numpy and pyarrow's data sets say
# As DuckDB, XGBoost, LightGBM and ONNX Runtime say it, by exceptions of their own.
_MISSING_TO_LIBRARY = re.compile(
    r"match the pattern \"(?P<glob>[^\"]+)\"|Cannot open (?:database|file) \"(?P<duckdb>[^\"]+)\""
    r"|Opening (?P<xgboost>\S+) failed: No such file|(?:Could not open|Cannot open data file) (?P<lightgbm>\S+)$"
    r"|Load model from (?P<onnx>\S+) failed:.*doesn't exist"
)
# As programs that a task starts say it: `cat: /tmp/model.txt: No such file or directory`.
_SAID_MISSING = re.compile(
    r"(?:^|[\s:'\"`])(?P<path>[^\s:'\"`]+)['\"]?: (?:\[Errno 2\] )?No such file or directory"
)
_OF_BASH_OPERATOR = re.compile(r"/tmp/airflowtmp\w+/")  # noqa: S108  where its programs work, unless it has a `cwd`
_OF_THE_IMAGE = ("/bin/", "/dev/", "/etc/", "/lib/", "/lib64/", "/proc/", "/sbin/", "/sys/", "/usr/")
_HOMES = ("/opt/airflow", "/usr/local/airflow")  # of Airflow's own images and of Astro's
_STARTS_PROGRAMS = frozenset({"_execute_child", "_posix_spawn", "create_subprocess_exec"})


def missing_file(raised: Raised) -> str | None:
    """The path that was not there; None for anything else that was raised."""
    if missing_program(raised):
        return None
    if raised.kind not in {"FileNotFoundError", "OSError"}:
        return _named_by(_MISSING_TO_LIBRARY.search(raised.message))
    if path := _named_by(_MISSING_FILE.search(raised.message)):
        return path
    path = _named_by(_ONLY_THE_PATH.fullmatch(raised.message)) if raised.kind == "FileNotFoundError" else None
    return path if path and may_be_handed_over(path) else None


def missing_program(raised: Raised) -> str | None:
    """The program that a task could not start because it is not there; None for anything else."""
    started = raised.frames and raised.frames[-1].name in _STARTS_PROGRAMS
    if raised.kind != "FileNotFoundError" or not started:
        return None
    match = _MISSING_FILE.search(raised.message)
    return match["python"] if match else None


def file_said_missing(lines: Iterable[str]) -> str | None:
    """The file that a program which a task ran did not find, by what it printed; None where it told of none.

    It is relative where the program did not name it by its absolute path.
    """
    for line in lines:
        match = _SAID_MISSING.search(line)
        path = _OF_BASH_OPERATOR.sub("", match["path"]) if match else ""
        if may_be_handed_over(path):
            return path
    return None


def by_absolute_path(path: str, code: CodeFiles) -> str:
    """What to do about a file that a program of BashOperator named by a relative path."""
    return (
        f"what BashOperator runs works in a folder of its own: name the file {in_working_directory(path, code)}, or "
        f'give the operator cwd="{code.root}"'
    )


def may_be_handed_over(path: str) -> bool:
    """Whether an earlier task could have written it: a file of its own, neither a word nor the image's."""
    name = PurePosixPath(path).name
    is_file = "/" in path or "." in name.strip(".")
    return is_file and not path.startswith(_OF_THE_IMAGE) and ".so" not in PurePosixPath(path).suffixes


def in_working_directory(path: str, code: CodeFiles) -> str:
    """The absolute path of one that a task named: it works in the folder that holds the code."""
    return posixpath.normpath(posixpath.join(code.root, path))


def elsewhere(path: str, code: CodeFiles) -> tuple[str, str] | None:
    """Where the repository has what was not found at an absolute path, and what helps; None where it has it nowhere."""
    known = frozenset(code.paths())
    for top, rest in _splits(path):
        if rest not in known or (top != code.root and "/" not in rest):
            continue
        if top == code.root:  # what the image has was there: something took it away
            return None if code.in_image(rest) else _left_out(rest, code)
        if not _is_valid(root=top, code=_with(rest, code)):
            continue
        lines = [f"root = {toml_text(top)}", *([] if code.in_image(rest) else [code.with_code(rest)])]
        return (
            f"the image has the code at {code.root}, not at {top}",
            f"to have {rest} where your own image has it, put {' and '.join(f'`{line}`' for line in lines)} "
            "under [image] in harness.toml",
        )
    return _ends_alike(path, known, code)


def of_repository(message: str, hint: str, code: CodeFiles, requirements: str) -> str:
    """A cause's hint as its repository has it: with what brings a module or file of its own, which the message calls
    missing, to where it was looked for; else with the name of the file that people edit for another package."""
    if REQUIREMENTS in hint and (own := own_module(message, code)):  # else somebody knows better
        return own
    path = _named_by(_MISSING_FILE.search(message))
    found = elsewhere(in_working_directory(path, code), code) if path else None
    return found[1] if found else hint.replace(REQUIREMENTS, requirements or REQUIREMENTS)


def what_helps(path: str, code: CodeFiles) -> str:
    """What to do about a file that was not found at an absolute path."""
    found = elsewhere(path, code)
    return found[1] if found is not None else hand_over(path, code)


def hand_over(path: str, code: CodeFiles) -> str:
    """What to do about a file at the absolute `path` that one task left for another."""
    file, root = PurePosixPath(posixpath.normpath(path)), PurePosixPath(code.root)
    other = next((each for each in _HOMES if each != code.root and file.is_relative_to(each)), None)
    if other is not None:
        return (
            f"the image has the code at {code.root}: to have it at {other}, as your own image has, "
            f"put `root = {toml_text(other)}` under [image] in harness.toml"
        )
    if seen := code.seen_by_all(str(file)):
        return (
            f"all tasks see {seen}, and none before this one wrote that file there: look at its name, and at the "
            "order of the tasks"
        )
    folder = file.relative_to(root).parent if file.is_relative_to(root) else None
    if folder is not None and folder.parts and (line := _shared(str(folder), code)):
        where = f"put `{line}` under [image] in harness.toml"
    elif file.is_relative_to(TMP):
        where = "put `shared_tmp = true` under [image] in harness.toml"
    else:
        where = "write it into a folder that [image] shared names in harness.toml"
    return (
        f"each task runs in a pod of its own, and what it writes goes with it: to hand files on, {where}, "
        "or use $HARNESS_ARTIFACTS_URL"
    )


def _named_by(match: re.Match[str] | None) -> str | None:
    return next(filter(None, match.groups()), None) if match else None


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """An absolute path as the folder that could be the root, and the rest; the root itself is none."""
    parts = PurePosixPath(path).parts[1:]
    for count in range(1, len(parts)):
        yield "/" + "/".join(parts[:count]), "/".join(parts[count:])


def _ends_alike(path: str, known: Iterable[str], code: CodeFiles) -> tuple[str, str] | None:
    """The one file of the repository whose path ends as the one that was asked for."""
    inside = PurePosixPath(path)
    parts = inside.relative_to(code.root).parts if inside.is_relative_to(code.root) else inside.parts[1:]
    for count in range(len(parts), 0, -1):
        tail = "/".join(parts[-count:])
        found = [each for each in known if each == tail or each.endswith(f"/{tail}")]
        if len(found) == 1 and (count > 1 or "." in tail):
            if not code.in_image(found[0]):
                return _left_out(found[0], code)
            there = code.place(found[0])
            return f"the image has {tail} at {there}", f"name it by that path: {there}"
        if found:
            return None
    return None


def _left_out(path: str, code: CodeFiles) -> tuple[str, str] | None:
    if not _is_valid(code=_with(path, code)):
        return None
    return (
        f"the repository has {path}, and the image does not",
        f"put `{code.with_code(path)}` under [image] in harness.toml: it is then {code.place(path)}",
    )


def _with(path: str, code: CodeFiles) -> tuple[str, ...]:
    """`code` with the top folder of a path, or with the file itself where it lies in none."""
    return code.code if code.in_image(path) else (*code.code, PurePosixPath(path).parts[0])


def _shared(folder: str, code: CodeFiles) -> str:
    """The line that shares a folder, where that may be one."""
    return code.with_shared(folder) if _is_valid(shared=(folder,)) else ""


def _is_valid(**settings: object) -> bool:
    try:
        return bool(ImageSettings.model_validate(settings))
    except ValueError:  # an odd name, or a place of the version's own
        return False
