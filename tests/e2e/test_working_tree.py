"""What is not committed is what runs: a syntax error. A changed model is among what stands by."""

from __future__ import annotations

import pytest
from command import Watched, loaded, only_version
from conftest import Cluster
from scratch import TINY_DAG, Scratch

IMPORT_ERROR_DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def broken(cluster: Cluster, tiny: Scratch, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """`harness test` after `:` took a parenthesis's place."""
    tiny.write("dags/tiny.py", TINY_DAG.replace("def evaluate():", "def evaluate(:"))
    file = tmp_path_factory.mktemp("syntax") / "result.json"
    command = cluster.harness.watch(tiny.root, "test", "--keep", "never", "--json", file)
    (test,) = only_version(loaded(file))["tests"]
    assert test["cause"]["code"] == "dag_import_error", command.text
    return command


def test_a_syntax_error_fails_with_file_line_and_message(broken: Watched) -> None:
    line = TINY_DAG.splitlines().index("    def evaluate():") + 1
    assert broken.exit_code == 1
    assert f"tiny.py:{line}" in broken.last_lines
    assert "invalid syntax" in broken.last_lines


def test_a_syntax_error_is_said_soon_after_the_version_is_ready(broken: Watched) -> None:
    (ready,) = [line for line in broken.lines if line.text.startswith("✓ Airflow of")]
    (said,) = [line for line in broken.lines if line.text.startswith("✗ parsing")]
    assert said.at_s - ready.at_s < IMPORT_ERROR_DEADLINE_S
