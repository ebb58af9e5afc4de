"""Makes real git repositories for tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

DATE = "2024-05-06T07:08:09+02:00"


def isolate(config: Path) -> dict[str, str]:
    """The environment under which the user's own git settings do not count."""
    config.write_text(
        "[user]\n\tname = Tester\n\temail = tester@example.com\n[init]\n\tdefaultBranch = main\n"
    )
    return {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_NOSYSTEM": "1"}


def git(root: Path, *arguments: str, **env: str) -> str:
    return subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *arguments],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **env},
    ).stdout.strip()


def write(root: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def make(root: Path, files: dict[str, str | bytes], *options: str) -> Path:
    root.mkdir(parents=True)
    git(root, "init", "--initial-branch=main", *options)
    write(root, files)
    git(root, "add", "--all")
    git(root, "commit", "--message=first", GIT_COMMITTER_DATE=DATE)
    return root
