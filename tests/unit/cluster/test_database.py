"""Databases by psql: statements by standard input, passwords nowhere else, and no name that needs quotes."""

from __future__ import annotations

from pathlib import Path

import pytest
from doubles import Clock, Programs
from hypothesis import given
from hypothesis import strategies as st

from harness.cluster.services import database
from harness.errors import CauseCode, HarnessError
from harness.host.process import Completed


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    double = Programs()
    monkeypatch.setattr(database.process, "run", double.run)
    return double


def server() -> database.Server:
    return database.Server(Path("/tools/kubectl"), Path("/state/kubeconfig"))


def test_a_version_gets_its_own_role(programs: Programs) -> None:
    credentials = server().create("v_churn_1", "template_1")
    ((argv, sql),) = programs.calls
    assert credentials.database == credentials.role == "v_churn_1"
    assert len(credentials.password) >= 32
    assert f"PASSWORD '{credentials.password}'" in sql
    assert "CREATE DATABASE v_churn_1 TEMPLATE template_1" in sql
    assert "REASSIGN OWNED BY harness_template TO v_churn_1" in sql
    assert "REVOKE ALL ON DATABASE v_churn_1 FROM PUBLIC" in sql
    assert credentials.password not in " ".join(argv)
    assert credentials.password not in repr(credentials)
    assert "CREATE" not in " ".join(argv)
    assert argv[:3] == ("/tools/kubectl", "--kubeconfig", "/state/kubeconfig")
    assert credentials.url == (
        f"postgresql+psycopg2://v_churn_1:{credentials.password}@postgres.harness-system.svc:5432/v_churn_1"
    )


def test_no_password_twice(programs: Programs) -> None:
    assert server().create("a", "t").password != server().create("a", "t").password


def test_no_password_in_any_argv(programs: Programs) -> None:
    one = server()
    passwords = [one.create("v_1", "t_1").password, one.begin_template("t_1").password]
    one.finish_template("t_1")
    one.drop("v_1")
    assert len(programs.calls) == 4
    for argv, sql in programs.calls:
        assert sql
        assert not any(password in word for password in passwords for word in argv)


def test_one_that_hangs_has_refused_nothing(programs: Programs) -> None:
    programs.answer = lambda words: Completed(tuple(words), -15, "", "stopped after 120 s", timed_out=True)
    with pytest.raises(HarnessError, match="did not do within 120 s") as caught:
        server().template_exists("template_1")
    assert caught.value.cause is CauseCode.DATABASE_FAILED


@given(st.text().filter(lambda text: not database._NAME.fullmatch(text)))
def test_names_that_need_quotes(name: str) -> None:
    one = server()  # whose programs do not exist: none may be run
    for use in (one.template_exists, one.begin_template, one.finish_template, one.drop):
        with pytest.raises(ValueError, match="no plain SQL name"):
            use(name)
    with pytest.raises(ValueError, match="no plain SQL name"):
        one.create("plain", name)
    with pytest.raises(ValueError, match="no plain SQL name"):
        one.create(name, "plain")


@pytest.mark.parametrize(("printed", "there"), [("1\n", True), ("", False), ("\n", False)])
def test_template_exists(programs: Programs, printed: str, there: bool) -> None:
    programs.answer = lambda _: printed
    assert server().template_exists("template_1") is there


def test_a_refusal_has_its_reason_and_no_password(programs: Programs) -> None:
    stderr = "LINE 1: CREATE ROLE x LOGIN PASSWORD 'hidden'\nERROR:  database is full\n"
    programs.answer = lambda _: Completed((), 3, "", stderr)
    with pytest.raises(HarnessError, match="refused: ERROR:  database is full") as caught:
        server().create("v_1", "t_1")
    assert caught.value.cause is CauseCode.DATABASE_FAILED
    assert "hidden" not in " ".join([caught.value.message, *caught.value.evidence])
    assert caught.value.hint


def test_a_refusal_without_a_reason(programs: Programs) -> None:
    programs.answer = lambda _: Completed((), 1, "", "")
    with pytest.raises(HarnessError, match="no reason given"):
        server().drop("v_1")


def test_a_server_that_is_starting_is_waited_for(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(database, "time", clock)
    starting = (
        'psql: error: connection to server on socket "/tmp/.s.PGSQL.5432" failed: FATAL:  the database system is '
        "starting up\ncommand terminated with exit code 2\n"
    )
    gone = 'error: unable to upgrade connection: container not found ("postgres")\n'
    answers = [Completed((), 2, "", starting), Completed((), 1, "", gone), Completed((), 0, "1\n", "")]
    programs.answer = lambda _: answers.pop(0)
    assert server().template_exists("template_1")
    assert clock.slept == [database.LOOK_EVERY_S] * 2


def test_a_server_that_does_not_come_back_is_told(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(database, "time", clock)
    programs.answer = lambda _: Completed(
        (), 2, "", "psql: error: connection to server on socket failed: gone\n"
    )
    with pytest.raises(HarnessError, match="failed: gone"):
        server().template_exists("template_1")
    assert database.AWAY_S <= sum(clock.slept) < database.AWAY_S + 2


@pytest.mark.parametrize(
    "reason",
    [
        'database "harness" does not exist',
        'role "postgres" does not exist',
        'database "template_ab" is not currently accepting connections',
    ],
)
def test_a_server_without_the_database_is_there_and_not_waited_for(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    clock = Clock()
    monkeypatch.setattr(database, "time", clock)
    said = f'psql: error: connection to server on socket "/tmp/.s.PGSQL.5432" failed: FATAL:  {reason}\n'
    programs.answer = lambda _: Completed((), 2, "", f"{said}command terminated with exit code 2\n")
    with pytest.raises(HarnessError, match=f"refused: psql: .*{reason}"):
        server().query("SELECT 1;", "harness")
    assert clock.slept == []
