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
from harness.airflow.autopsy.missing_modules import changed_package, missing_module
from harness.airflow.autopsy.missing_settings import missing_conf, missing_setting
from harness.airflow.autopsy.pod_trouble import MEMORY_HINT, SHARED_MEMORY_HINT
from harness.airflow.logs.task_log import Raised
from harness.project.places import CodeFiles

OLDER_HINT = (
    "the lock has a newer release than this code is for: edit the code, or ask for {} in the requirements"
)
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
    (
        re.compile("Invalid input for param"),
        "edit the conf that this task hands over, or that param of the DAG that it triggers",
    ),
    (
        re.compile("Exec format error"),
        "that file is no program for this machine: it was built for another processor, or is a script without a first "
        "line such as #!/bin/sh",
    ),
    (
        re.compile(r"cannot execute: required file not found|bad interpreter|\\r\W?: No such file|\$'\\r'"),
        "the image lacks the program that the script's first line names; lines that end as in Windows (CRLF) name one "
        "that is nowhere: commit the script with `*.sh text eol=lf` in .gitattributes",
    ),
    (
        re.compile(r"\.(?:sh|py|bash|R|pl): Permission denied"),
        "the script may not be executed: git update-index --chmod=+x FILE, or name what runs it, as in `bash FILE`",
    ),
    (
        re.compile("unable to open database file"),
        "SQLite finds no such file, or no folder to make it in: each task runs in a pod of its own, so one that "
        "several tasks use belongs into a folder that [image] shared names in harness.toml",
    ),
    (
        re.compile("filesystem tracking backend"),
        "MLflow 3.17 takes no files for its tracking: leave its address out of the code, and put `metrics = { mlflow = "
        "true }` under the test in harness.toml: MLFLOW_TRACKING_URI then leads to a server of the version's own",
    ),
    (
        re.compile("No space left on device"),
        f"a disk is full: the node's (harness status --disk), or /dev/shm: {SHARED_MEMORY_HINT}",
    ),
    (
        re.compile("Direct database access via the ORM is not allowed"),
        "Airflow 3 gives tasks no access to its own database: take what the context has, as ti.xcom_pull and "
        "ti.get_previous_dagrun do, or ask Airflow's REST API",
    ),
    (
        re.compile(r"Can't get attribute '[^']+' on <module '(?:__main__|airflow\.sdk\.execution_time\.)"),
        "that file was written by a script that defined this name itself: define it in a module that both import, and "
        "write the file again",
    ),
    (
        re.compile("may indicate binary incompatibility|compiled using NumPy 1.x cannot be run"),
        "a package was compiled for another NumPy than the image has: harness lock --upgrade finds both anew",
    ),
    (
        re.compile("Error while fetching server API version|Cannot connect to the Docker daemon"),
        "a task's pod has no Docker: name the task in `skip` of the test in harness.toml, or run in it what that "
        "container runs",
    ),
    (
        re.compile("removed in the NumPy 2|module 'numpy' has no attribute"),
        OLDER_HINT.format("numpy<2"),
    ),
    (
        re.compile("removed from scikit-learn"),
        OLDER_HINT.format("scikit-learn<1.2"),
    ),
    (
        re.compile(r"'(?:DataFrame|Series)' object has no attribute '(?:append|iteritems|ix|mad)'"),
        OLDER_HINT.format("pandas<2"),
    ),
    (
        re.compile("offset-naive and offset-aware"),
        "Airflow's dates have a time zone: take datetime.now(timezone.utc), or pendulum.now('UTC')",
    ),
    (
        re.compile(
            "Found no NVIDIA driver|not compiled with CUDA|CUDA driver version is insufficient|no CUDA-capable"
        ),
        "no GPU is there for the task: take the CPU without one, as torch.cuda.is_available() and its like tell",
    ),
    (
        re.compile("out of shared memory|Bus error"),
        SHARED_MEMORY_HINT,
    ),
    (
        re.compile("CERTIFICATE_VERIFY_FAILED|certificate verify failed"),
        "pods trust the authorities of your machine's bundle: export SSL_CERT_FILE=BUNDLE, with the one in it that "
        "signed that server's certificate, then harness up",
    ),
    (
        re.compile("Name or service not known|Temporary failure in name resolution|Could not resolve host"),
        "no host of that name is known where a version runs: give an address that its pods reach, through [secrets] or "
        "[image.env]",
    ),
    (
        re.compile("Connection refused"),
        "nothing answers there: a task's localhost is its own pod; what runs beside your own Airflow "
        "needs an address that pods reach, through [secrets] or [image.env]",
    ),
    (
        re.compile("Python Path '[^']+' must exist"),
        "the image has one Python: put what that environment has into the lock, and take @task",
    ),
    (
        re.compile("'NoneType' object|NoneType' and|and 'NoneType'"),
        "harness logs; where that comes from an XCom: what its task did not hand over under that key is None",
    ),
)
_REMOVED = {  # from the context of tasks, in Airflow 3
    "execution_date": "logical_date",
    "next_ds": "data_interval_end | ds",
    "next_ds_nodash": "data_interval_end | ds_nodash",
    "next_execution_date": "data_interval_end",
    "prev_ds": "prev_data_interval_start_success",
    "prev_execution_date": "prev_data_interval_start_success",
    "prev_execution_date_success": "prev_data_interval_start_success",
    "tomorrow_ds": "macros.ds_add(ds, 1)",
    "yesterday_ds": "macros.ds_add(ds, -1)",
}
_MAPPED = "return a list or a dict from that task: another one is mapped over it; an empty one where there is nothing"
_BY_KIND = {
    "AirflowSensorTimeout": "what the sensor waits for did not come: raise its `timeout`, or give the test that input",
    "AirflowTaskTimeout": "raise the task's `execution_timeout`, or give it less to do through the test's `conf`",
    "BrokenProcessPool": f"such a process is mostly killed for its memory: {MEMORY_HINT}",
    "MemoryError": MEMORY_HINT,
    "TemplateNotFound": "Airflow takes a text that ends in .sh, .sql and the like for a file beside the DAG: commit it "
    "there, or name its folder in `template_searchpath`; where it is a command, let it end in a space",
    "UnmappableXComTypePushed": _MAPPED,
    "XComForMappingNotPushed": _MAPPED,
    "UndefinedError": "a template asks for what is not there: `params` are given by the DAG and by `conf` of the test",
    "TerminatedWorkerError": f"such a process is mostly killed for its memory: {MEMORY_HINT}",
}


_NOT_WRITABLE = re.compile(r"(?:Permission denied|Read-only file system): '(?P<path>[^']+)'")
_NOT_ALLOWED = re.compile(r"(?P<name>[\w.]+) was not found in allow list for deserialization")
_REFUSED = "API_SERVER_ERROR: "
_MESSAGE = re.compile(r"""'message': (?:"((?:[^"\\]|\\.)+)"|'((?:[^'\\]|\\.)+)')""")
_NOT_FINITE = "Out of range float values are not JSON compliant"
_TOO_LARGE = "can't serialize ints"


def not_a_metric(raised: Raised) -> str | None:
    """What is wrong with a number that Airflow refused to keep; None for anything else that was raised."""
    if _NOT_FINITE in raised.message:
        return "a number that it returned is not finite (NaN or infinite)"
    if raised.kind == "OverflowError" and raised.message.startswith(_TOO_LARGE):
        return "a number that it returned is too large (more than 64 bits)"
    return None


def refused_by_airflow(raised: Raised) -> str:
    """What Airflow's api-server answered to what a task asked of it, in its own words; empty where it was not that."""
    if not raised.message.startswith(_REFUSED):
        return ""
    told = _MESSAGE.findall(raised.message.removeprefix(_REFUSED))
    return next(filter(None, (double or single for double, single in reversed(told))), "").split("\\n")[0]


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
    if hint := missing_conf(raised, code) or missing_setting(raised.kind, raised.message):
        return hint
    if told := _told_by_airflow(raised):
        return told
    innermost = raised.frames[-1].file if raised.frames else ""
    return (
        hint_by_words(raised.message)
        or _BY_KIND.get(raised.kind, "")
        or changed_package(raised.message, innermost, code)
    )


def hint_by_words(text: str) -> str:
    """What helps against what a message, or a line that a program printed, tells; empty where nothing is known."""
    return next((hint for pattern, hint in _BY_MESSAGE if pattern.search(text)), "")


def _about_files(raised: Raised, code: CodeFiles) -> str:
    """What helps against a file that is not there, or may not be written."""
    if path := missing_file(raised):
        return what_helps(in_working_directory(path, code), code)
    if refused := _NOT_WRITABLE.search(raised.message):
        path = in_working_directory(refused["path"], code)
        if code.seen_by_all(path):
            return ""  # the task may write there: it is about this file's own rights
        if PurePosixPath(path).is_relative_to(code.root):
            return hand_over(path, code)
        return f"a task may write below {code.root}, /tmp and /var/tmp: give it a path there, or $HARNESS_ARTIFACTS_URL"
    return ""


def _told_by_airflow(raised: Raised) -> str:
    """What helps against what Airflow refuses, or a task does that can't be done in one."""
    if match := _NOT_ALLOWED.search(raised.message):
        return (
            f'set AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES = "airflow.* {match["name"]}" below [image.env] in '
            "harness.toml, and the same in your own Airflow"
        )
    words = re.search(r"'(?P<name>\w+)'", raised.message)
    if raised.kind in {"KeyError", "UndefinedError"} and words and (instead := _REMOVED.get(words["name"])):
        return f"Airflow 3 no longer gives tasks {words['name']}: take {instead}"
    if ended_by_exit(raised):
        return "return from the task instead, or raise an exception: exit() and quit() are for the interactive Python"
    if not_a_metric(raised):
        return "return finite numbers of ordinary size: Airflow keeps what a task returns as JSON"
    return ""
