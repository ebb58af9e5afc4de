"""Repositories to measure with: a DAG of one task, a line that changes, and other files as heavy as wanted."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.host import process

CHECKOUT = Path(__file__).parents[1]
MEGABYTE = 1_000_000

CONFIGURATION = """\
project = "benchmark"

[tests.first]
dag = "first"
metrics = { task = "first" }
"""
DAG = """\
import time

from airflow.sdk import dag, task

LINE = 0


@dag(dag_id="first", schedule=None)
def first():
    @task(multiple_outputs=False)
    def first():
        return {"first_line_at": time.time(), "line": LINE}

    first()


first()
"""


@dataclass(frozen=True)
class Repository:
    """A git repository of a measurement's own."""

    root: Path

    def git(self, *arguments: str) -> None:
        identity = [
            "-c",
            "user.name=Benchmark",
            "-c",
            "user.email=benchmark@example.com",
            "-c",
            "core.hooksPath=",
        ]
        process.run(["git", *identity, *arguments], cwd=self.root)

    def change(self, number: int) -> None:
        """Change the one line."""
        (self.root / "dags/first.py").write_text(
            DAG.replace("LINE = 0", f"LINE = {number}"), encoding="utf-8"
        )

    def commit(self) -> None:
        """Commit everything that is there."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=next")


@contextmanager
def repository(*, other_bytes: int = 0) -> Iterator[Repository]:
    """A repository with one commit and `other_bytes` of files that don't compress, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="harness-benchmark-") as folder:
        made = Repository(Path(folder) / "benchmark")
        (made.root / "dags/data").mkdir(parents=True)
        shutil.copy(CHECKOUT / "dags/requirements.lock", made.root / "dags")
        (made.root / "harness.toml").write_text(CONFIGURATION, encoding="utf-8")
        source = random.Random(7)  # noqa: S311  the same bytes each time
        for number in range(other_bytes // MEGABYTE):
            (made.root / f"dags/data/{number:03}.bin").write_bytes(source.randbytes(MEGABYTE))
        made.change(0)
        made.git("init", "--quiet", "--initial-branch=main")
        made.commit()
        yield made
