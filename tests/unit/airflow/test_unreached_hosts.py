"""Which host a task did not reach: by the exception's words, by the code's, or by the package that asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.airflow.autopsy.unreached_hosts import unreached_host
from harness.airflow.logs.task_log import Raised
from harness.airflow.logs.tracebacks import Frame
from harness.project.places import CodeFiles

WINE = 'import pandas\nURL: str = "https://data.example.com/wine.csv"\n\ndef load():\n    return pandas.read_csv(URL)\n'
OWN = Frame("/opt/airflow/dags/wine.py", 5, "load")
UNKNOWN = "<urlopen error [Errno -2] Name or service not known>"
PYTHONS = Frame("/usr/lib/python3.11/socket.py", 962, "getaddrinfo")


def told(
    message: str, *frames: Frame, files: dict[str, str] | None = None, said: tuple[str, ...] = ()
) -> str:
    code = CodeFiles(read={"dags/wine.py": WINE, **(files or {})}.get)
    found = unreached_host([Raised("URLError", message, frames or (OWN,))], said, code)
    return "" if found is None else found[0]


def test_the_address_of_the_failing_line_is_looked_up_in_the_code() -> None:
    assert told(UNKNOWN) == (
        "; it asks data.example.com (dags/wine.py:2), which the cluster's pods do not reach"
    )


@pytest.mark.parametrize(
    "message",
    [
        "HTTPSConnectionPool(host='data.example.com', port=443): Max retries exceeded with url: /wine.csv (Caused by "
        "NameResolutionError(\"Failed to resolve 'data.example.com' ([Errno -2] Name or service not known)\"))",
        "Cannot connect to host data.example.com:443 ssl:default [Name or service not known]",
        "curl: (6) Could not resolve host: data.example.com",
    ],
)
def test_a_host_that_the_exception_names_is_found_in_the_code(message: str) -> None:
    assert told(message) == (
        "; it asks data.example.com (dags/wine.py:2), which the cluster's pods do not reach"
    )
    assert told(message, PYTHONS) == "; it asks data.example.com, which the cluster's pods do not reach"


def test_a_program_says_it() -> None:
    assert "it asks data.example.com" in told(
        "exit code 6", said=("curl: (6) Could not resolve host: data.example.com",)
    )


def test_a_helper_gets_the_address_from_its_caller() -> None:
    helper = Frame("/opt/airflow/dags/utils.py", 2, "get")
    files = {"dags/utils.py": "def get(url):\n    return requests.get(url)\n"}
    assert "(dags/wine.py:2)" in told(UNKNOWN, OWN, helper, PYTHONS, files=files)


def test_a_package_that_has_the_address_itself_is_named() -> None:
    files = {"dags/wine.py": "def load():\n\n\n\n    return fetch_california_housing()\n"}
    sklearn = Frame("/usr/local/lib/python3.11/dist-packages/sklearn/datasets/_base.py", 9, "_fetch_remote")
    assert told(UNKNOWN, OWN, sklearn, PYTHONS, files=files) == (
        "; sklearn asks a server of the internet, which the cluster's pods do not reach"
    )


def test_a_service_beside_ones_own_airflow_is_no_server_of_the_internet() -> None:
    found = unreached_host(
        [
            Raised(
                "OperationalError",
                'could not translate host name "data-postgres" to address: Name or service not known',
                (),
            )
        ],
        (),
        CodeFiles(),
    )
    assert found is not None
    assert found[0] == "; it asks data-postgres, which no version has"
    assert "[secrets]" in found[1]


def test_what_has_nothing_to_do_with_hosts() -> None:
    assert told("'host' is not a column") == ""


@given(text=st.text(), source=st.text(), line=st.integers(-5, 50))
def test_any_text_is_taken(text: str, source: str, line: int) -> None:
    code = CodeFiles(read=lambda _: source)
    unreached_host(
        [Raised("E", f"{text} Network is unreachable", (Frame("/opt/airflow/a.py", line, "f"),))],
        (text,),
        code,
    )
