"""Causes from what Airflow 3.3.2 and the cluster say of a failed task, and what must never be in them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_samples import BOOM, FAILED, NOW, POD, RUNNER, TOKEN, cause_of, error, frame, log, raised

from harness.airflow.autopsy.autopsy import last_pod, root_failure
from harness.airflow.autopsy.pod_trouble import killed_sidecars, trouble
from harness.airflow.logs.redaction import redact
from harness.airflow.logs.task_log import parse_log, readable
from harness.airflow.pods.pods import Container, Pod, Reason, Resources
from harness.airflow.rest.models import AuditEvent
from harness.cluster.kind.kernel_log import OomKill


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


def test_an_image_that_cannot_be_had() -> None:
    waiting = Container("base", waiting=Reason("ErrImageNeverPull", "not present"))
    cause = cause_of(pods=[replace(POD, phase="Pending", containers=(waiting,))])
    assert cause.code == "image_not_startable"
    assert "demo:abc" in cause.message


def with_containers(
    init: dict[str, Any] | None, *others: dict[str, Any], phase: str = "Failed", **spec: Any
) -> Pod:
    """A pod whose containers are in these states: one before the task's, the task's own, one beside it."""
    names = ["base", "exporter"][: len(others)]
    return Pod.of(
        {
            "metadata": {"name": POD.name, "annotations": {"task_id": "boom", "try_number": "1"}},
            "spec": {
                "nodeName": "n",
                "initContainers": [{"name": "fetch", "image": "team/fetch:2", **spec}],
                "containers": [
                    {"name": name, "image": image, "resources": {"limits": {"memory": limit}}}
                    for name, image, limit in (
                        ("base", "harness.local/demo:abc", "2Gi"),
                        ("exporter", "team/exporter:1", "64Mi"),
                    )
                ],
            },
            "status": {
                "phase": phase,
                "initContainerStatuses": [{"name": "fetch", "state": init}] if init else [],
                "containerStatuses": [
                    {"name": name, "state": state} for name, state in zip(names, others, strict=True)
                ],
            },
        }
    )


NOT_BEGUN = {"waiting": {"reason": "PodInitializing"}}


def test_an_init_container_that_failed() -> None:
    found = with_containers({"terminated": {"reason": "Error", "exitCode": 4}}, NOT_BEGUN)
    assert found.failed_init is not None
    said = "connecting\nno such bucket: features\n"
    cause = cause_of(pods=[found], log=said, audit=[mismatch("Pod failed because of None")])
    assert cause.code == "task_failed"
    assert cause.message == "task boom: init container fetch ended with exit code 4"
    assert "no such bucket: features" in cause.evidence


def test_an_init_container_that_did_its_work_or_stays_is_no_trouble() -> None:
    done = with_containers({"terminated": {"reason": "Completed", "exitCode": 0}}, {"running": {}})
    assert (done.failed_init, trouble(done)) == (None, None)
    ended = {"terminated": {"reason": "Error", "exitCode": 143}}
    sidecar = with_containers(ended, {"running": {}}, restartPolicy="Always")
    assert (sidecar.failed_init, trouble(sidecar)) == (None, None)


TOO_LARGE = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}


def test_a_container_beside_the_tasks_that_is_killed_is_not_the_task() -> None:
    for phase in ("Running", "Failed"):
        found = with_containers(None, {"running": {}}, TOO_LARGE, phase=phase)
        assert trouble(found) is None
        assert killed_sidecars(found) == (
            "container exporter beside it was killed for using more memory than its limit of 64Mi",
        )
        cause = cause_of(pods=[found], log=log(raised(error("ValueError", "bad shape", BOOM))))
        assert (cause.code, "bad shape" in cause.message) == ("task_failed", True)


def test_an_image_of_another_container_is_named_as_that_containers() -> None:
    pulling = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}
    found = trouble(with_containers(pulling, NOT_BEGUN, phase="Pending"))
    assert found is not None
    assert found.error.message.startswith(
        "the node cannot get image team/fetch:2 of container fetch: ImagePull"
    )
    assert "pod_override" in found.error.hint
    own = trouble(with_containers(None, pulling, {"running": {}}, phase="Pending"))
    assert own is not None
    assert own.error.message.startswith("the node cannot get image harness.local/demo:abc: ImagePullBackOff")
    assert own.error.hint == "run the command again: it loads what the node lacks"


def test_a_command_of_another_container_that_does_not_start() -> None:
    missing = {"terminated": {"reason": "StartError", "exitCode": 128, "message": "no such file"}}
    found = trouble(with_containers(missing, NOT_BEGUN))
    assert found is not None
    assert found.error.message == "image team/fetch:2 of container fetch does not start: no such file"
    assert "python" not in found.error.hint


def test_the_tasks_own_container_has_its_own_limit() -> None:
    found = with_containers(None, TOO_LARGE, {"running": {}})
    assert killed_sidecars(found) == ()
    assert cause_of(pods=[found]).message == "task boom: killed for using more memory than its limit of 2Gi"


def test_an_init_container_has_a_limit_of_its_own() -> None:
    limits = {"limits": {"memory": "1Gi"}}
    cause = cause_of(pods=[with_containers(TOO_LARGE, NOT_BEGUN, resources=limits)])
    assert cause.code == "task_out_of_memory"
    assert (
        cause.message
        == "task boom: init container fetch was killed for using more memory than its limit of 1Gi"
    )
    assert "`fetch`" in cause.hint


def mismatch(info: str) -> AuditEvent:
    text = f"The executor reported that the task instance finished with state failed. Extra info: {info}"
    return AuditEvent("state mismatch", "boom", -1, 1, text)


def test_a_quota_that_left_no_room_for_the_pod() -> None:
    info = '(403) Reason: Forbidden body: {"message":"pods \\"x\\" is forbidden: exceeded quota: version"}'
    cause = cause_of(replace(FAILED, started_at=None), audit=[mismatch(info)])
    assert cause.code == "quota_exceeded"


def test_a_pod_that_airflow_could_not_make() -> None:
    cause = cause_of(replace(FAILED, started_at=None), audit=[mismatch("(422) Reason: Unprocessable Entity")])
    assert cause.code == "pod_not_started"
    assert cause.message == "task boom was failed by Airflow: (422) Reason: Unprocessable Entity"


def test_other_tasks_events_are_not_this_ones() -> None:
    others = [replace(mismatch("x"), task_id="other"), replace(mismatch("x"), try_number=7)]
    assert cause_of(audit=others).message == "task boom failed and its log does not say why"


def test_the_last_error_line_when_there_is_no_exception() -> None:
    cause = cause_of(log=log({"event": "Dag not found during start up", "level": "error"}))
    assert cause.message == "task boom failed: Dag not found during start up"


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


def test_the_exit_code_when_there_is_nothing_else() -> None:
    ended = replace(POD, phase="Failed", containers=(Container("base", ended=Reason("Error"), exit_code=2),))
    assert cause_of(pods=[ended]).message == "task boom failed: its pod ended with exit code 2"


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


def test_the_pod_of_the_last_try() -> None:
    first = replace(POD, name="first", created_at=NOW)
    second = replace(POD, name="second", created_at=NOW + timedelta(seconds=1))
    old_try = replace(POD, name="old", try_number=0, created_at=NOW + timedelta(seconds=2))
    assert last_pod([second, first, old_try], replace(FAILED, pod=None)) == second
    assert last_pod([second, first], replace(FAILED, pod="first")) == first
    assert last_pod([old_try], FAILED) is None


def test_a_pod_that_works_is_no_trouble() -> None:
    for phase in ("Pending", "Running", "Succeeded"):
        assert trouble(replace(POD, phase=phase)) is None
    small = replace(
        POD, phase="Pending", node="", unschedulable="1 Insufficient cpu", requests=Resources(1.0)
    )
    assert trouble(small, Resources(2.0, 2**30)) is None
    assert trouble(small, Resources(0.5, 2**30)) is not None


# What must not get out.

WORKLOAD = json.dumps({"token": TOKEN, "ti": {"id": "01a2"}, "type": "ExecuteTask"})


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {TOKEN}",
        f"python -m airflow.sdk.execution_time.execute_workload --json-string {WORKLOAD}",
        f"args: ['--json-string', '{WORKLOAD}']",
        json.dumps({"args": ["--json-string", WORKLOAD]}),
        f'error: "--json-string", "{TOKEN}"',
        f"token={TOKEN[:40]}",
    ],
)
def test_tokens_are_masked(text: str) -> None:
    shown = redact(text)
    assert "***" in shown
    for part in TOKEN.split("."):
        assert part not in shown
    assert "eyJ" not in shown


def test_the_workload_is_masked_whole() -> None:
    assert redact(f"x --json-string {WORKLOAD}") == "x --json-string ***"
    assert redact("x --json-string '{\"a\": 1}' -v") == "x --json-string '***' -v"


def test_passwords_in_urls_are_masked() -> None:
    text = "could not connect to postgresql+psycopg2://v_demo:s3cret@postgres.harness-system:5432/v_demo"
    shown = "could not connect to postgresql+psycopg2://v_demo:***@postgres.harness-system:5432/v_demo"
    assert redact(text) == shown


@given(st.text(alphabet=st.characters(codec="ascii", exclude_characters="@:-eB"), max_size=200))
def test_other_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@given(st.text(), st.text())
def test_no_token_survives(before: str, after: str) -> None:
    assert TOKEN.split(".")[1] not in redact(f"{before} {TOKEN} {after}")


def test_causes_hold_no_secrets() -> None:
    text = log(raised(error("RuntimeError", f"refused: Bearer {TOKEN}", BOOM)))
    assert "eyJ" not in cause_of(log=text).model_dump_json()


@given(st.text())
def test_any_log_can_be_read(text: str) -> None:
    assert len(parse_log(text)) <= len(text.splitlines())
    assert cause_of(log=text).code == "task_failed"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(signal=json_values, detail=json_values, event=json_values)
def test_logs_of_any_shape_can_be_read(signal: object, detail: object, event: object) -> None:
    (record,) = parse_log(json.dumps({"event": event, "signal": signal, "error_detail": [detail]}))
    assert isinstance(record.text, str)


def test_a_log_for_people() -> None:
    said = {"timestamp": "2026-11-22T19:43:04.55Z", "event": "epoch 1", "level": "info"}
    text = json.dumps(said) + "\nno JSON\n" + json.dumps(raised(error("KeyError", "'x'", BOOM)))
    assert readable(text).splitlines() == [
        "19:43:04 info     epoch 1",
        "no JSON",
        "Task failed with exception",
        "Traceback (most recent call last):",
        '  File "/opt/airflow/dags/bad_run.py", line 12, in boom',
        "KeyError: 'x'",
    ]


@given(st.text())
def test_any_log_can_be_shown(text: str) -> None:
    assert readable(text).endswith("\n") or not text.strip()
