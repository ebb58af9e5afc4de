"""[secrets] with real git and the real program: whose they are, and what is told when one is missing."""

from __future__ import annotations

import io
import json
import sysconfig
import tarfile
import time
from pathlib import Path

import git_repository
import pytest

from harness.engine import repro
from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.project import secrets
from harness.project.project import load

PROGRAM = Path(sysconfig.get_path("scripts")) / "harness"
GREEDY = '[secrets]\nfrom_env = ["AWS_SECRET_ACCESS_KEY"]\n[tests.tiny]\ndag = "tiny"\n'
MODEST = '[secrets]\nfrom_env = ["TOKEN_OF_TESTS"]\n[tests.tiny]\ndag = "tiny"\n'
CLIENT = {"AWS_SECRET_ACCESS_KEY": "of-the-client", "TOKEN_OF_TESTS": "meant-for-tests"}


@pytest.fixture
def root(tmp_path: Path, git_settings: Path) -> Path:
    """A branch `greedy` asks for a key of whoever tests it, and the working tree for a token."""
    made = git_repository.make(
        tmp_path / "project", {"harness.toml": MODEST, "dags/requirements.lock": "a==1\n"}
    )
    git_repository.git(made, "switch", "--create", "greedy")
    git_repository.write(made, {"harness.toml": GREEDY})
    git_repository.git(made, "commit", "--all", "--message=greedy")
    git_repository.git(made, "switch", "main")
    return made


def test_no_commit_names_what_the_client_has(root: Path) -> None:
    project = load(root)
    with project.commit("greedy") as greedy:
        asking = project.as_of(greedy)
    assert asking.configuration.secrets == project.configuration.secrets
    assert dict(secrets.read(asking, CLIENT).environment) == {"TOKEN_OF_TESTS": "meant-for-tests"}


def test_nor_does_a_bundle(root: Path, tmp_path: Path) -> None:
    request = {
        "format": 1, "commit": git_repository.git(root, "rev-parse", "HEAD"), "dirty": None, "tests": ["tiny"],
        "logical_dates": {}, "image_digest": None,
    }  # fmt: skip
    asked = {"secrets": {"from_env": ["AWS_SECRET_ACCESS_KEY"]}, "tests": {"tiny": {"dag": "tiny"}}}
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as archive:
        for name, document in ((repro.REQUEST, request), (repro.CONFIGURATION, asked)):
            data = json.dumps(document).encode()
            entry = tarfile.TarInfo(f"b/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    recipe = repro.read(tmp_path / "b.tar.gz", root)
    assert dict(secrets.read(recipe.project, CLIENT).environment) == {"TOKEN_OF_TESTS": "meant-for-tests"}


def test_a_file_of_variables_is_no_part_of_the_repository(root: Path) -> None:
    text = MODEST.replace("from_env", 'env_file = "conf/.env"\nfrom_env')
    git_repository.write(root, {"harness.toml": text, "conf/.env": "A='b c'\n# none\nB=${A}d\n"})
    found = secrets.read(load(root), CLIENT).environment
    assert dict(found) == {"TOKEN_OF_TESTS": "meant-for-tests", "A": "b c", "B": "b cd"}
    git_repository.git(root, "add", "--force", "conf/.env")
    with pytest.raises(HarnessError, match="is tracked by git") as caught:
        secrets.read(load(root), CLIENT)
    assert caught.value.cause is CauseCode.CONFIG_INVALID


@pytest.mark.parametrize("arguments", [("test",), ("test", "--ref", "greedy"), ("diff", "greedy")])
def test_a_missing_one_is_told_before_anything_is_asked_of_the_cluster(
    root: Path, arguments: tuple[str, ...]
) -> None:
    began_s = time.monotonic()
    env = {
        "TOKEN_OF_TESTS": "",
        "COLUMNS": "120",
        "NO_COLOR": "1",
        "DOCKER_HOST": "unix:///nonexistent/docker.sock",
    }
    done = process.run([PROGRAM, *arguments], cwd=root, env=env, check=False, timeout_s=60)
    assert done.returncode == 3, done.stderr + done.stdout
    assert "the environment variable TOKEN_OF_TESTS is not set" in done.stdout
    assert "hint: export TOKEN_OF_TESTS='…'" in done.stdout
    assert "AWS_SECRET_ACCESS_KEY" not in done.stdout + done.stderr
    assert time.monotonic() - began_s < 30, "three seconds on a machine that does nothing else"
