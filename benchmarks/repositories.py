"""Repositories to measure with: a DAG of one task, a line that changes, and other files as heavy as wanted."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.host import process

CHECKOUT = Path(__file__).parents[1]
MEGABYTE = 1_000_000

PROJECT = "benchmark"
LOCK = "dags/requirements.lock"
CONFIGURATION = f"""\
project = "{PROJECT}"

[tests.first]
dag = "first"
metrics = {{ task = "first" }}
"""
DAG_FILE = "dags/first.py"
DAG = """\
import time
from importlib.util import find_spec

from airflow.sdk import dag, task

LINE, BROKEN = 0, False


@dag(dag_id="first", schedule=None)
def first():
    @task(multiple_outputs=False)
    def first():
        at = time.time()
        if BROKEN:
            raise RuntimeError(f"line {LINE} is broken")
        return {"first_line_at": at, "line": LINE, "scikit_learn": find_spec("sklearn") is not None}

    first()


first()
"""


def dag(number: int, *, broken: bool = False) -> str:
    """The DAG's file with another line; a `broken` one's task raises, and names the line."""
    return DAG.replace("LINE, BROKEN = 0, False", f"LINE, BROKEN = {number}, {broken}")


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
        self.write({DAG_FILE: dag(number)})

    def write(self, files: Mapping[str, str]) -> None:
        """Files by their paths, with their new text."""
        for path, text in files.items():
            (self.root / path).write_text(text, encoding="utf-8")

    def branch(self, name: str, files: Mapping[str, str]) -> str:
        """A branch from main with one commit that changes `files`; returns its name. main is checked out again."""
        self.git("checkout", "--quiet", "-b", name, "main")
        self.write(files)
        self.commit()
        self.git("checkout", "--quiet", "main")
        return name

    def clone(self, root: Path) -> Path:
        """Somebody else's clone; its branches are those of `origin`. Returns its place."""
        process.run(["git", "clone", "--quiet", self.root, root])
        return root

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
        shutil.copy(CHECKOUT / LOCK, made.root / LOCK)
        (made.root / "harness.toml").write_text(CONFIGURATION, encoding="utf-8")
        source = random.Random(7)  # noqa: S311  the same bytes each time
        for number in range(other_bytes // MEGABYTE):
            (made.root / f"dags/data/{number:03}.bin").write_bytes(source.randbytes(MEGABYTE))
        made.change(0)
        made.git("init", "--quiet", "--initial-branch=main")
        made.commit()
        yield made
