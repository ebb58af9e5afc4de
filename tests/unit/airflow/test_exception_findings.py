"""What a raised exception is told as: in one line, by the task's own exception, with those that are inside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest import mock

import pytest
from task_samples import BOOM, FAILED, NOW, RUNNER, cause_of, error, frame, log, raised

from harness.airflow.autopsy.autopsy import telling_log
from harness.airflow.logs import excerpts
from harness.airflow.logs.task_log import readable
from harness.airflow.rest.models import DagImportError, TaskInstance
from harness.project.places import CodeFiles

MANY_LINES = (
    "2 validation errors for TrainingConfig\nlearning_rate\n  Input should be a number\nepochs\n  Too small"
)


def test_an_exception_of_many_lines_is_told_in_one() -> None:
    said = MANY_LINES.replace("\nepochs", "\n    For further information visit https://errors\nepochs")
    text = log(raised(error("ValidationError", said, BOOM)))
    cause = cause_of(replace(FAILED, try_number=2, max_tries=1), log=text)
    assert cause.message == (
        "task boom failed at dags/bad_run.py:12 in boom: ValidationError: 2 validation errors for TrainingConfig "
        "learning_rate Input should be a number epochs Too small (try 2 of 2)"
    )
    assert cause.evidence[0] == f"ValidationError: {said}"


def test_a_long_exception_is_cut_in_the_message_alone() -> None:
    long = "no such column: " + "x" * 900
    cause = cause_of(
        replace(FAILED, try_number=2, max_tries=1), log=log(raised(error("KeyError", long, BOOM)))
    )
    assert len(cause.message) < 400
    assert cause.message.endswith("x… (try 2 of 2)")
    assert long in cause.evidence[0]


def test_a_secret_is_masked_before_its_text_is_cut() -> None:
    for secret in ("postgresql://ml:hunter2secret@warehouse/db", "host=a password=hunter2secret"):
        said = "x" * 280 + " " + secret
        told = cause_of(log=log(raised(error("E", said, BOOM)))).model_dump_json()
        assert "hunter2" not in told
        assert "***" in told


def test_an_import_error_of_many_lines_is_told_in_one() -> None:
    trace = (
        'Traceback (most recent call last):\n  File "/opt/airflow/dags/a.py", line 3, in <module>\n    x()\n'
    )
    found = DagImportError("a.py", f"{trace}E: {MANY_LINES}")
    assert found.message == "E: " + " ".join(MANY_LINES.split())
    assert found.text == f"E: {MANY_LINES}"


def test_an_import_timeout_is_told_without_airflows_links() -> None:
    said = "AirflowTaskTimeout: import timeout after 50.0s.\nPlease take a look at these docs\n* https://a, PID: 7"
    assert DagImportError("a.py", said).message == said.splitlines()[0]


def test_a_tasks_own_time_that_is_over_is_told_by_its_name() -> None:
    found = cause_of(log=log(raised(error("AirflowTaskTimeout", "Timeout, PID: 7", BOOM))))
    assert " ran longer than its execution_timeout at dags/" in found.message
    assert "PID" not in found.message
    other = cause_of(log=log(raised(error("AirflowTaskTimeout", "the feature store took 9 s", BOOM))))
    assert "AirflowTaskTimeout: the feature store took 9 s" in other.message


OWN = raised(error("ValueError", "the rate must be positive", BOOM))


@pytest.mark.parametrize(
    "event", ["Failed to run task callback", "error calling listener", "Failed to push an xcom for a link"]
)
def test_what_the_task_raised_is_told_rather_than_what_its_callbacks_did(event: str) -> None:
    beside = {**raised(error("KeyError", "'SLACK_URL'", BOOM)), "event": event}
    for text in (log(OWN, beside), log(beside, OWN)):
        assert "ValueError: the rate must be positive" in cause_of(log=text).message
    assert "KeyError" not in cause_of(log=log(beside)).message


def test_an_exception_in_another_record_is_told_without_the_tasks_own() -> None:
    top = {**raised(error("ServerError", "no answer", BOOM)), "event": "Top level error"}
    assert "ServerError" in cause_of(log=log(top)).message
    assert "ValueError" in cause_of(log=log(OWN, top)).message


def test_all_that_is_kept_is_read_when_the_end_of_the_log_has_no_exception() -> None:
    tail = log({"event": "Failed to run task callback", "level": "error"})
    whole = log(OWN) + tail
    assert telling_log(tail, whole) == whole
    assert telling_log("", whole) == whole
    assert telling_log(tail, "") == tail
    assert telling_log(tail, log()) == tail
    assert telling_log(log(OWN), whole) == log(OWN)


SHARD = frame("/opt/airflow/dags/shards.py", 9, "shard")
LEAVES = [error("ValueError", f"shard {number} has no label", SHARD) for number in (1, 3)]
GROUP = {
    **error("ExceptionGroup", "unhandled errors in a TaskGroup (2 sub-exceptions)", RUNNER, BOOM),
    "is_group": True,
    "exceptions": [[leaf] for leaf in LEAVES],
}


def test_of_an_exception_group_the_first_that_is_in_it_is_told() -> None:
    nested = {**error("ExceptionGroup", "outer (1 sub-exception)", BOOM), "exceptions": [[GROUP]]}
    assert cause_of(log=log(raised(GROUP))).message == (
        "task boom failed at dags/shards.py:9 in shard: ValueError: shard 1 has no label "
        "(in ExceptionGroup: unhandled errors in a TaskGroup (2 sub-exceptions))"
    )
    for group in (GROUP, nested):
        cause = cause_of(log=log(raised(group)))
        assert "ValueError: shard 1 has no label" in cause.message
        for number in (1, 3):
            assert f"ValueError: shard {number} has no label at dags/shards.py:9 in shard" in str(
                cause.evidence
            )


def test_an_exception_group_that_led_to_another_exception() -> None:
    cause = cause_of(log=log(raised(error("RuntimeError", "no data", BOOM), GROUP)))
    assert "at dags/bad_run.py:12 in boom: RuntimeError: no data (from ValueError: shard 1" in cause.message


def test_hints_look_into_exception_groups() -> None:
    group = {**GROUP, "exceptions": [[LEAVES[0]], [error("MemoryError", "", SHARD)]]}
    assert "memory limit" in cause_of(log=log(raised(group))).hint


def test_a_log_for_people_shows_what_is_in_an_exception_group() -> None:
    shown = readable(log(raised(GROUP)))
    assert shown.index("ExceptionGroup: ") < shown.index("  | ValueError: shard 1") < shown.index("shard 3")


def test_groups_of_any_shape_can_be_read() -> None:
    for wrong in (None, 3, "x", [None], [[]], [{}], [[{"exceptions": 1}]]):
        assert cause_of(log=log(raised({**GROUP, "exceptions": wrong}))).code == "task_failed"


DEFERRED = raised(error("TaskDeferralError", "Trigger failure", RUNNER))


def trigger_failed(*lines: str) -> dict[str, str]:
    # Airflow joins by a line end what has one already.
    return {"event": "Trigger failed:\n" + "\n".join(f"{line}\n" for line in lines), "level": "error"}


def test_what_a_trigger_raised_is_told_rather_than_that_it_failed() -> None:
    head = "Traceback (most recent call last):"
    runner = '  File "/usr/lib/python3.11/site-packages/airflow/jobs/triggerer_job_runner.py", line 9, in run_trigger'
    users = (
        '  File "/opt/airflow/pipeline/registry.py", line 16, in run\n    raise ConnectionRefusedError(url)'
    )
    chained = (head, users.replace("16", "3"), "KeyError: 'url'", "During handling of the above exception:")
    refused = "ConnectionRefusedError: the registry refused"
    for before in ((), chained):
        cause = cause_of(log=log(trigger_failed(*before, head, runner, users, refused), DEFERRED))
        assert cause.message == (
            "task boom failed at pipeline/registry.py:16 in run: ConnectionRefusedError: the registry refused"
        )
        assert cause.evidence[:2] == (refused, "  pipeline/registry.py:16 in run")


@pytest.mark.parametrize("told", [(), ("",), ("something else happened: why",)])
def test_a_trigger_that_failed_without_words(told: tuple[str, ...]) -> None:
    text = log(trigger_failed(*told), DEFERRED) if told else log(DEFERRED)
    assert "TaskDeferralError: Trigger failure" in cause_of(log=text).message


BEFORE = TaskInstance("first", -1, "success", 1, 0, started_at=NOW, ended_at=NOW - timedelta(seconds=9))
BASH = error("AirflowException", "Bash command failed.", frame("/usr/lib/airflow/bash.py", 225, "execute"))


@pytest.mark.parametrize(
    "line",
    [
        "cat: /tmp/model.txt: No such file or directory",
        "bash: line 1: /tmp/model.txt: No such file or directory",
        "ls: cannot access '/tmp/model.txt': No such file or directory",
    ],
)
def test_a_file_that_a_program_did_not_find_may_have_been_written_in_another_pod(line: str) -> None:
    text = log({"event": line, "level": "info"}, raised(BASH))
    cause = cause_of(tasks=[BEFORE, FAILED], log=text)
    assert "what an earlier task wrote to /tmp/model.txt is not in it" in cause.message
    assert "`shared_tmp = true` under [image]" in cause.hint
    assert "earlier task" not in cause_of(log=text).message


def test_a_module_that_a_program_did_not_find() -> None:
    line = "Error while finding module specification for 'src.train' (ModuleNotFoundError: No module named 'src')"
    there = CodeFiles(code=("dags", "src"), paths=lambda: ("dags", "src", "src/train.py"))
    said = log({"event": line, "level": "info"}, raised(BASH))
    assert cause_of(log=said, code=there).hint == (
        "the image has src at /opt/airflow/src: begin the command with `cd /opt/airflow && PYTHONPATH=/opt/airflow`, "
        "as BashOperator works in a folder of its own, and its `env` takes the image's PYTHONPATH away"
    )
    assert cause_of(log=said).hint.startswith("add src to the file that [image] requirements names")
    other = log({"event": "ModuleNotFoundError: No module named 'xgboost'", "level": "info"}, raised(BASH))
    assert cause_of(log=other, code=there).hint.startswith("add xgboost to the file")


@pytest.mark.parametrize(
    "line",
    [
        "cat: dags/a.sql: No such file or directory",
        "python: can't open file '/tmp/airflowtmp1qf_x0/dags/a.sql': [Errno 2] No such file or directory",
    ],
)
def test_a_program_of_bash_operator_works_elsewhere(line: str) -> None:
    said = log({"event": line, "level": "info"}, raised(BASH))
    there = CodeFiles(paths=lambda: ("dags", "dags/a.sql"))
    cause = cause_of(tasks=[BEFORE, FAILED], log=said, code=there)
    assert "the image has dags/a.sql at /opt/airflow/dags/a.sql" in cause.message
    assert 'name the file /opt/airflow/dags/a.sql, or give the operator cwd="/opt/airflow"' in cause.hint
    assert "of its own: what an earlier task" not in cause.message
    written = cause_of(tasks=[BEFORE, FAILED], log=said)
    assert "what an earlier task wrote to dags/a.sql is not in it" in written.message
    assert (
        "or use $HARNESS_ARTIFACTS_URL; what BashOperator runs works in a folder of its own" in written.hint
    )


def test_a_program_that_the_image_lacks_is_no_file_of_an_earlier_task() -> None:
    own = raised(
        error(
            "FileNotFoundError",
            "[Errno 2] No such file or directory: 'java'",
            BOOM,
            frame("/usr/lib/python3.11/subprocess.py", 1901, "_execute_child"),
        )
    )
    bash = [{"event": "bash: line 1: /usr/bin/java: No such file or directory"}, raised(BASH)]
    cause = cause_of(tasks=[BEFORE, FAILED], log=log(own))
    assert "earlier task" not in cause.message
    assert "the image has no program java" in (cause.hint or "")
    assert "earlier task" not in cause_of(tasks=[BEFORE, FAILED], log=log(*bash)).message


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("FileNotFoundError", "/tmp/x.csv not found."),
        ("FileNotFoundError", "[Errno 2] Failed to open local file '/tmp/x.csv'. Detail: [errno 2]"),
        ("FileNotFoundError", "File /tmp/x.csv does not exist"),
        ("OSError", "[Errno 2] No such file or directory: '/tmp/x.csv'"),
    ],
)
def test_libraries_say_each_in_their_own_words_what_is_not_there(kind: str, said: str) -> None:
    cause = cause_of(tasks=[BEFORE, FAILED], log=log(raised(error(kind, said, BOOM))))
    assert "what an earlier task wrote to /tmp/x.csv is not in it" in cause.message


def test_megabytes_of_an_exceptions_text_are_not_searched_for_secrets() -> None:
    with mock.patch.object(excerpts, "masked", wraps=excerpts.masked) as asked:
        cause_of(log=log(raised(error("ValueError", "x y=1 " * 500_000, BOOM))))
    assert max(len(call.args[0]) for call in asked.call_args_list) <= excerpts.READ_CHARS


def test_a_line_of_json_without_end_is_a_line() -> None:
    deep = "[" * 100_000
    assert readable(deep) == f"{deep}\n"


@pytest.mark.parametrize(
    ("kind", "message", "hint"),
    [
        (
            "ImportError",
            "churn.types.Score was not found in allow list for deserialization imports. To allow it, add it to "
            "allowed_deserialization_classes in the configuration",
            'AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES = "airflow.* churn.types.Score" below [image.env]',
        ),
        (
            "ConfigException",
            "Service token file does not exist.",
            "no token for the cluster's own API, by choice",
        ),
    ],
)
def test_what_airflow_refuses_comes_with_what_helps(kind: str, message: str, hint: str) -> None:
    assert hint in cause_of(FAILED, log=log(raised(error(kind, message, BOOM)))).hint


def test_exit_and_quit_are_told_by_their_names() -> None:
    frames = (
        BOOM,
        frame("<frozen _sitebuiltins>", 26, "__call__"),
        frame("/usr/lib/python3.11/_sitebuiltins.py", 26, "__call__"),
    )
    cause = cause_of(FAILED, log=log(raised(error("OSError", "[Errno 9] Bad file descriptor", *frames))))
    assert "ended itself at dags/bad_run.py:12 in boom: exit() or quit()" in cause.message
    assert cause.hint.startswith("return from the task instead")


@pytest.mark.parametrize(
    ("line", "lacks"),
    [
        (
            "OSError: libGL.so.1: cannot open shared object file: No such file or directory",
            "library libGL.so.1",
        ),
        (
            "soffice: error while loading shared libraries: libX11.so.6: cannot open shared object file: No such file",
            "library libX11.so.6",
        ),
        ("/tmp/run.sh: line 3: ffmpeg: command not found", "program ffmpeg"),
        ("/bin/sh: 1: dot: not found", "program dot"),
        ("env: 'Rscript': No such file or directory", "program Rscript"),
    ],
)
def test_what_the_image_lacks_is_no_file_of_an_earlier_task(line: str, lacks: str) -> None:
    earlier = TaskInstance("load", -1, "success", 1, 0, NOW, NOW, NOW)
    operator = frame(
        "/usr/local/lib/python3.11/site-packages/airflow/providers/standard/operators/bash.py", 225, "execute"
    )
    text = log(
        {"event": line, "level": "info"}, raised(error("AirflowException", "Bash command failed.", operator))
    )
    cause = cause_of(FAILED, log=text, tasks=(earlier, FAILED))
    assert f"the image has no {lacks}" in cause.message
    assert "earlier task" not in cause.message
    assert "file system of its own" not in cause.hint


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (
            "TemplateNotFound",
            "'scripts/train.sh' not found in search path: '/opt/airflow/dags'",
            "end in a space",
        ),
        ("UndefinedError", "'dict object' has no attribute 'nope'", "`conf` of the test"),
        ("UndefinedError", "'execution_date' is undefined", "take logical_date"),
        ("KeyError", "'execution_date'", "take logical_date"),
        ("OSError", "[Errno 8] Exec format error: '/tmp/tool'", "another processor"),
        ("OSError", "[Errno 28] No space left on device", "/dev/shm"),
        ("RuntimeError", "It is possible that dataloader's workers are out of shared memory.", "/dev/shm"),
        ("RuntimeError", "Direct database access via the ORM is not allowed in Airflow 3.0", "ti.xcom_pull"),
        (
            "AttributeError",
            "Can't get attribute 'Scaler' on <module '__main__' from 'x.py'>",
            "a module that",
        ),
        (
            "AttributeError",
            "Can't get attribute 'Scaler' on <module 'airflow.sdk.execution_time.execute_workload' from 'x.py'>",
            "a module that both import",
        ),
        ("ValueError", "numpy.dtype size changed, may indicate binary incompatibility.", "lock --upgrade"),
        ("TypeError", "can't subtract offset-naive and offset-aware datetimes", "timezone.utc"),
        ("AttributeError", "`np.float_` was removed in the NumPy 2.0 release.", "numpy<2"),
        ("AttributeError", "module 'numpy' has no attribute 'bool'.", "numpy<2"),
        (
            "ImportError",
            "`load_boston` has been removed from scikit-learn since version 1.2.",
            "scikit-learn<1.2",
        ),
        ("AttributeError", "'DataFrame' object has no attribute 'append'", "pandas<2"),
        ("DockerException", "Error while fetching server API version: ('Connection aborted.'", "`skip`"),
        ("AssertionError", "Torch not compiled with CUDA enabled", "take the CPU"),
        ("SSLError", "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "SSL_CERT_FILE"),
        ("OperationalError", "unable to open database file", "[image] shared"),
        (
            "MlflowException",
            "The filesystem tracking backend (e.g., './mlruns') is in maintenance mode",
            "metrics = { mlflow = true }",
        ),
        (
            "PermissionError",
            "[Errno 13] Permission denied: '/data'",
            "may write below /opt/airflow, /tmp and",
        ),
        ("gaierror", "[Errno -2] Name or service not known", "no host of that name"),
        ("URLError", "<urlopen error [Errno 111] Connection refused>", "localhost is its own pod"),
        ("ValueError", "Python Path '/opt/venvs/ml/bin/python' must exists", "one Python"),
        ("TypeError", "'NoneType' object is not subscriptable", "XCom"),
        ("UnmappableXComTypePushed", "unmappable return type 'str'", "a list or a dict"),
    ],
)
def test_what_helps_against_an_exception(kind: str, value: str, words: str) -> None:
    assert words in cause_of(log=log(raised(error(kind, value, BOOM)))).hint


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("/usr/bin/bash: line 1: /opt/airflow/dags/fit.sh: Permission denied", "--chmod=+x"),
        ("/usr/bin/bash: line 1: /tmp/c.sh: cannot execute: required file not found", "CRLF"),
        ("/usr/bin/env: 'python3\\r': No such file or directory", "CRLF"),
        ("ERROR: No matching distribution found for tiny==9.9", "harness logs"),
    ],
)
def test_the_last_words_of_a_program_stand_beside_its_exit_code(said: str, hint: str) -> None:
    bash = error(
        "AirflowException", "Bash command failed. The command returned a non-zero exit code 126.", RUNNER
    )
    text = log(
        {"event": said, "level": "info"},
        {"event": "Command exited with return code 126", "level": "info"},
        raised(bash),
    )
    cause = cause_of(log=text)
    assert f"exit code 126.; it said last: {said}" in cause.message
    assert hint in cause.hint


def test_which_number_is_not_finite() -> None:
    text = log(
        {
            "event": "Done. Returned value was: {'auc': 0.9, 'r2': nan, 'mse': np.float64(inf)}",
            "level": "info",
        },
        raised(error("AirflowRuntimeError", "Out of range float values are not JSON compliant")),
    )
    cause = cause_of(log=text, metrics_task="boom")
    assert cause.code == "metrics_invalid"
    assert "not finite (NaN or infinite): r2 is nan, mse is inf" in cause.message


@pytest.mark.parametrize(
    ("detail", "told", "hint"),
    [
        (
            "{'reason': 'value_error', 'message': \"Invalid input for param epochs: 0 is less than the minimum of 1\\n"
            "\\nFailed validating 'minimum' in schema:\"}",
            "Invalid input for param epochs: 0 is less than the minimum of 1",
            "edit the conf",
        ),
        (
            "{'reason': 'not_found', 'message': \"Dag with dag_id: 'scoer' not found\"}",
            "Dag with dag_id: 'scoer' not",
            "",
        ),
        ("{'reason': 'conflict', 'message': 'the run is there'}", "the run is there", ""),
    ],
)
def test_what_airflow_itself_refused_is_told_in_its_words(detail: str, told: str, hint: str) -> None:
    around = (
        "API_SERVER_ERROR: {'status_code': 400, 'message': 'Server returned error', 'detail': {'detail': %s}}"
    )
    said = around.replace("%s", detail)
    cause = cause_of(log=log(raised(error("AirflowRuntimeError", said), error("DagRunTriggerException", ""))))
    assert cause.message.startswith(f"task boom failed: Airflow refused what it asked for: {told}")
    assert "API_SERVER_ERROR" not in cause.message
    assert hint in cause.hint
