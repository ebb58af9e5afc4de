"""Task logs of any shape can be read and shown, and hold no secrets then."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_samples import BOOM, TOKEN, cause_of, error, log, raised

from harness.airflow.logs.excerpts import EVIDENCE_CHARS
from harness.airflow.logs.redaction import redact
from harness.airflow.logs.task_log import parse_log, readable
from harness.airflow.rest.models import DagImportError

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


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85"])
def test_what_a_task_printed_may_hold_any_character(end: str) -> None:
    line = json.dumps({"event": f"a{end}b", "level": "error"}, ensure_ascii=False)
    assert [(record.text, record.level) for record in parse_log(f"{line}\r\n")] == [(f"a{end}b", "error")]


def test_a_bar_that_is_drawn_again_and_again_is_a_line_each_time() -> None:
    assert [record.text for record in parse_log("10 %\r50 %\r\n\ndone")] == ["10 %", "50 %", "done"]


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


@pytest.mark.parametrize("many", ["x", "password=hunter2 ", "a/b.so", "\n"])
def test_megabytes_of_a_message_are_looked_at_by_their_ends(many: str) -> None:
    message = f"begin {many * (300_000 // len(many))} end"
    detail = {"exc_type": "ValueError", "exc_value": message, "frames": []}
    record = json.dumps({"event": message, "level": "error", "error_detail": [detail]})
    (found,) = parse_log(record)
    for text in (found.text, found.raised[0].message, parse_log(f"no JSON: {message!r}")[0].text):
        assert len(text) <= EVIDENCE_CHARS + 3
        assert text.split()[0] in {"begin", "no"}
        assert text.rstrip("'").endswith("end")
        assert "hunter2" not in text
    assert readable(record).count(message) == 2


def test_megabytes_of_an_import_error_are_looked_at_by_their_ends() -> None:
    frames = '  File "/opt/airflow/dags/a.py", line 1, in <module>\n'
    for many in ("x" * 300_000, "x\n" * 150_000):
        found = DagImportError.of(
            {"filename": "a.py", "stack_trace": f"Traceback:\n{frames}ValueError: bad {many} end"}
        )
        assert found.place == "a.py:1"
        assert found.message.startswith("ValueError: bad x")
        assert len(found.stack_trace) < 100_000
