"""Runs that failed though none of their tasks did."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from task_samples import FAILED, NOW, RUN

from harness.airflow.autopsy.autopsy import explain

ENDED = replace(RUN, started_at=NOW, ended_at=NOW + timedelta(seconds=31))
CUT = replace(FAILED, state="skipped", started_at=NOW + timedelta(seconds=4), ended_at=None)
LATER = replace(FAILED, task_id="later", state="skipped", started_at=None, ended_at=None)


def test_a_run_that_its_own_limit_ended() -> None:
    skipped = replace(CUT, task_id="early", ended_at=NOW + timedelta(seconds=5))
    cause = explain(ENDED, None, tasks=[skipped, CUT, LATER], dagrun_timeout_s=30.0)
    assert cause.code == "run_timeout"
    assert cause.message == (
        "the run of DAG bad_run was ended by its dagrun_timeout of 30 s; task boom had run for 27 s"
    )
    assert cause.exit_code == 1
    assert "`dagrun_timeout`" in (cause.hint or "")


def test_a_run_that_its_own_limit_ended_before_a_task_began() -> None:
    cause = explain(ENDED, None, tasks=[LATER], dagrun_timeout_s=30.0)
    assert cause.message.endswith("dagrun_timeout of 30 s; task later had not started")


def test_a_run_that_ended_within_its_limit() -> None:
    for limit_s in (None, 40.0):
        cause = explain(ENDED, None, tasks=[CUT], dagrun_timeout_s=limit_s)
        assert cause.message == "DAG bad_run failed without a failed task: boom skipped"


def test_a_run_whose_tasks_wait_for_ever() -> None:
    cause = explain(ENDED, None, tasks=[replace(LATER, state=None)], dagrun_timeout_s=None)
    assert cause.message.endswith("could ever run (deadlock): later")
