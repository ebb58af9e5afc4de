"""What the workers of one session tell the first process, in files: that they made a cluster, and which versions."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path

import pytest

SESSION = pytest.StashKey[str]()


def session_id(config: pytest.Config) -> str:
    """One name for the session, the same in each of pytest-xdist's workers."""
    workerinput = getattr(config, "workerinput", None)
    if workerinput is not None:
        return str(workerinput["harness_session"])
    return config.stash.setdefault(SESSION, secrets.token_hex(8))


def note(config: pytest.Config, namespace: str) -> None:
    """A version is made there."""
    with versions_file(config).open("a", encoding="utf-8") as file:
        file.write(f"{namespace}\n")


def made_cluster(config: pytest.Config, name: str) -> None:
    """The session makes this cluster."""
    cluster_file(config).write_text(name, encoding="utf-8")


def versions_file(config: pytest.Config) -> Path:
    """The namespaces of versions that the session made, one a line."""
    return Path(tempfile.gettempdir()) / f"harness-versions-of-{session_id(config)}"


def cluster_file(config: pytest.Config) -> Path:
    """The name of the cluster that the session made."""
    return Path(tempfile.gettempdir()) / f"harness-cluster-of-{session_id(config)}"
