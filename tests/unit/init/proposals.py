"""What `harness init` proposes for files, for tests."""

from __future__ import annotations

import textwrap

from harness.init.findings import Proposal
from harness.init.proposal import propose
from harness.init.reading.repository_files import RepositoryFiles
from harness.init.written import text_of
from harness.project.configuration import Configuration, parse

TASK = """
    from airflow.sdk import Variable, dag, task
    @dag(schedule=None)
    def churn():
        @task
        def train():
{body}
        train()
    churn()
"""


def proposal(files: dict[str, str], within: str = "") -> Proposal:
    return propose(
        RepositoryFiles.given({name: textwrap.dedent(text) for name, text in files.items()}), within
    )


def configured(found: Proposal) -> Configuration:
    configuration = parse(text_of(found), origin="harness.toml")
    assert configuration is not None
    return configuration


def reasons(found: Proposal) -> list[str]:
    return [reason for test in found.tests for reason in test.reasons]


def asking(*lines: str) -> dict[str, str]:
    """A DAG whose one task does this."""
    return {"dags/churn.py": TASK.format(body="\n".join(f"            {line}" for line in lines))}
