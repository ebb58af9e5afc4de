"""Causes from what Airflow 3.3.2 and the cluster say of a failed task, and what must never be in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from task_samples import BOOM, FAILED, NOW, POD, RUNNER, cause_of, error, frame, log, raised

from harness.airflow.autopsy.autopsy import last_pod, root_failure
from harness.airflow.pods.pods import Container, Reason
from harness.airflow.rest.models import AuditEvent


def test_the_users_last_frames_come_first() -> None:
    text = log(
        raised(
            error("RuntimeError", "training failed", RUNNER, BOOM),
            error(
                "ZeroDivisionError",
                "division by zero",
                frame("/opt/airflow/dags/bad_run.py", 10, "boom"),
                frame("/opt/airflow/dags/helper.py", 3, "divide"),
                cause=True,
            ),
        )
    )
    cause = cause_of(log=text)
    assert cause.code == "task_failed"
    assert cause.task_id == "boom"
    assert cause.message == (
        "task boom failed at dags/bad_run.py:12 in boom: RuntimeError: training failed"
        " (from ZeroDivisionError: division by zero)"
    )
    assert cause.evidence == (
        "RuntimeError: training failed",
        "  dags/bad_run.py:12 in boom",
        "ZeroDivisionError: division by zero",
        "  dags/helper.py:3 in divide",
        "  dags/bad_run.py:10 in boom",
    )


def test_an_error_inside_a_library_names_the_users_call_and_the_library() -> None:
    library = frame("/usr/lib/python3.11/site-packages/sklearn/base.py", 50, "fit")
    cause = cause_of(log=log(raised(error("ValueError", "bad shape", RUNNER, BOOM, library))))
    assert "at dags/bad_run.py:12 in boom" in cause.message
    assert cause.evidence[1:] == ("  dags/bad_run.py:12 in boom", "  sklearn/base.py:50 in fit")


def test_the_task_that_failed_first_is_the_root() -> None:
    later = replace(FAILED, task_id="later", ended_at=NOW + timedelta(seconds=9))
    upstream = replace(FAILED, task_id="after", state="upstream_failed", ended_at=NOW - timedelta(seconds=9))
    assert root_failure([later, upstream, FAILED]) == FAILED
    assert root_failure([upstream]) is None
    cause = cause_of(log=log(raised(error("E", "", BOOM))), tasks=[later, upstream, FAILED])
    assert cause.message.endswith("; 1 more failed")


def test_a_token_that_expired_is_the_environments_fault() -> None:
    refused = error("ServerResponseError", "Invalid auth token: Signature has expired", RUNNER)
    cause = cause_of(log=log(raised(refused)))
    assert cause.code == "api_server_lost"
    assert "token had expired" in cause.message


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (
            "AirflowRuntimeError",
            "{'message': 'Out of range float values are not JSON compliant'}",
            "not finite",
        ),
        ("OverflowError", "can't serialize ints < -2**63 or > 2**64 - 1", "too large"),
    ],
)
def test_metrics_that_airflow_refused_to_keep(kind: str, value: str, words: str) -> None:
    text = log(raised(error(kind, value, RUNNER)))
    cause = cause_of(log=text, metrics_task="boom")
    assert cause.code == "metrics_invalid"
    assert words in cause.message
    assert cause_of(log=text, metrics_task="another").code == "task_failed"


def test_sys_exit_is_told_as_such() -> None:
    cause = cause_of(log=log({"event": "Task exited", "level": "error", "exit_code": 3}))
    assert cause.message == "task boom ended itself: sys.exit(3)"


def test_what_an_operator_printed_is_in_the_evidence() -> None:
    said = {"event": "the model file is missing", "level": "info"}
    failed = raised(error("AirflowException", "Bash command failed", RUNNER))
    assert "the model file is missing" in cause_of(log=log(said, failed)).evidence


def test_a_file_that_an_earlier_task_wrote_in_its_own_pod() -> None:
    missing = error("FileNotFoundError", "[Errno 2] No such file or directory: '/tmp/model.pkl'", BOOM)
    earlier = replace(FAILED, task_id="write", state="success", ended_at=NOW - timedelta(seconds=9))
    text = log(raised(missing))
    cause = cause_of(log=text, tasks=[earlier, FAILED])
    assert "what an earlier task wrote to /tmp/model.pkl is not in it" in cause.message
    assert "put `shared_tmp = true` under [image]" in cause.hint
    assert "earlier" not in cause_of(log=text).message


def test_a_pod_that_kubernetes_refused_has_its_words() -> None:
    said = 'Extra info: (403)\nReason: Forbidden\nHTTP response body: {"message":"pods \\"x\\" is forbidden: why"}'
    queued = replace(FAILED, started_at=None)
    cause = cause_of(queued, audit=[AuditEvent("state mismatch", "boom", -1, 1, said)])
    assert cause.code == "pod_not_started"
    assert cause.message.endswith('got no pod: Kubernetes refused it: pods "x" is forbidden: why')


def test_tries_are_told() -> None:
    cause = cause_of(replace(FAILED, try_number=3, max_tries=2), log=log(raised(error("E", "x"))))
    assert cause.message == "task boom failed: E: x (try 3 of 3)"


def test_mapped_tasks_have_their_index() -> None:
    assert cause_of(replace(FAILED, map_index=4)).message.startswith("task boom[4] failed")


@pytest.mark.parametrize(
    ("kind", "value", "hint"),
    [
        (
            "FileNotFoundError",
            "[Errno 2] No such file or directory: '/opt/airflow/dags/data/model.pkl'",
            '`shared = ["dags/data"]` under [image]',
        ),
        (
            "FileNotFoundError",
            "[Errno 2] No such file or directory: 'dags/data/model.pkl'",
            '`shared = ["dags/data"]` under [image]',
        ),
        (
            "PermissionError",
            "[Errno 13] Permission denied: './dags/data/../data/model.pkl'",
            '`shared = ["dags/data"]` under [image]',
        ),
        (
            "FileNotFoundError",
            "[Errno 2] No such file or directory: '/tmp/model.pkl'",
            "put `shared_tmp = true` under [image] in harness.toml, or use $HARNESS_ARTIFACTS_URL",
        ),
        ("ModuleNotFoundError", "No module named 'xgboost'", "add xgboost to the file"),
        ("MemoryError", "", "memory limit"),
    ],
)
def test_hints(kind: str, value: str, hint: str) -> None:
    assert hint in cause_of(log=log(raised(error(kind, value, BOOM)))).hint


def test_the_last_error_line_when_there_is_no_exception() -> None:
    cause = cause_of(log=log({"event": "Dag not found during start up", "level": "error"}))
    assert cause.message == "task boom failed: Dag not found during start up"


def test_the_exit_code_when_there_is_nothing_else() -> None:
    ended = replace(POD, phase="Failed", containers=(Container("base", ended=Reason("Error"), exit_code=2),))
    assert cause_of(pods=[ended]).message == "task boom failed: its pod ended with exit code 2"


def test_the_pod_of_the_last_try() -> None:
    first = replace(POD, name="first", created_at=NOW)
    second = replace(POD, name="second", created_at=NOW + timedelta(seconds=1))
    old_try = replace(POD, name="old", try_number=0, created_at=NOW + timedelta(seconds=2))
    assert last_pod([second, first, old_try], replace(FAILED, pod=None)) == second
    assert last_pod([second, first], replace(FAILED, pod="first")) == first
    assert last_pod([old_try], FAILED) is None


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (r'{"message":"pods can\'t be made"}', "Kubernetes refused it: pods can't be made"),
        (r'{"message":"pods \x27x\x27 are forbidden"}', "was failed by Airflow: "),
    ],
)
def test_words_of_kubernetes_in_pythons_quotes_are_survived(body: str, told: str) -> None:
    event = AuditEvent("state mismatch", "boom", -1, 1, f"Extra info: (403) {body}")
    assert told in cause_of(replace(FAILED, started_at=None), audit=[event]).message
