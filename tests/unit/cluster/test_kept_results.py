"""Results that the cluster keeps: their database is made by whoever needs it first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from doubles import Programs

from harness.cluster.services import database
from harness.cluster.services.database import OWN_DATABASE, Server
from harness.cluster.services.kept_results import Results
from harness.host.process import Completed

KEY = "a" * 64
ROW = '{"key": "' + KEY + '", "document": "{}", "made_at": "2026-11-28T00:00:00+00:00"}\n'


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A server that has no database of ours until one was made, with its table."""
    double = Programs()

    def answer(words: Sequence[str]) -> Completed:
        asked = [sql or "" for _, sql in double.calls]
        made = any(f"CREATE DATABASE {OWN_DATABASE}'" in sql for sql in asked)
        if f"--dbname={OWN_DATABASE}" in words and not made:
            stderr = f'psql: error: FATAL:  database "{OWN_DATABASE}" does not exist\n'
            return Completed(tuple(words), 2, "", stderr)
        if "FROM result" in asked[-1] and not any("CREATE TABLE" in sql for sql in asked):
            return Completed(tuple(words), 3, "", 'ERROR:  relation "result" does not exist\n')
        return Completed(tuple(words), 0, ROW if "SELECT json_build_object" in asked[-1] else "", "")

    double.answer = answer
    monkeypatch.setattr(database.process, "run", double.run)
    return double


def test_a_new_cluster_gets_the_database(programs: Programs) -> None:
    found = Results(Server(Path("/tools/kubectl"), Path("/state/kubeconfig"))).find([KEY])
    assert found[KEY].document == "{}"
    made = next(sql or "" for _, sql in programs.calls if "CREATE DATABASE" in (sql or ""))
    assert f"REVOKE ALL ON DATABASE {OWN_DATABASE} FROM PUBLIC;" in made


def test_a_text_may_hold_any_character(programs: Programs) -> None:
    row = json.dumps({"key": KEY, "document": "a\u2028b\x85c", "made_at": "now"}, ensure_ascii=False)
    programs.answer = lambda words: Completed(tuple(words), 0, f"{row}\n", "")
    results = Results(Server(Path("/tools/kubectl"), Path("/state/kubeconfig")))
    assert results.find([KEY])[KEY].document == "a\u2028b\x85c"
    assert results.noise(KEY) == ["a\u2028b\x85c"]
