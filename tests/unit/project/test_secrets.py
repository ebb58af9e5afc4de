"""What [secrets] names, read on the asking side."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import CauseCode, HarnessError
from harness.host.git import Git
from harness.project import airflow_settings, secrets
from harness.project.commit import Repository
from harness.project.configuration import Configuration, SecretsSettings
from harness.project.project import Project
from harness.project.secrets import Secrets

SETTINGS = """
airflow:
  connections:
    - conn_id: warehouse
      conn_type: postgres
      conn_host: warehouse.example.com
      conn_schema:
      conn_login: reader
      conn_password: 0123
      conn_port: 5433
      conn_extra: {sslmode: require, verify: false}
    - conn_id: from-uri
      conn_uri: http://a:b@c
    - conn_id:
      conn_type:
  pools:
    - pool_name: narrow
      pool_slot: 2
      pool_description: few
    - pool_name:
      pool_slot:
  variables:
    - variable_name: bucket
      variable_value: s3://features
    - variable_name: share
      variable_value: 1.50
    - variable_name: limits
      variable_value: {rows: 10}
    - variable_name:
      variable_value:
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of which git tracks what `.tracked` lists."""
    (tmp_path / ".tracked").write_text("")

    class Answer:
        def __init__(self, returncode: int) -> None:
            self.returncode = returncode

    def run(_: Git, *arguments: str, **__: object) -> Answer:
        path = arguments[-1]
        return Answer(0 if path in (tmp_path / ".tracked").read_text().split() else 1)

    monkeypatch.setattr(Git, "run", run)
    return tmp_path


def read(root: Path, environ: dict[str, str] | None = None, **settings: object) -> Secrets:
    asked = SecretsSettings.model_validate(settings)
    return secrets.read(Project(Repository(root), Configuration(secrets=asked)), environ or {})


def refused(root: Path, environ: dict[str, str] | None = None, **settings: object) -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        read(root, environ, **settings)
    return caught.value


def test_nothing_is_asked_for(root: Path) -> None:
    found = read(root, {"OPENAI_API_KEY": "x"})
    assert (dict(found.environment), found.pools, found.fingerprint(b"key")) == ({}, (), None)


def test_the_environment_comes_before_the_file_and_that_before_airflows_settings(root: Path) -> None:
    (root / ".env").write_text("A=file\nB='of file'\nAIRFLOW_VAR_BUCKET=file\n")
    (root / "airflow_settings.yaml").write_text(SETTINGS)
    found = read(
        root,
        {"A": "client", "OTHER": "never"},
        from_env=["A", "B"],
        env_file=".env",
        airflow_settings="airflow_settings.yaml",
    )
    named = {name: value for name, value in found.environment.items() if not name.startswith("AIRFLOW_CONN_")}
    assert named == {
        "A": "client", "B": "of file", "AIRFLOW_VAR_BUCKET": "file", "AIRFLOW_VAR_LIMITS": '{"rows": 10}',
        "AIRFLOW_VAR_SHARE": "1.50",
    }  # fmt: skip


def test_all_that_is_missing_is_told_with_what_sets_it(root: Path) -> None:
    (root / ".env.example").write_text("A=\n")
    error = refused(
        root,
        {"KEY": ""},  # as GitHub sets what a fork may not see
        from_env=["KEY", "TOKEN"],
        env_file=".env",
        airflow_settings="airflow_settings.yaml",
    )
    assert error.cause is CauseCode.SECRET_MISSING
    assert error.exit_code == 3
    assert len(error.evidence) == 4
    assert "airflow_settings.yaml (and 3 more): [secrets] in harness.toml names it" in error.message
    assert "export KEY='…' && export TOKEN='…'" in error.hint
    assert "cp .env.example .env" in error.hint


def test_a_file_that_git_tracks_is_refused(root: Path) -> None:
    (root / ".env").write_text("A=1")
    (root / ".tracked").write_text(".env")
    error = refused(root, env_file=".env")
    assert error.cause is CauseCode.CONFIG_INVALID
    assert "git rm --cached .env && echo .env >> .gitignore" in error.hint


def test_airflows_own_settings_in_a_file_of_variables_are_passed_over(root: Path) -> None:
    (root / ".env").write_text(
        "AIRFLOW__CORE__EXECUTOR=LocalExecutor\nPATH=/bin\nHARNESS_X=1\nexport FINE=1\n"
    )
    found = read(root, env_file=".env")
    assert dict(found.environment) == {"FINE": "1"}
    assert found.passed_over == ("AIRFLOW__CORE__EXECUTOR", "PATH", "HARNESS_X")


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"A": "x" * 200_000}, "A has 200,001 bytes"),
        ({"A": "a\0b"}, "A holds what no environment variable may"),
        ({"A": os.fsdecode(b"\xff")}, "A holds what no environment variable may"),
        (dict.fromkeys("ABCDEFGHIJ", "x" * 100000), "all secrets together have 1,000,010 bytes"),
    ],
)
def test_what_no_secret_can_hold(root: Path, environ: dict[str, str], told: str) -> None:
    error = refused(root, environ, from_env=list(environ))
    assert told in error.message
    assert "xxxxx" not in error.message


def test_the_fingerprint_tells_values_apart_and_is_nobodys_without_the_key() -> None:
    first, other = Secrets({"A": "1", "B": "2"}), Secrets({"A": "1", "B": "3"})
    assert first.fingerprint(b"k") == Secrets({"B": "2", "A": "1"}).fingerprint(b"k")
    assert len({first.fingerprint(b"k"), other.fingerprint(b"k"), first.fingerprint(b"l")}) == 3


def test_no_value_is_shown() -> None:
    assert "value" not in repr(Secrets({"A": "value"}))
    assert "value" not in repr(airflow_settings.AirflowSettings({"A": "value"}))
    entries = (
        airflow_settings._Connection(
            conn_id="a", conn_uri="hush-1", conn_password="hush-2", conn_extra="hush-3"
        ),
        airflow_settings._Variable(variable_name="b", variable_value="hush-4"),
    )
    assert "hush" not in repr(entries)


class TestAirflowSettings:
    def test_connections_variables_and_pools(self) -> None:
        found = airflow_settings.parse(SETTINGS, origin="airflow_settings.yaml")
        assert json.loads(found.environment["AIRFLOW_CONN_WAREHOUSE"]) == {
            "conn_type": "postgres",
            "host": "warehouse.example.com",
            "login": "reader",
            "password": "0123",  # a number to YAML, and a text to its author
            "port": 5433,
            "extra": '{"sslmode": "require", "verify": false}',
        }
        assert found.environment["AIRFLOW_CONN_FROM-URI"] == "http://a:b@c"
        assert found.environment["AIRFLOW_VAR_BUCKET"] == "s3://features"
        assert found.environment["AIRFLOW_VAR_SHARE"] == "1.50"
        assert [(pool.name, pool.slots, pool.description) for pool in found.pools] == [("narrow", 2, "few")]

    @pytest.mark.parametrize(
        "text", ["", "airflow:", "airflow:\n  connections:\n  pools:\n  variables:\n", "other: 1"]
    )
    def test_nothing_in_it(self, text: str) -> None:
        found = airflow_settings.parse(text, origin="x")
        assert (dict(found.environment), found.pools) == ({}, ())

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("a: [", "it is no valid YAML"),
            ("airflow: {variables: [{variable_name: a, variable_value: 2026-02-30}]}", "in quotes"),
            ("a: " + "[" * 2000, "it is no valid YAML"),
            ("airflow: [1]", "airflow: "),
            ("airflow: {pools: [{pool_name: a, pool_slot: many}]}", "pool_slot"),
            ("airflow: {pools: [{pool_name: a}]}", "pool 'a' has no pool_slot"),
            ("airflow: {variables: [{variable_name: a b, variable_value: s3cret}]}", "'a b' can't be"),
            (
                "airflow: {variables: [{variable_name: a, variable_value: 1}, {variable_name: A, variable_value: 2}]}",
                "AIRFLOW_VAR_A is there twice",
            ),
        ],
    )
    def test_what_is_wrong_is_told_without_values(self, text: str, told: str) -> None:
        with pytest.raises(HarnessError, match=r"my\.yaml: ") as caught:
            airflow_settings.parse(text, origin="my.yaml")
        assert caught.value.cause is CauseCode.CONFIG_INVALID
        assert told in caught.value.message
        assert "s3cret" not in caught.value.message

    @given(st.text())
    def test_any_text_is_settings_or_told(self, text: str) -> None:
        try:
            airflow_settings.parse(text, origin="x")
        except HarnessError as error:
            assert error.cause is CauseCode.CONFIG_INVALID
