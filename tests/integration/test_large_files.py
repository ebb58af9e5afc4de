"""Git LFS itself, and submodules that use it: every version ships the content, or nothing and a hint that helps."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from git_repository import git, isolate, make, write
from layers import contents, layers_of, refused

from harness.errors import CauseCode
from harness.host import cache, process

FIRST, SECOND, CHANGED = (bytes([number]) * 5000 for number in (1, 2, 3))
MODEL = "opt/airflow/dags/model.bin"


@pytest.fixture(scope="session")
def git_lfs() -> Path:
    """The program's folder: the one on PATH, else Debian's package unpacked into the cache."""
    found = shutil.which("git-lfs")
    if found is not None:
        return Path(found).parent
    if shutil.which("apt-get") is None:
        pytest.fail("git-lfs is missing: https://git-lfs.com", pytrace=False)

    def unpack(folder: Path) -> None:
        process.run(["apt-get", "download", "--quiet", "git-lfs"], cwd=folder, timeout_s=120)
        (package,) = folder.glob("*.deb")
        process.run(["dpkg-deb", "--extract", package, folder])

    return cache.obtain("git-lfs", "debian", unpack) / "usr/bin"


@pytest.fixture(autouse=True)
def _isolated(git_lfs: Path, git_settings: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", f"{git_lfs}{os.pathsep}{os.environ['PATH']}")
    git(tmp_path, "config", "--global", "protocol.file.allow", "always")
    git(tmp_path, "lfs", "install", "--skip-repo")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with two commits of a large file, pushed with their contents."""
    return pushed(tmp_path, "project")


def pushed(folder: Path, name: str) -> Path:
    made = make(
        folder / name,
        {"dags/a.py": "a = 1\n", ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"},
    )
    for content in (FIRST, SECOND):
        write(made, {"dags/model.bin": content})
        git(made, "add", "--all")
        git(made, "commit", "--message=model")
    git(folder, "init", "--bare", f"{name}.git")
    git(made, "remote", "add", "origin", f"file://{folder / name}.git")
    git(made, "push", "--quiet", "origin", "main")
    assert b"git-lfs" in git(made, "cat-file", "blob", "HEAD:dags/model.bin").encode(), "git-lfs did not work"
    return made


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Path:
    """A clone as a CI job has it that did not ask for large files: pointers in the working tree."""
    git(tmp_path, "clone", "--quiet", f"file://{root}.git", "clone", GIT_LFS_SKIP_SMUDGE="1")
    assert (tmp_path / "clone/dags/model.bin").stat().st_size < 200
    return tmp_path / "clone"


@pytest.mark.parametrize(("ref", "content"), [("HEAD", SECOND), ("HEAD~1", FIRST), (None, SECOND)])
def test_the_content_is_shipped(ref: str | None, content: bytes, root: Path, store: Path) -> None:
    assert contents(layers_of(root, store, ref))[MODEL] == content


def test_of_a_changed_working_tree_too(root: Path, store: Path) -> None:
    write(root, {"dags/model.bin": CHANGED})
    before = git(root, "status", "--porcelain")
    assert contents(layers_of(root, store, None))[MODEL] == CHANGED
    assert contents(layers_of(root, store, "HEAD"))[MODEL] == SECOND
    assert git(root, "status", "--porcelain") == before == "M dags/model.bin"


@pytest.mark.parametrize("ref", ["HEAD", "HEAD~1", None])
def test_a_pointer_alone_is_refused_until_the_hint_is_followed(
    ref: str | None, clone: Path, store: Path
) -> None:
    if ref is None:
        write(clone, {"dags/a.py": "a = 2\n"})
    error = refused(clone, store, ref)
    assert error.cause is CauseCode.CODE_INCOMPLETE
    assert "dags/model.bin" in error.message
    git(clone, *error.hint.removeprefix("git ").split())
    assert contents(layers_of(clone, store, ref))[MODEL] == (FIRST if ref == "HEAD~1" else SECOND)


def test_without_git_lfs_set_up_it_is_refused_too(clone: Path, store: Path, git_settings: Path) -> None:
    isolate(git_settings)
    write(clone, {"dags/a.py": "a = 2\n"})
    for ref in ("HEAD", None):
        assert refused(clone, store, ref).cause is CauseCode.CODE_INCOMPLETE


def test_inside_a_submodule(root: Path, store: Path, tmp_path: Path) -> None:
    outer = make(tmp_path / "outer", {"dags/b.py": "b\n"})
    git(outer, "submodule", "add", "--quiet", f"file://{root}.git", "dags/library")
    git(outer, "commit", "--message=submodule")
    place = "opt/airflow/dags/library/dags/model.bin"
    for ref in ("HEAD", None):
        assert contents(layers_of(outer, store, ref))[place] == SECOND
    library = outer / "dags/library"
    shutil.rmtree(Path(git(library, "rev-parse", "--absolute-git-dir")) / "lfs")
    error = refused(outer, tmp_path / "another-store")
    assert error.cause is CauseCode.CODE_INCOMPLETE
    assert "dags/library/dags/model.bin" in error.message
    git(outer, *error.hint.removeprefix("git ").split())
    assert contents(layers_of(outer, tmp_path / "another-store"))[place] == SECOND
