"""A DAG that is broken, and a repository with several."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import scratch

HEAD = "from airflow.sdk import dag, task\n"
METRICS = 'metrics = { task = "work" }'


@dataclass(frozen=True)
class Broken:
    """A DAG file, the test that runs it, and the cause that must be told.

    `words` must be in the cause's message, `hint` in its hint, `evidence` somewhere below it. `slow` are those that are
    told by what tells another of the same group too.
    """

    name: str
    source: str
    code: str | None
    words: tuple[str, ...] = ()
    hint: str = ""
    evidence: str = ""
    toml: str = ""
    dag: str = ""
    deadline_s: float = 60.0
    beside: tuple[tuple[str, str], ...] = ()
    slow: bool = False

    @property
    def table(self) -> str:
        return f'[tests.{self.name}]\ndag = "{self.dag or self.name}"\n{self.toml}\n'


def tasks(name: str, body: str, head: str = "") -> str:
    """A file with one DAG, named as its function, of what `body` defines and calls."""
    lines = "".join(f"    {line}\n" if line else "\n" for line in body.strip("\n").splitlines())
    return f"{HEAD}{head}\n\n@dag(schedule=None)\ndef {name}():\n{lines}\n\n{name}()\n"


def one(name: str, body: str, arguments: str = "", head: str = "") -> str:
    """A DAG of one task, `work`."""
    lines = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    return tasks(name, f"@task({arguments})\ndef work():\n{lines}\nwork()", head)


def repository(root: Path, cases: tuple[Broken, ...], head: str = "") -> scratch.Scratch:
    """A repository with the files of some cases, on the sample's dependencies; `head` begins its configuration."""
    made = scratch.empty(root)
    (root / "dags").mkdir()
    shutil.copy(scratch.CHECKOUT / "dags" / "requirements.lock", root / "dags")
    for case in cases:
        if case.source:
            made.write(f"dags/{case.name}.py", case.source)
        for path, text in case.beside:
            made.write(path, text)
    made.write("harness.toml", "\n".join([head, *(case.table for case in cases)]))
    made.commit("what is broken")
    return made
