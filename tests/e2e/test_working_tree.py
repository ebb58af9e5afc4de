"""What is not committed is what runs: a changed model, then a syntax error."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Watched, explained, loaded, only_version
from conftest import Cluster
from scratch import TINY_DAG, Checkout, Scratch

IMPORT_ERROR_DEADLINE_S = 30.0


def test_a_dirty_tree_gives_the_metrics_of_what_is_not_committed(
    cluster: Cluster, tiny: Scratch, tmp_path: Path
) -> None:
    before, file = Checkout.of(tiny), tmp_path / "result.json"
    command = cluster.harness(tiny.root, "test", "--keep", "never", "--json", file)
    assert command.returncode == 0, explained(command)
    assert Checkout.of(tiny) == before
    version = only_version(loaded(file))
    (test,) = version["tests"]
    assert test["metrics"]["accuracy"]["value"] == 0.83
    assert version["commit"] == tiny.git("rev-parse", "HEAD")
    assert version["image"]["name"].endswith(f":{version['commit'][:12]}-dirty-{version['dirty']}")


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
