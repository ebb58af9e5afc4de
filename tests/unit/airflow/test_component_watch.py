"""A component that its packages make end again and again, from what a control plane logs."""

from __future__ import annotations

import pytest

from harness.airflow.release.component_watch import ComponentWatch, broken_component
from harness.cluster.services.incompatible_packages import incompatible
from harness.errors import CauseCode, HarnessError

PYDANTIC = """\
[execution-api] Traceback (most recent call last):
[execution-api]   File "/usr/local/lib/python3.11/site-packages/airflow/api_fastapi/app.py", line 1, in <module>
[execution-api]   File "/usr/local/lib/python3.11/site-packages/pydantic/main.py", line 42, in __new__
[execution-api] pydantic.errors.PydanticUserError: `TITerminalStatePayload` needs a discriminator
[control-plane] execution-api ended with 1; starting it again
"""
PLUGIN = """\
[api-server] Traceback (most recent call last):
[api-server]   File "/usr/local/lib/python3.11/site-packages/airflow/plugins_manager.py", line 1, in load
[api-server]   File "/opt/airflow/plugins/ours.py", line 3, in <module>
[api-server] KeyError: 'TEAM'
[control-plane] api-server ended with 1; starting it again
"""
DATABASE = """\
[scheduler]   File "/usr/local/lib/python3.11/site-packages/sqlalchemy/engine/base.py", line 9, in run
[scheduler] sqlalchemy.exc.OperationalError: server closed the connection unexpectedly
[control-plane] scheduler ended with 1; starting it again
"""
KILLED = "[scheduler] working\n[control-plane] scheduler ended with -9; starting it again\n"


def test_the_second_end_is_told_with_the_exception_and_the_package() -> None:
    assert broken_component(PYDANTIC) is None
    found = broken_component(PYDANTIC * 2)
    assert found is not None
    assert found.cause is CauseCode.DEPENDENCIES_INCOMPATIBLE
    assert found.exit_code == 2
    assert found.message == (
        "Airflow's execution-api can't run with the packages of the lock: PydanticUserError: "
        "`TITerminalStatePayload` needs a discriminator (raised in pydantic)"
    )
    assert found.hint.startswith("make the lock again")


def test_the_supervisors_lines_may_come_after_those_of_several_ends() -> None:
    *said, ended = PYDANTIC.splitlines(keepends=True)
    found = broken_component("".join(said) * 2 + ended * 2)
    assert found is not None and found.cause is CauseCode.DEPENDENCIES_INCOMPATIBLE


def test_a_file_of_the_users_own_is_told_as_that_whatever_the_root() -> None:
    for root in ("/opt/airflow", "/usr/local/airflow", "/app"):
        found = broken_component(PLUGIN.replace("/opt/airflow", root) * 2)
        assert found is not None
        assert found.cause is CauseCode.DAG_IMPORT_ERROR
        assert f"because of {root}/plugins/ours.py:3: KeyError: 'TEAM'" in found.message
        assert "ours.py" in found.hint


@pytest.mark.parametrize("log", [DATABASE, KILLED])
def test_what_is_not_of_the_packages_is_not_the_locks_fault(log: str) -> None:
    assert broken_component(log * 4) is None


def test_two_components_that_ended_once_each_are_no_pattern() -> None:
    assert broken_component(PYDANTIC + PYDANTIC.replace("execution-api", "dag-processor")) is None


def test_a_migration_that_its_packages_break() -> None:
    lines = [line.partition("] ")[2] for line in PYDANTIC.splitlines()[:-1]]
    found = incompatible("airflow db migrate", lines)
    assert found is not None and found.message.startswith("airflow db migrate can't run")
    assert incompatible("airflow db migrate", ["nothing of interest"]) is None


def test_a_link_that_leads_to_a_folder_of_dags_once_more_is_no_fault_of_the_lock() -> None:
    raised = (
        "RuntimeError: Detected recursive loop when walking DAG directory /opt/airflow/dags: "
        "/opt/airflow/dags/common has appeared more than once."
    )
    found = incompatible("Airflow's dag-processor", ["Traceback (most recent call last):", raised])
    assert found is not None
    assert found.cause is CauseCode.DAG_IMPORT_ERROR
    assert "a symbolic link leads to /opt/airflow/dags/common, which it has read already" in found.message
    assert "120000" in found.hint


def test_the_log_is_looked_at_now_and_then_and_its_absence_is_no_error() -> None:
    now, asked = [0.0], []

    def read() -> str:
        asked.append(now[0])
        if len(asked) == 1:
            raise HarnessError(CauseCode.CLUSTER_FAILED, "away")
        return PYDANTIC * 2

    watch = ComponentWatch(read, clock=lambda: now[0])
    watch.check()
    watch.check()
    now[0] = 4.0
    with pytest.raises(HarnessError, match="PydanticUserError"):
        watch.check()
    assert asked == [0.0, 4.0]


def test_an_exception_in_answer_to_each_request_is_told_before_the_waiting_is_over() -> None:
    refused = """\
[api-server] ERROR:    Exception in ASGI application
[api-server] Traceback (most recent call last):
[api-server]   File "/usr/local/lib/python3.11/dist-packages/airflow/api_fastapi/auth/tokens.py", line 459, in generate
[api-server]   File "/usr/local/lib/python3.11/dist-packages/jwt/api_jwt.py", line 141, in encode
[api-server] TypeError: Issuer (iss) must be a string.
[api-server] INFO:     10.244.0.4:45044 - "POST /auth/token HTTP/1.1" 500 Internal Server Error
"""
    assert broken_component(refused * 2) is None
    found = broken_component(refused * 3)
    assert found is not None and found.cause is CauseCode.DEPENDENCIES_INCOMPATIBLE
    assert found.message == (
        "Airflow's api-server can't run with the packages of the lock: TypeError: Issuer (iss) must be a string. "
        "(raised in jwt)"
    )
    lost = refused.replace(
        "TypeError: Issuer (iss) must be a string.", "sqlalchemy.exc.OperationalError: gone"
    )
    assert broken_component(lost * 3) is None
