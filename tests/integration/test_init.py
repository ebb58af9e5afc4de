"""`harness init` in real repositories: what it writes, what it never touches, and that it is accepted."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from git_repository import git, make, write

from harness.host import process
from harness.init.reading.idioms import GONE_MODULES, GONE_NAMES
from harness.project import project

DAG = """from airflow.sdk import dag, task

from churn.model import score


@dag(schedule=None)
def churn():
    @task
    def evaluate():
        return {"accuracy": score()}

    evaluate()


churn()
"""
FILES: dict[str, str | bytes] = {
    "dags/churn.py": DAG,
    "src/churn/__init__.py": "",
    "src/churn/model.py": "def score():\n    return 0.9\n",
    "requirements.txt": "pandas\n",
    ".gitignore": ".env\n",
}


@pytest.fixture
def root(tmp_path: Path, git_settings: Path) -> Path:
    return make(tmp_path / "churn", FILES)


def init(folder: Path, *options: str) -> process.Completed:
    argv = [sys.executable, "-m", "harness", "init", *options]
    return process.run(argv, check=False, cwd=folder, env={**os.environ, "NO_COLOR": "1"})


def test_it_writes_what_the_product_reads_and_nothing_else(root: Path) -> None:
    shown = init(root, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert git(root, "status", "--porcelain") == ""
    done = init(root)
    assert done.returncode == 0, done.stderr
    assert git(root, "status", "--porcelain") == "?? harness.toml"
    assert (root / "harness.toml").read_text() in shown.stdout
    assert "next: harness up && harness test" in done.stderr
    image = project.load(root).configuration.image
    assert (image.code, image.python_path) == (("dags", "src"), ("src",))
    again = init(root / "dags")
    assert again.returncode == 2
    assert "is there already, and stays as it is" in again.stderr
    assert "hint: harness init --dry-run --force" in again.stderr
    (root / "harness.toml").write_text("[tests]\n")
    assert init(root, "--force").returncode == 0
    assert "churn" in project.load(root).configuration.tests


def test_it_offers_the_workflow_for_pull_requests_and_writes_it_when_asked(root: Path) -> None:
    offered = json.loads(init(root, "--json").stdout)["findings"][-1]
    assert offered["about"] == "pull requests"
    assert "harness init --workflow" in offered["text"]
    (root / "harness.toml").write_text("# mine\n")
    done = init(root, "--workflow")
    assert done.returncode == 0, done.stderr
    workflow = root / ".github/workflows/harness.yml"
    assert workflow.read_text().endswith(offered["add"])
    assert "in place of your-org/harness, then git add .github/workflows/harness.yml" in done.stderr
    assert (root / "harness.toml").read_text() == "# mine\n"
    workflow.write_text("on: push\n")
    refused = init(root / "dags", "--workflow")
    assert (refused.returncode, workflow.read_text()) == (2, "on: push\n")
    assert "harness init --workflow --force writes it" in refused.stderr
    assert init(root, "--workflow", "--force").returncode == 0
    assert workflow.read_text().endswith(offered["add"])
    assert (root / "harness.toml").read_text() == "# mine\n"
    again = json.loads(init(root, "--json", "--force", "--dry-run").stdout)
    assert "pull requests" not in [each["about"] for each in again["findings"]]


def test_both_files_are_written_at_once(root: Path) -> None:
    shown = json.loads(init(root, "--workflow", "--dry-run", "--json").stdout)
    assert not (root / ".github").exists()
    assert list(shown["files"]) == ["harness.toml", ".github/workflows/harness.yml"]
    assert "pull requests" not in [each["about"] for each in shown["findings"]]
    assert init(root, "--workflow").returncode == 0
    assert {name: (root / name).read_text() for name in shown["files"]} == shown["files"]


def test_a_configuration_in_pyproject_is_told(root: Path) -> None:
    write(root, {"pyproject.toml": '[tool.harness.tests.churn]\ndag = "churn"\n'})
    done = init(root)
    assert done.returncode == 2
    assert "pyproject.toml has [tool.harness] already" in done.stderr
    assert not (root / "harness.toml").exists()


def test_a_repository_that_can_not_work_yet_is_told_why(root: Path) -> None:
    write(root, {"dags/churn.py": DAG.replace("schedule=None", 'schedule_interval="@daily"')})
    done = init(root, "--json")
    assert done.returncode == 2
    reason = "dags/churn.py:6: Airflow 3 has no argument schedule_interval of DAG: use schedule"
    assert reason in done.stderr
    said = json.loads(done.stdout)
    assert said["written"]
    assert said["tests"][0]["reasons"] == [reason]
    assert project.load(root).configuration.tests == {}


def test_secrets_are_never_written(root: Path) -> None:
    write(root, {".env": "TOKEN=hunter2\n", "dags/churn.py": f"import os\n\nT = os.environ['TOKEN']\n{DAG}"})
    done = init(root, "--json")
    assert "TOKEN" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr + (root / "harness.toml").read_text()


def test_what_is_said_to_be_gone_from_airflow_is(tmp_path: Path) -> None:
    looks = """
import importlib, json, sys
gone = []
for name in json.loads(sys.argv[1]):
    owner, _, attribute = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ImportError:
        try:
            getattr(importlib.import_module(owner), attribute)
        except (ImportError, AttributeError):
            gone.append(name)
print(json.dumps(gone))
"""
    names = [*GONE_MODULES, *GONE_NAMES]
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    done = process.run([sys.executable, "-c", looks, json.dumps(names)], env=env)
    assert json.loads(done.stdout.splitlines()[-1]) == names


def test_outside_of_a_repository_and_without_dags(tmp_path: Path, root: Path) -> None:
    outside = tmp_path / "nowhere"
    outside.mkdir()
    assert init(outside).returncode == 2
    (root / "dags/churn.py").write_text("x = 1\n")
    done = init(root)
    assert done.returncode == 2
    assert "no Python file of the repository defines a DAG" in done.stderr
    assert "hint: " in done.stderr
