"""Repositories made for a test: a copy of this checkout, or a DAG of one task with a model of one number."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.host import process

CHECKOUT = Path(__file__).parents[2]

TINY_TOML = """\
[tests.tiny]
dag = "tiny"
timeout = "5m"
metrics = {{ task = "evaluate" }}
gates.accuracy = {{ min = {minimum} }}
"""
TINY_DAG = """\
from airflow.sdk import dag, task


@dag(dag_id="tiny", schedule=None)
def tiny():
    @task(multiple_outputs=False)
    def evaluate():
        from tiny_model import accuracy

        print("the model is asked")
        return {"accuracy": accuracy()}

    evaluate()


tiny()
"""
SETTINGS_DAG = """\
import json
import os
from pathlib import Path

from airflow.sdk import Connection, Variable, dag, task

THRESHOLD = float(Variable.get("threshold"))  # while the file is imported
MODE = os.environ["TRAINING_MODE"]
TOKEN = os.environ["TOKEN_OF_TESTS"]


@dag(schedule=None)
def reads_settings():
    @task(pool="narrow")
    def read():
        secrets = {
            "from_env": os.environ["TOKEN_OF_TESTS"],
            "env_file": os.environ["KEY_OF_TESTS"],
            "airflow_settings": Connection.get("lake").password,
            "variable": Variable.get("hidden"),
        }
        print("told by a task that should not:", *secrets.values())
        given = {name: value.startswith(f"canary-{name}-") for name, value in secrets.items()}
        port = Connection.get("warehouse").port
        small = MODE == "small" == os.environ["TRAINING_MODE"]
        return {"threshold": THRESHOLD, "small": small, "port": port, "parsed": TOKEN in secrets.values(), **given}

    @task
    def deploy(found):
        raise RuntimeError("deployed for real")

    @task
    def write(found, deployed):
        beside = Path(__file__).with_name("made_by_a_task.json")  # in a folder of code, which is gone with the pod
        beside.write_text(json.dumps({**found, "not_deployed": deployed is None}))
        reports = Path(os.environ["HARNESS_ARTIFACTS_URL"].removeprefix("file://"), "reports")
        reports.mkdir()
        (reports / "metrics.json").write_text(beside.read_text())

    found = read()
    write(found, deploy(found))


reads_settings()
"""
SETTINGS_TOML = """
[image.env]
AIRFLOW_VAR_THRESHOLD = "0.25"
AIRFLOW_CONN_WAREHOUSE = "postgresql://reader@warehouse.example.com:5433/sample"
TRAINING_MODE = "small"

[secrets]
from_env = ["TOKEN_OF_TESTS"]
env_file = ".env"
airflow_settings = "airflow_settings.yaml"

[tests.settings]
dag = "reads_settings"
skip = ["deploy"]
metrics = { file = "reports/metrics.json" }
gates.threshold = { min = 0.25, max = 0.25 }
gates.small = { min = 1 }
gates.port = { min = 5433, max = 5433 }
gates.parsed = { min = 1 }
gates.from_env = { min = 1 }
gates.env_file = { min = 1 }
gates.airflow_settings = { min = 1 }
gates.variable = { min = 1 }
gates.not_deployed = { min = 1 }
"""
_AIRFLOW_SETTINGS = """
airflow:
  connections: [{{conn_id: lake, conn_type: generic, conn_password: canary-airflow_settings-{token}}}]
  pools: [{{pool_name: narrow, pool_slot: 1}}]
  variables: [{{variable_name: hidden, variable_value: canary-variable-{token}}}]
"""


def plant_secrets(made: Scratch, patch: pytest.MonkeyPatch) -> str:
    """What the DAG of SETTINGS_DAG reads in secret, in all three places; each value ends with what is returned."""
    token = secrets.token_hex(8)
    patch.setenv("TOKEN_OF_TESTS", f"canary-from_env-{token}")
    made.write(".env", f"KEY_OF_TESTS=canary-env_file-{token}\n")
    made.write("airflow_settings.yaml", _AIRFLOW_SETTINGS.format(token=token))
    made.write(".gitignore", ".env\nairflow_settings.yaml\n")
    return token


def tiny_model(accuracy: float) -> str:
    """A model: what it reaches is what it is."""
    return f"def accuracy():\n    return {accuracy}\n"


@dataclass(frozen=True)
class Scratch:
    """A git repository of a test's own; the user's git configuration does not count in it."""

    root: Path

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.com", "-c", "core.hooksPath="]
        argv = ["git", "--no-optional-locks", *identity, *arguments]
        return process.run(argv, cwd=self.root).stdout.strip()

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def commit(self, message: str) -> str:
        """Everything that is there, committed; returns the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def fingerprints(self) -> dict[str, str]:
        """Every file of the working tree and of .git with the digest of its content."""
        return {
            path.relative_to(self.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }


@dataclass(frozen=True)
class Checkout:
    """What somebody who works in a repository would notice of it."""

    status: str
    head: str
    files: dict[str, str]

    @classmethod
    def of(cls, scratch: Scratch) -> Checkout:
        status = scratch.git("status", "--porcelain", "--untracked-files=all")
        return cls(status, scratch.git("symbolic-ref", "HEAD"), scratch.fingerprints())


def empty(root: Path) -> Scratch:
    root.mkdir(parents=True)
    scratch = Scratch(root)
    scratch.git("init", "--quiet", "--initial-branch=main")
    return scratch


def checkout(root: Path) -> Scratch:
    """This checkout's files as they are now, in one commit."""
    scratch = empty(root)
    listed = process.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=CHECKOUT
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, root / name)
    scratch.commit("the checkout")
    return scratch


def tiny(root: Path) -> Scratch:
    """HEAD's model reaches 0.72, HEAD~1's 0.61, the working tree's 0.83 with a file that git does not know.

    The working tree's gate asks for 0.7, the commits' for 0.5.
    """
    scratch = empty(root)
    (root / "dags").mkdir()
    shutil.copy(CHECKOUT / "dags" / "requirements.lock", root / "dags")
    scratch.write("harness.toml", TINY_TOML.format(minimum=0.5))
    scratch.write("dags/tiny.py", TINY_DAG)
    scratch.write("dags/tiny_model.py", tiny_model(0.61))
    scratch.commit("a model")
    scratch.write("dags/tiny_model.py", tiny_model(0.72))
    scratch.commit("a better model")
    scratch.write("dags/tiny_model.py", "from tiny_weights import accuracy\n")
    scratch.write("dags/tiny_weights.py", tiny_model(0.83))
    scratch.write("harness.toml", TINY_TOML.format(minimum=0.7))
    return scratch
