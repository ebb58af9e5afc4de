"""Files that a task did not find: what of the repository is in the image, elsewhere, or left out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from task_samples import BOOM, cause_of, error, log, raised

from harness.airflow.autopsy.missing_files import (
    elsewhere,
    in_working_directory,
    missing_file,
    of_repository,
    what_helps,
)
from harness.airflow.logs.task_log import Raised
from harness.project.places import CodeFiles

PATHS = (
    "dags",
    "dags/churn.py",
    "dags/data",
    "dags/data/train.csv",
    "include",
    "include/sql",
    "include/sql/a.sql",
)
CODE = CodeFiles(paths=lambda: (*PATHS, "models/a/best.pkl", "models/b/best.pkl"))


@pytest.mark.parametrize(
    ("path", "words", "line"),
    [
        (
            "/usr/local/airflow/dags/data/train.csv",
            "not at /usr/local/airflow",
            '`root = "/usr/local/airflow"`',
        ),
        ("/app/dags/data/train.csv", "not at /app", '`root = "/app"`'),
        ("/app/include/sql/a.sql", "not at /app", '`root = "/app"` and `code = ["dags", "include"]`'),
        ("/opt/airflow/include/sql/a.sql", "the image does not", '`code = ["dags", "include"]`'),
        ("/opt/airflow/include/sql", "the image does not", '`code = ["dags", "include"]`'),
        ("/opt/airflow/data/train.csv", "at /opt/airflow/dags/data/train.csv", "name it by that path"),
        ("/mnt/data/train.csv", "at /opt/airflow/dags/data/train.csv", "name it by that path"),
        ("/opt/airflow/train.csv", "at /opt/airflow/dags/data/train.csv", "name it by that path"),
        ("/tmp/sql/a.sql", "the repository has include/sql/a.sql", '`code = ["dags", "include"]`'),
    ],
)
def test_where_the_repository_has_it(path: str, words: str, line: str) -> None:
    found = elsewhere(path, CODE)
    assert found is not None
    assert words in found[0]
    assert line in found[1]


@pytest.mark.parametrize(
    "path",
    [
        "/opt/airflow/dags/data/train.csv",  # it was there: a task took it away
        "/opt/airflow/dags/data/test.csv",
        "/tmp/model.pkl",
        "/opt/airflow/best.pkl",  # which of the two?
        "/data",
    ],
)
def test_what_the_repository_has_nowhere_else(path: str) -> None:
    assert elsewhere(path, CODE) is None


def test_it_is_told_in_the_cause() -> None:
    missing = error("FileNotFoundError", "[Errno 2] No such file or directory: 'data/train.csv'", BOOM)
    cause = cause_of(log=log(raised(missing)), code=CODE)
    assert "the image has data/train.csv at /opt/airflow/dags/data/train.csv" in cause.message
    assert "shared" not in cause.hint


def test_also_where_a_program_did_not_find_it() -> None:
    said = {"event": "cat: include/sql/a.sql: No such file or directory", "level": "info"}
    bash = error("AirflowException", "Bash command failed. The command returned a non-zero exit code 1.")
    cause = cause_of(log=log(said, raised(bash)), code=CODE)
    assert "the repository has include/sql/a.sql, and the image does not" in cause.message
    assert '`code = ["dags", "include"]`' in cause.hint


@pytest.mark.parametrize("path", ["data/x.csv", "/opt/airflow/data/x.csv", "./data/../data/x.csv"])
def test_a_folder_that_an_earlier_task_wrote_to_is_to_be_shared(path: str) -> None:
    hint = what_helps(in_working_directory(path, CODE), CODE)
    assert 'put `shared = ["data"]` under [image] in harness.toml' in hint
    more = replace(CODE, shared=("models", "data/raw"))  # within the new one
    assert '`shared = ["models", "data"]`' in what_helps(in_working_directory(path, more), more)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("FileNotFoundError", "[Errno 2] No such file or directory: 'data/x.csv'"),
        ("FileNotFoundError", "data/x.csv not found."),  # numpy.loadtxt
        ("FileNotFoundError", "data/x.csv"),  # pandas.read_parquet
        ("FileNotFoundError", "File data/x.csv does not exist"),  # pandas.read_hdf
        (
            "FileNotFoundError",
            "[Errno 2] Failed to open local file 'data/x.csv'. Detail: [errno 2] No such file",
        ),
        ("FileNotFoundError", "No such file or directory (os error 2): data/x.csv"),  # polars
        ("FileNotFoundError", "No such file or directory: data/x.csv"),  # safetensors
        (
            "FileNotFoundError",
            "[Errno 2] Unable to synchronously open file (unable to open file: name = 'data/x.csv', errno = 2, error "
            "message = 'No such file or directory', flags = 0, o_flags = 0)",
        ),
        ("IOException", 'IO Error: No files found that match the pattern "data/x.csv"'),
        ("IOException", 'IO Error: Cannot open file "/opt/airflow/data/x.csv": No such file or directory'),
        (
            "IOException",
            'IO Error: Cannot open database "/opt/airflow/data/x.csv" in read-only mode: database does not exist',
        ),
        (
            "XGBoostError",
            "[14:46:31] /workspace/src/common/io.cc:144: Opening data/x.csv failed: No such file or d",
        ),
        ("LightGBMError", "Could not open data/x.csv"),
        ("LightGBMError", "Cannot open data file data/x.csv"),
        (
            "NoSuchFile",
            "[ONNXRuntimeError] : 3 : NO_SUCHFILE : Load model from data/x.csv failed:Load model data/x.csv failed. "
            "File doesn't exist",
        ),
    ],
)
def test_however_a_library_says_that_it_is_not_there(kind: str, message: str) -> None:
    path = missing_file(Raised(kind, message))
    assert path is not None
    assert 'put `shared = ["data"]` under [image]' in what_helps(in_working_directory(path, CODE), CODE)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("FileNotFoundError", "model not found."),
        ("FileNotFoundError", "nothing to train on"),
        ("ValueError", "data/x.csv not found."),
        ("LightGBMError", "Check failed: (num_data) > (0) at dataset.cpp"),
    ],
)
def test_what_tells_of_no_file(kind: str, message: str) -> None:
    assert missing_file(Raised(kind, message)) is None


@pytest.mark.parametrize("path", ["x.csv", "dags/x.csv", "artifacts/x.csv", "/mnt/x.csv"])
def test_the_root_and_what_holds_the_code_are_not(path: str) -> None:
    assert "`shared = " not in what_helps(in_working_directory(path, CODE), CODE)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("data/x.csv", "/opt/airflow/data"),
        ("/tmp/x.csv", "/tmp"),
        ("artifacts/x.csv", "/opt/airflow/artifacts"),
    ],
)
def test_what_all_tasks_see_was_not_lost_with_a_pod(path: str, place: str) -> None:
    code = CodeFiles(shared=("data",), shared_tmp=True)
    missing = error("FileNotFoundError", f"[Errno 2] No such file or directory: '{path}'", BOOM)
    cause = cause_of(log=log(raised(missing)), code=code)
    assert cause.hint.startswith(f"all tasks see {place}, and none before this one wrote that file there")
    assert "file system of its own" not in cause.message
    denied = error("PermissionError", f"[Errno 13] Permission denied: '{path}'", BOOM)
    assert "order of the tasks" not in cause_of(log=log(raised(denied)), code=code).hint


@pytest.mark.parametrize(
    ("code", "module", "line"),
    [
        (("dags",), "features", '`code = ["dags", "src"]` and `python_path = ["src"]`'),
        (("dags", "src"), "features", 'put `python_path = ["src"]`'),
        (("dags",), "features.build", '`code = ["dags", "src"]` and `python_path = ["src"]`'),
        (("dags",), "shared_code", 'put `code = ["dags", "shared_code"]` under'),
        (("dags",), "settings", 'put `code = ["dags", "settings.py"]` under'),
        (("dags",), "names", 'put `python_path = ["dags/lib"]`'),
    ],
)
def test_a_module_of_the_repository_is_no_package_to_be_locked(
    code: tuple[str, ...], module: str, line: str
) -> None:
    paths = ("dags", "dags/lib", "dags/lib/names.py", "settings.py", "shared_code", "shared_code/a.py")
    more = ("src", "src/features", "src/features/__init__.py", "src/features/build.py")
    here = CodeFiles(code=code, paths=lambda: (*paths, *more))
    hint = "add it to the file that [image] requirements names in harness.toml"
    assert line in of_repository(f"No module named '{module}'", hint, here, "requirements.txt")
    below = "put that module below plugins/"  # where the triggerer looks for it
    assert of_repository(f"No module named '{module}'", below, here, "requirements.txt") == below


def test_what_the_repository_does_not_have_keeps_its_hint_with_the_file_to_edit() -> None:
    hint = "add xgboost to the file that [image] requirements names in harness.toml"
    told = of_repository("No module named 'xgboost'", hint, CODE, "requirements.txt")
    assert told == "add xgboost to requirements.txt"
    assert of_repository("it failed", "harness logs", CODE, "") == "harness logs"
