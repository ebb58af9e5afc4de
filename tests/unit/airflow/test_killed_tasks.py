"""A task whose process or pod was killed, evicted or deleted: by whom, and whose fault that is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from task_samples import BOOM, POD, cause_of, error, log, raised

from harness.airflow.logs.task_log import parse_log
from harness.airflow.pods.pods import Container, Reason
from harness.cluster.kind.kernel_log import OomKill

KILLED = {
    "event": "Process terminated by signal. Likely out of memory error (OOM).",
    "level": "critical",
    "signal": -9,
    "signal_name": "SIGKILL",
}


def test_a_kill_at_the_memory_limit() -> None:
    killed = replace(POD, containers=(Container("base", ended=Reason("OOMKilled"), exit_code=0),))
    cause = cause_of(pods=[killed], log=log(KILLED))
    assert cause.code == "task_out_of_memory"
    assert "limit of 2Gi" in cause.message
    assert cause.exit_code == 1


def test_a_kill_at_the_memory_limit_has_its_peak_whether_the_pod_has_ended_or_not() -> None:
    running = replace(POD, uid="u-1")
    ended = replace(running, containers=(Container("base", ended=Reason("OOMKilled"), exit_code=0),))
    kills = [OomKill("u-1", 1.5 * 2**30)]
    first, second = (cause_of(pods=[pod], log=log(KILLED), kills=kills) for pod in (running, ended))
    assert first.message == second.message
    assert "limit of 2Gi" in first.message
    assert "peak of 1.5Gi" in first.message


def test_a_kill_of_the_task_process_alone() -> None:
    cause = cause_of(pods=[POD], log=log(KILLED))
    assert cause.code == "task_failed"
    assert "SIGKILL" in cause.message
    assert "memory limit is 2Gi" in cause.message


def test_the_pods_own_log_tells_of_a_kill_by_the_exit_code() -> None:
    finished = {"event": "Workload finished", "level": "info", "exit_code": -9, "final_state": "failed"}
    assert "SIGKILL" in cause_of(pods=[POD], log=log(finished)).message
    assert parse_log(json.dumps(finished | {"exit_code": 0}))[0].signal is None


def test_whom_the_kernel_killed_was_at_its_limit() -> None:
    pod = replace(POD, uid="u-1")
    cause = cause_of(log=log(KILLED), pods=[pod], kills=[OomKill("u-1", 1.5 * 2**30)])
    assert cause.code == "task_out_of_memory"
    assert "memory limit of 2Gi" in cause.message
    assert "a peak of 1.5Gi" in cause.message
    other = cause_of(log=log(KILLED), pods=[pod], kills=[OomKill("u-2", 1.0)])
    assert other.code == "task_failed"
    assert "killed by SIGKILL, not for its memory" in other.message


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("BrokenProcessPool", "A process in the process pool was terminated abruptly"),
        ("TerminatedWorkerError", "A worker process managed by the executor was unexpectedly terminated"),
        ("CalledProcessError", "Command '['fit']' died with <Signals.SIGKILL: 9>."),
        ("RuntimeError", "DataLoader worker (pid 77) is killed by signal: Killed. "),
        ("AirflowException", "Bash command failed. The command returned a non-zero exit code 137."),
    ],
)
def test_whom_the_kernel_killed_of_the_tasks_own_processes(kind: str, value: str) -> None:
    pod = replace(POD, uid="u-1")
    text = log(raised(error("RuntimeError", "no features", BOOM), error(kind, value, BOOM)))
    cause = cause_of(log=text, pods=[pod], kills=[OomKill("u-1", 1.5 * 2**30)])
    assert cause.code == "task_out_of_memory"
    assert "killed at the memory limit of 2Gi: it had a peak of 1.5Gi" in cause.message
    assert "memory limit" in cause.hint
    assert f"{kind}: {value.strip()}" in cause.evidence
    for kills in ([OomKill("u-2", 1.0)], [], None):
        assert cause_of(log=text, pods=[pod], kills=kills).code == "task_failed"


CRASHED = {"event": "harness: process ForkPoolWorker-2 ended with SIGSEGV", "level": "error"}


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("BrokenProcessPool", "A process in the process pool was terminated abruptly", "(BrokenProcessPool)"),
        ("AirflowTaskTimeout", "Timeout, PID: 7", "wait for it since then: its execution_timeout was over"),
    ],
)
def test_which_of_the_tasks_own_processes_died(kind: str, value: str, words: str) -> None:
    text = log(CRASHED, raised(error(kind, value, BOOM)))
    cause = cause_of(log=text)
    assert cause.code == "task_failed"
    assert "ForkPoolWorker-2 by SIGSEGV" in cause.message
    assert words in cause.message
    assert "memory" not in cause.hint


def test_processes_that_are_spawned_cannot_import_airflow_in_a_task() -> None:
    crashed = {"event": "harness: process SpawnPoolWorker-2 ended with exit code 1", "level": "error"}
    cause = cause_of(log=log(crashed, raised(error("AirflowTaskTimeout", "Timeout, PID: 7", BOOM))))
    assert "get_context('fork')" in cause.hint


@pytest.mark.parametrize(
    ("ended", "message", "hint"),
    [
        (
            "SIGBUS",
            "DataLoader worker (pid 9) is killed by signal: Bus error. It is possible that dataloader's workers are "
            "out of shared memory.",
            "/dev/shm",
        ),
        ("SIGILL", "worker ended with exit code -4", "instructions"),
        ("SIGSEGV", "Command 'fit' died with <Signals.SIGSEGV: 11>.", "harness logs"),
    ],
)
def test_a_process_that_crashed_is_told_with_what_helps(ended: str, message: str, hint: str) -> None:
    crashed = {"event": f"harness: process loader ended with {ended}", "level": "error"}
    cause = cause_of(log=log(crashed, raised(error("RuntimeError", message, BOOM))))
    assert f"died: loader by {ended} (RuntimeError)" in cause.message
    assert hint in cause.hint


def test_an_exception_of_the_tasks_own_is_told_though_a_process_died() -> None:
    text = log(CRASHED, raised(error("ValueError", "no label", BOOM)))
    assert "ValueError: no label" in cause_of(log=text).message


def test_an_exception_of_the_tasks_own_is_told_though_the_kernel_the_kernel_killed_a_process() -> None:
    pod = replace(POD, uid="u-1")
    text = log(raised(error("ValueError", "no label in column 137", BOOM)))
    assert cause_of(log=text, pods=[pod], kills=[OomKill("u-1", 1.0)]).code == "task_failed"


def test_other_signals() -> None:
    crash = {"event": "A crash.", "level": "critical", "signal": -11, "signal_name": "SIGSEGV"}
    assert cause_of(pods=[POD], log=log(crash)).message == "task boom was ended by SIGSEGV"
    bus = {"event": "A crash.", "level": "critical", "signal": -7, "signal_name": "SIGBUS"}
    assert "/dev/shm" in cause_of(pods=[POD], log=log(bus)).hint


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (
            "Pod ephemeral local storage usage exceeds the total limit of containers 10Gi. ",
            "task_storage_limit",
        ),
        ('Container base exceeded its local ephemeral storage limit "10Gi". ', "task_storage_limit"),
        ('Usage of EmptyDir volume "tmp" exceeds the limit "1Gi". ', "task_storage_limit"),
        ("The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi.", "pod_evicted"),
        ("The node was low on resource: ephemeral-storage.", "pod_evicted"),
    ],
)
def test_evicted_for_whose_sake(message: str, code: str) -> None:
    evicted = replace(POD, phase="Failed", reason="Evicted", message=message)
    assert cause_of(pods=[evicted]).code == code


def test_a_pod_that_others_deleted() -> None:
    deleted = replace(POD, phase="Running", deleted=True)
    terminated = raised(error("AirflowTaskTerminated", "Task received SIGTERM signal", BOOM))
    assert cause_of(pods=[deleted]).code == "pod_deleted"
    assert cause_of(pods=[deleted], log=log(terminated)).code == "pod_deleted"
    assert cause_of(pods=[deleted]).exit_code == 4


def test_a_task_that_failed_of_itself_before_its_pod_was_deleted() -> None:
    deleted = replace(POD, phase="Failed", deleted=True)
    assert cause_of(pods=[deleted], log=log(raised(error("E", "x", BOOM)))).code == "task_failed"


PROCESS_KILLED = {"event": "Process exited", "level": "info", "signal": -9}


def gave_up(kind: str, value: str) -> dict[str, Any]:
    """What Airflow's own process beside a task's says in the end, after it has killed the task."""
    return {"event": "Unhandled exception", "level": "critical", "exception": [error(kind, value)]}


def test_airflows_own_process_that_gave_the_task_up() -> None:
    refused = gave_up("HTTPStatusError", "Client error '404 Not Found'")
    cause = cause_of(pods=[POD], log=log(PROCESS_KILLED, refused))
    assert cause.code == "api_server_lost"
    assert (
        cause.message == "task boom: Airflow itself gave it up: HTTPStatusError: Client error '404 Not Found'"
    )
    own = raised(*refused["exception"])
    assert cause_of(pods=[POD], log=log(refused, own)).code == "task_failed"
    assert cause_of(pods=[POD], log=log(refused)).code == "task_failed", "nothing was killed"


def test_a_token_that_had_expired_when_the_task_began() -> None:
    """Then it is Airflow's own process that comes with it, and gives up."""
    refused = gave_up("ServerResponseError", "Invalid auth token: Signature has expired")
    cause = cause_of(pods=[POD], log=log(PROCESS_KILLED, refused))
    assert cause.code == "api_server_lost"
    assert "its token had expired" in cause.message


@pytest.mark.parametrize(
    "ended",
    [
        {"event": "Process exited abnormally", "level": "warning", "exit_code": 7},
        {"event": "Workload finished", "level": "info", "exit_code": 7, "final_state": "failed"},
    ],
    ids=["the task's log", "its pod's"],
)
def test_a_process_that_ended_by_itself_without_an_exception(ended: dict[str, Any]) -> None:
    said = {"event": "licence check failed", "level": "info"}
    cause = cause_of(log=log(said, ended))
    assert cause.message == (
        "task boom failed: its process ended with exit code 7 (os._exit, or native code)"
    )
    assert cause.evidence == ("licence check failed",)
    with_error = cause_of(log=log({**said, "level": "error"}, ended))
    assert with_error.message == "task boom failed: licence check failed; its process ended with exit code 7"
    assert "exit code" not in cause_of(log=log(said, {**ended, "exit_code": 0})).message
    assert "exit code" not in cause_of(log=log(said, {**ended, "event": "my own"})).message
