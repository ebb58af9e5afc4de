"""The GitHub workflow by which each pull request runs a repository's tests: five lines that call harness' own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from harness import __version__
from harness.init.findings import Finding
from harness.init.reading.repository_files import RepositoryFiles

WORKFLOW = ".github/workflows/harness.yml"
UNKNOWN = "your-org/harness"
_PACKAGE = "airflow-harness"
_GITHUB = re.compile(
    r"(?:https://|ssh://git@)github\.com/(?P<repository>[\w.-]+/[\w.-]+?)(?:\.git)?/?", re.ASCII
)
_CALLS = ("/.github/workflows/harness.yml@", "/.github/actions/harness@")


def offered(files: RepositoryFiles) -> Iterator[Finding]:
    """The lines with the command that writes them, where no workflow has them and nothing says that it isn't GitHub."""
    texts = [files.read_text(name) or "" for name in files.below(".github")]
    elsewhere = files.is_file(".gitlab-ci.yml") and not texts
    if not elsewhere and not any(call in text for text in texts for call in _CALLS):
        text = f"each can run these tests: harness init --workflow writes {WORKFLOW}"
        yield Finding("yours", "pull requests", text, add=_lines())


def workflow() -> str:
    """The whole file."""
    head = "# Written by `harness init --workflow`: yours to change; see docs/github-actions.md of airflow-harness.\n"
    return head + _lines()


def next_step() -> str:
    """What is left to a person once the file is there."""
    commit = f"git add {WORKFLOW}"
    if f"{UNKNOWN}/" not in _lines():
        return commit
    return f"in {WORKFLOW} put the repository of harness that your jobs may use in place of {UNKNOWN}, then {commit}"


def _lines() -> str:
    return f"""\
on: pull_request
permissions: {{ contents: read, pull-requests: write }}
jobs:
  dags:
    uses: {_called()}
"""


def _called() -> str:
    """Where this harness was installed from, at that commit, when pip noted a repository on GitHub (PEP 610)."""
    try:
        noted = json.loads(distribution(_PACKAGE).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        noted = {}
    found, commit = _GITHUB.fullmatch(noted.get("url", "")), noted.get("vcs_info", {}).get("commit_id")
    if found and commit:
        return f"{found['repository']}/{WORKFLOW}@{commit} # v{__version__}"
    return f"{UNKNOWN}/{WORKFLOW}@v{__version__}"
