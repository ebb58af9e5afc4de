"""The JSON schemas: what they refuse the commands refuse, and what the commands take they take."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from report_samples import gate_failed

from harness.errors import CauseCode, HarnessError
from harness.project.configuration import parse
from harness.report.schema import configuration_schema, result_schema

TEST = '[tests.a]\ndag = "a"\n'
METRICS = 'metrics = { task = "t" }\n'
GATE = TEST + METRICS + "[tests.a.gates.m]\n"
GOOD = [
    "",
    'project = "churn-model"',
    "[image]",
    '[image]\npython = "3.12"',
    '[image]\nrequirements = "locks/airflow.lock"',
    '[image]\ncode = ["dags", "src/churn"]',
    '[image]\ncode = ["dags"]\nshared = ["dags/data"]',
    '[image.env]\nOMP_NUM_THREADS = "1"',
    '[image.env]\n_x9 = ""',
    TEST,
    '[tests."a.b-C_9"]\ndag = "team.churn-v2"',
    TEST + "conf = { seed = 7, nested = { list = [1, 2.5, true] } }",
    TEST + "logical_date = 2026-01-31T00:00:00Z",
    TEST + 'logical_date = "2026-01-31T00:00:00+01:00"',
    TEST + 'timeout = "1h30m"',
    TEST + "timeout = 90",
    TEST + METRICS,
    TEST + 'metrics = { task = "t", key = "numbers" }',
    GATE + "min = 0.9\nmax = 1",
    GATE + 'better = "lower"\nmax_regression = 0',
    GATE + 'better = "higher"\nmax_relative_regression = 0.05',
]
BAD = [
    "projekt = 'x'",
    'project = "Churn Model"',
    "project = 7",
    '[image]\npython = "3"',
    "[image]\npython = 3.11",
    "[image]\ncode = []",
    '[image]\ncode = "dags"',
    '[image]\ncode = ["/dags"]',
    '[image]\nrequirements = "../lock"',
    '[image]\nrequirements = ""',
    '[image.env]\nPATH = "/bin"',
    '[image.env]\n"A-B" = "x"',
    "[image.env]\nA = 1",
    "[tests.a]",
    '[tests.a]\ndag = ""',
    '[tests." a"]\ndag = "a"',
    TEST + 'timeout = "10 minutes"',
    TEST + "timeout = 0",
    TEST + "metrics = {}",
    TEST + "[tests.a.gates.m]\nmin = 1",
    GATE,
    GATE + 'min = "0.9"',
    GATE + "max_regression = 0.1",
    GATE + 'better = "bigger"\nmin = 1',
    GATE + 'better = "lower"\nmax_regression = -1',
]
SCHEMA = Draft202012Validator(configuration_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)


def as_editors_do(text: str) -> object:
    """The file as JSON: a time of TOML becomes its text."""
    return json.loads(json.dumps(tomllib.loads(text), default=lambda value: value.isoformat()))


@pytest.mark.parametrize("schema", [configuration_schema(), result_schema()])
def test_it_is_a_schema(schema: dict[str, object]) -> None:
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("text", GOOD)
def test_what_the_command_takes_is_valid(text: str) -> None:
    assert parse(text, origin="harness.toml") is not None
    assert [error.message for error in SCHEMA.iter_errors(as_editors_do(text))] == []


@pytest.mark.parametrize("text", BAD)
def test_what_is_invalid_the_command_refuses(text: str) -> None:
    assert list(SCHEMA.iter_errors(as_editors_do(text)))
    with pytest.raises(HarnessError) as caught:
        parse(text, origin="harness.toml")
    assert caught.value.cause is CauseCode.CONFIG_INVALID


@given(st.text(alphabet="adgs/.\\- \t", max_size=8))
def test_of_any_path_both_say_the_same(path: str) -> None:
    text = f"[image]\nrequirements = {json.dumps(path)}"
    try:
        parse(text, origin="harness.toml")
    except HarnessError:
        assert list(SCHEMA.iter_errors(as_editors_do(text)))
    else:
        assert not list(SCHEMA.iter_errors(as_editors_do(text)))


def test_a_result_is_valid() -> None:
    result = Draft202012Validator(result_schema())
    document = json.loads(gate_failed().to_json())
    assert [error.message for error in result.iter_errors(document)] == []
    del document["versions"][0]["ref"]
    assert list(result.iter_errors({**document, "schema": 2}))
