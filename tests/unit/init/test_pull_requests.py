"""The workflow that `harness init` offers: where it is offered, and what it calls."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from harness import __version__
from harness.init import pull_requests
from harness.init.reading.repository_files import RepositoryFiles

DOCS = Path(__file__).parents[3] / "docs/github-actions.md"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def noted(monkeypatch: pytest.MonkeyPatch, found: dict[str, Any] | None) -> None:
    """What pip noted of where harness came from."""
    text = None if found is None else json.dumps(found)
    monkeypatch.setattr(
        pull_requests, "distribution", lambda _: SimpleNamespace(read_text=lambda _name: text)
    )


def called() -> str:
    return str(yaml.safe_load(pull_requests.workflow())["jobs"]["dags"]["uses"])


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/harness.git",
        "https://github.com/acme/harness",
        "ssh://git@github.com/acme/harness.git",
    ],
)
def test_it_calls_the_commit_that_was_installed(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    noted(monkeypatch, {"url": url, "vcs_info": {"vcs": "git", "commit_id": COMMIT}})
    assert called() == f"acme/harness/.github/workflows/harness.yml@{COMMIT}"
    assert pull_requests.next_step() == "git add .github/workflows/harness.yml"


@pytest.mark.parametrize(
    "found",
    [
        None,
        {"url": "file:///home/ann/harness", "dir_info": {"editable": True}},
        {"url": "https://gitlab.example/acme/harness", "vcs_info": {"vcs": "git", "commit_id": COMMIT}},
        {"url": "https://github.com/acme/harness/releases/x.whl", "archive_info": {}},
    ],
)
def test_where_nobody_knows_the_docs_lines_stand(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, Any] | None
) -> None:
    noted(monkeypatch, found)
    assert called() == f"your-org/harness/.github/workflows/harness.yml@v{__version__}"
    assert "your-org/harness" in pull_requests.next_step()
    (lines,) = (each.add for each in pull_requests.offered(RepositoryFiles.given({})))
    assert f"```yaml\n{lines}```" in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("files", "is_offered"),
    [
        ({}, True),
        ({".github/workflows/ci.yml": "on: push"}, True),
        ({".github/workflows/ci.yml": "uses: acme/harness/.github/actions/harness@v1"}, False),
        ({".github/workflows/a.yaml": "uses: acme/harness/.github/workflows/harness.yml@v1"}, False),
        ({".gitlab-ci.yml": "test: {}"}, False),
        ({".gitlab-ci.yml": "test: {}", ".github/workflows/ci.yml": "on: push"}, True),
    ],
)
def test_it_is_offered_where_it_is_of_use(files: dict[str, str], is_offered: bool) -> None:
    assert bool(list(pull_requests.offered(RepositoryFiles.given(files)))) is is_offered
