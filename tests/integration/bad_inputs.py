"""Scratch repositories that are wrong in one way each, and what `harness` must say of them."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from git_repository import git, make

from harness.host import process, scratch

CHECKOUT = Path(__file__).parents[2]
# A cluster that nobody has: what is asserted must be found out without one.
NOBODYS = "bad-inputs-nobodys"

TOML = """\
[tests.tiny]
dag = "tiny"
"""


def lock() -> str:
    """One that is in order."""
    return (CHECKOUT / "dags/requirements.lock").read_text(encoding="utf-8")


def good() -> dict[str, str | bytes]:
    """The files of a repository in which nothing is wrong."""
    return {"harness.toml": TOML, "dags/tiny.py": "print('tiny')\n", "dags/requirements.lock": lock()}


@dataclass(frozen=True)
class Said:
    """What a command said, and with which exit code."""

    completed: process.Completed

    @property
    def text(self) -> str:
        return f"{self.completed.stdout}\n{self.completed.stderr}"

    def fails(self, exit_code: int, *words: str, hint: str) -> None:
        """Assert the exit code, a first line with all `words`, a hint with `hint`, and no traceback."""
        shown = f"exit {self.completed.returncode}\n{self.text}"
        lines = [line for line in self.text.splitlines() if line.strip()]
        assert self.completed.returncode == exit_code, shown
        assert lines[0].startswith(("error:", "cause:")), shown
        assert all(word in lines[0] for word in words), shown
        hints = [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]
        assert any(hint in each for each in hints), shown
        assert "Traceback" not in self.text, shown
        assert "a bug of harness" not in self.text, shown


@dataclass(frozen=True)
class Place:
    """A folder for repositories, with a cache and a state folder of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def repository(self, files: dict[str, str | bytes]) -> Path:
        return make(self.folder / "project", files)

    def run(self, cwd: Path, *arguments: str | Path, cluster: str = NOBODYS, **env: str) -> Said:
        """Run a command for a cluster, and assert that it left nothing behind."""
        return self.plain(cwd, *arguments, "--name", cluster, **env)

    def plain(self, cwd: Path, *arguments: str | Path, **env: str) -> Said:
        """Run a command as it is given, and assert that it left nothing behind."""
        before = _status(cwd)
        folders = {"HARNESS_CACHE_DIR": str(self.cache), "HARNESS_STATE_DIR": str(self.state)}
        plain = {"COLUMNS": "160", "NO_COLOR": "1", "GITHUB_ACTIONS": "", "GITHUB_STEP_SUMMARY": ""}
        environment = {**plain, **folders, **self.environment, **env}
        argv = [sys.executable, "-m", "harness", *arguments]
        completed = process.run(argv, cwd=cwd, env=environment, check=False, timeout_s=120)
        assert _status(cwd) == before
        assert _leftovers(self.cache) == []
        assert not [path for path in self.state.rglob("*") if path.is_file() and path.name != "harness.log"]
        assert not [path for path in self.state.rglob("*") if path.is_dir() and not any(path.iterdir())]
        assert _docker_objects() == []
        return Said(completed)


def _status(cwd: Path) -> str:
    """What git says of a repository, or the names in a folder that is none."""
    found = process.run(["git", "status", "--porcelain", "--ignored"], cwd=cwd, check=False)
    return found.stdout if found.returncode == 0 else " ".join(sorted(path.name for path in cwd.iterdir()))


def _leftovers(cache: Path) -> list[Path]:
    """Half-made things: what a build or a layer is called until it is whole."""
    marks = (".building", ".partial")
    return [
        path for path in cache.rglob("*") if path.name.endswith(marks) or path.name.startswith(scratch.PREFIX)
    ]


def _docker_objects() -> list[str]:
    """Containers and networks of the cluster that nobody has; empty where there is no Docker."""
    if shutil.which("docker") is None:
        return []
    found = []
    for kind in ("container", "network"):
        argv = ["docker", kind, "ls", "--filter", f"name={NOBODYS}", "--format", "{{.ID}}"]
        if kind == "container":
            argv.insert(3, "--all")
        found += process.run(argv, check=False).stdout.split()
    return found


def add_submodule(root: Path, folder: Path) -> None:
    """Give a repository a submodule below `dags`, and take its checkout away again."""
    make(folder, {"library.py": "ONE = 1\n"})
    git(root, "submodule", "add", str(folder), "dags/library")
    git(root, "commit", "--message=submodule")
    git(root, "submodule", "deinit", "--force", "dags/library")
