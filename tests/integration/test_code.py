"""The code layers of real repositories."""

from __future__ import annotations

import hashlib
import os
import random
import tarfile
from pathlib import Path

import pytest
from git_repository import git, make, write
from layers import contents, layers_of, refused

from harness.errors import CauseCode, HarnessError
from harness.host.git import ObjectReader
from harness.project.commit import Commit
from harness.project.image_settings import ImageSettings

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "project", {"dags/a.py": "a = 1\n", "dags/deep/b.csv": "b\n", "other/c.py": "c\n"})


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def commit_all(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--message=next")


def test_the_code_paths_alone_are_shipped(root: Path, store: Path) -> None:
    assert contents(layers_of(root, store)) == {
        "opt/airflow/dags/a.py": b"a = 1\n",
        "opt/airflow/dags/deep/b.csv": b"b\n",
    }
    both = ImageSettings(code=("other/c.py", "dags", "dags/deep"))
    assert set(contents(layers_of(root, store, settings=both))) == {
        "opt/airflow/dags/a.py",
        "opt/airflow/dags/deep/b.csv",
        "opt/airflow/other/c.py",
    }
    whole = contents(layers_of(root, store, settings=ImageSettings(code=(".",))))
    assert whole["opt/airflow/other/c.py"] == b"c\n"


def test_another_root_and_links_to_where_the_repository_has_a_folder(root: Path, store: Path) -> None:
    settings = ImageSettings(
        code=("dags", "other"),
        root="/usr/local/airflow",
        links={"data": "dags/deep", "a/b": "other", "/srv/team/data": "dags/deep", "/team": "."},
    )
    made = contents(layers_of(root, store, settings=settings))
    assert made["usr/local/airflow/dags/a.py"] == b"a = 1\n"
    assert made["usr/local/airflow/data"] == "dags/deep"
    assert made["usr/local/airflow/a/b"] == "../other"
    assert made["srv/team/data"] == "../../usr/local/airflow/dags/deep"
    assert made["team"] == "usr/local/airflow"
    assert not any(name.startswith("opt/") for name in made)
    plain = ImageSettings(code=("dags", "other"))
    assert "opt/airflow/data" not in contents(layers_of(root, store, settings=plain))


def test_files_that_a_version_would_hide_are_refused(root: Path, store: Path) -> None:
    write(root, {"logs/model.txt": "a model"})
    commit_all(root)
    error = refused(root, store, code=(".",))
    assert error.cause is CauseCode.CONFIG_INVALID
    assert "logs/model.txt would be hidden by the version's own artifacts and logs" in error.message


def test_links_and_executable_files(root: Path, store: Path) -> None:
    write(root, {"dags/run.sh": "#!/bin/sh\n"})
    (root / "dags" / "run.sh").chmod(0o755)
    (root / "dags" / "deep" / "up").symlink_to("../a.py")
    (root / "dags" / "folder").symlink_to("deep")
    commit_all(root)
    layers = layers_of(root, store)
    found = contents(layers)
    assert found["opt/airflow/dags/deep/up"] == "../a.py"
    assert found["opt/airflow/dags/folder"] == "deep"
    modes = {}
    for layer in layers:
        with tarfile.open(layer.path) as read:
            modes |= {info.name: (oct(info.mode), info.uid, info.gid) for info in read.getmembers()}
    assert modes["opt/airflow/dags/run.sh"] == ("0o775", 50000, 0)
    assert modes["opt/airflow/dags/a.py"] == ("0o664", 50000, 0)
    assert modes["opt/airflow"] == modes["opt/airflow/dags"] == ("0o775", 50000, 0), "tasks may write there"
    assert modes["opt"] == ("0o755", 0, 0)


@pytest.mark.parametrize("target", ["/etc/hostname", "../other/c.py", "../../outside"])
def test_links_that_leave_the_code_are_refused(target: str, root: Path, store: Path) -> None:
    (root / "dags" / "link").symlink_to(target)
    commit_all(root)
    error = refused(root, store)
    assert error.cause is CauseCode.CODE_INCOMPLETE
    assert "dags/link" in error.message


def test_a_missing_path_names_near_ones(root: Path, store: Path) -> None:
    error = refused(root, store, code=("dag",))
    assert error.cause is CauseCode.CODE_NOT_FOUND
    assert git(root, "rev-parse", "HEAD")[:12] in error.message
    assert "`dags`" in error.hint
    write(root, {"plugins/p.py": "p\n"})
    assert refused(root, store, code=("plugins",)).hint == "git add plugins && git commit"
    (root / ".gitignore").write_text("plugins\n")
    assert "check-ignore" in refused(root, store, None, code=("plugins",)).hint


class TestSameEverywhere:
    def test_in_another_clone_and_store(self, root: Path, tmp_path: Path) -> None:
        git(tmp_path, "clone", str(root), "clone")
        old_mask = os.umask(0o077)
        try:
            second = layers_of(tmp_path / "clone", tmp_path / "second")
        finally:
            os.umask(old_mask)
        first = layers_of(root, tmp_path / "first")
        assert [layer.digest for layer in first] == [layer.digest for layer in second]

    def test_as_working_tree_and_as_commit(self, root: Path, tmp_path: Path) -> None:
        write(root, {"dags/a.py": "a = 2\n", "dags/new.py": "new\n"})
        before = layers_of(root, tmp_path / "first", None)
        commit_all(root)
        after = layers_of(root, tmp_path / "second")
        assert [layer.digest for layer in before] == [layer.digest for layer in after]

    def test_under_both_object_formats(self, tmp_path: Path) -> None:
        files: dict[str, str | bytes] = {"dags/a.py": "a\n"}
        digests = {
            layers_of(make(tmp_path / name, files, f"--object-format={name}"), tmp_path / "store" / name)[
                0
            ].digest
            for name in ("sha1", "sha256")
        }
        assert len(digests) == 1


class TestMadeOnce:
    def test_nothing_is_read_the_second_time(
        self, root: Path, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = layers_of(root, store)
        monkeypatch.setattr(ObjectReader, "read", None)
        monkeypatch.setattr(Commit, "files", None)
        assert layers_of(root, store) == first
        git(root, "commit", "--allow-empty", "--message=same code")
        assert layers_of(root, store) == first

    def test_a_lost_layer_is_made_again(self, root: Path, store: Path) -> None:
        first = layers_of(root, store)
        first[0].path.unlink()
        assert layers_of(root, store) == first
        assert first[0].path.stat().st_size == first[0].size_bytes

    @pytest.mark.parametrize("kind", ["one large file", "many small files"])
    def test_a_changed_line_makes_a_small_layer(self, kind: str, root: Path, store: Path) -> None:
        content = random.Random(7).randbytes(20 << 20)
        if kind == "one large file":
            write(root, {"dags/data/model.bin": content})
        else:
            size = len(content) // 500
            write(root, {f"dags/data/{n}.txt": content[n * size : (n + 1) * size] for n in range(500)})
        commit_all(root)
        first = layers_of(root, store)
        write(root, {"dags/a.py": "a = 2\n"})
        changed = layers_of(root, store, None)
        new = [layer for layer in changed if layer.digest not in {old.digest for old in first}]
        assert len(new) == 1
        assert new[0].size_bytes < 100_000
        assert contents(changed)["opt/airflow/dags/a.py"] == b"a = 2\n"
        assert contents(changed) == {**contents(first), "opt/airflow/dags/a.py": b"a = 2\n"}


class TestLargeFiles:
    CONTENT = b"weights" * 1000
    DIGEST = hashlib.sha256(CONTENT).hexdigest()

    @pytest.fixture
    def pointed(self, root: Path) -> Path:
        about = f"oid sha256:{self.DIGEST}\nsize {len(self.CONTENT)}\n"
        write(root, {"dags/model.bin": "version https://git-lfs.github.com/spec/v1\n" + about})
        commit_all(root)
        return root

    def keep(self, root: Path, content: bytes, place: str = ".git/lfs") -> None:
        write(root, {f"{place}/objects/{self.DIGEST[:2]}/{self.DIGEST[2:4]}/{self.DIGEST}": content})

    def test_what_is_here_is_shipped(self, pointed: Path, store: Path) -> None:
        self.keep(pointed, self.CONTENT)
        assert contents(layers_of(pointed, store))["opt/airflow/dags/model.bin"] == self.CONTENT

    def test_from_a_store_elsewhere(self, pointed: Path, store: Path, tmp_path: Path) -> None:
        git(pointed, "config", "lfs.storage", str(tmp_path / "large"))
        self.keep(tmp_path, self.CONTENT, "large")
        assert contents(layers_of(pointed, store))["opt/airflow/dags/model.bin"] == self.CONTENT

    def test_what_is_not_here_is_refused(self, pointed: Path, store: Path) -> None:
        error = refused(pointed, store)
        assert error.cause is CauseCode.CODE_INCOMPLETE
        assert "dags/model.bin" in error.message
        assert error.hint == f"git lfs fetch origin {git(pointed, 'rev-parse', 'HEAD')}"
        write(pointed, {"dags/a.py": "a = 2\n"})
        assert refused(pointed, store, None).hint == "git lfs pull"

    @pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:-1] + b"X"])
    def test_what_is_damaged_is_refused(self, content: bytes, pointed: Path, store: Path) -> None:
        self.keep(pointed, content)
        error = refused(pointed, store)
        assert error.cause is CauseCode.CODE_INCOMPLETE
        assert not list(store.glob("*.tar"))

    def test_text_about_pointers_is_no_pointer(self, root: Path, store: Path) -> None:
        text = "# see version https://git-lfs.github.com/spec/v1\n" * 4
        write(root, {"dags/a.py": text})
        assert contents(layers_of(root, store, None))["opt/airflow/dags/a.py"] == text.encode()


class TestSubmodules:
    @pytest.fixture
    def nested(self, root: Path, tmp_path: Path) -> Path:
        make(tmp_path / "library", {"l.py": "l = 1\n", "sub/m.py": "m\n"})
        git(root, "submodule", "add", str(tmp_path / "library"), "dags/library")
        commit_all(root)
        return root

    def test_their_files_are_shipped(self, nested: Path, store: Path) -> None:
        for ref in ("HEAD", None):
            found = contents(layers_of(nested, store, ref))
            assert found["opt/airflow/dags/library/l.py"] == b"l = 1\n"
            assert found["opt/airflow/dags/library/sub/m.py"] == b"m\n"

    def test_as_a_code_path(self, nested: Path, store: Path) -> None:
        found = contents(layers_of(nested, store, settings=ImageSettings(code=("dags/library",))))
        assert set(found) == {"opt/airflow/dags/library/l.py", "opt/airflow/dags/library/sub/m.py"}
        assert "as a whole" in refused_path(nested, store, "dags/library/sub").hint

    def test_the_recorded_commit_counts(self, nested: Path, store: Path) -> None:
        library = nested / "dags" / "library"
        write(library, {"l.py": "l = 2\n"})
        git(library, "commit", "--all", "--message=second")
        assert contents(layers_of(nested, store))["opt/airflow/dags/library/l.py"] == b"l = 1\n"
        assert contents(layers_of(nested, store, None))["opt/airflow/dags/library/l.py"] == b"l = 2\n"

    def test_not_checked_out(self, nested: Path, store: Path, tmp_path: Path) -> None:
        git(tmp_path, "clone", str(nested), "clone")
        for ref in ("HEAD", None):
            error = refused(tmp_path / "clone", store, ref)
            assert error.cause is CauseCode.CODE_INCOMPLETE
            assert error.hint == "git submodule update --init dags/library"

    def test_one_in_another(self, root: Path, store: Path, tmp_path: Path) -> None:
        make(tmp_path / "inner", {"i.py": "i\n"})
        library = make(tmp_path / "library", {"l.py": "l = 1\n"})
        git(library, "submodule", "add", str(tmp_path / "inner"), "inner")
        git(library, "commit", "--message=inner")
        git(root, "submodule", "add", str(library), "dags/library")
        commit_all(root)
        error = refused(root, store)
        assert "dags/library/inner is not checked out" in error.message
        git(root, *error.hint.removeprefix("git ").split())
        assert contents(layers_of(root, store))["opt/airflow/dags/library/inner/i.py"] == b"i\n"

    def test_an_older_commit_has_the_files_of_its_time(self, nested: Path, store: Path) -> None:
        library = nested / "dags" / "library"
        write(library, {"l.py": "l = 2\n"})
        git(library, "commit", "--all", "--message=second")
        commit_all(nested)
        assert contents(layers_of(nested, store, "HEAD~1"))["opt/airflow/dags/library/l.py"] == b"l = 1\n"
        assert contents(layers_of(nested, store))["opt/airflow/dags/library/l.py"] == b"l = 2\n"

    def test_without_the_recorded_commit(self, nested: Path, store: Path) -> None:
        missing = "1" * 40
        git(nested, "update-index", "--cacheinfo", f"160000,{missing},dags/library")
        git(nested, "commit", "--message=ahead")
        error = refused(nested, store)
        assert error.cause is CauseCode.CODE_INCOMPLETE
        assert missing in error.hint

    def test_changes_that_no_commit_holds(self, nested: Path, store: Path) -> None:
        assert layers_of(nested, store, None)
        write(nested / "dags" / "library", {"l.py": "l = 3\n"})
        with pytest.raises(HarnessError, match="changes that no commit holds"):
            layers_of(nested, store, None)
        assert layers_of(nested, store, "HEAD")


def refused_path(root: Path, store: Path, path: str) -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        layers_of(root, store, settings=ImageSettings(code=(path,)))
    assert caught.value.cause is CauseCode.CODE_NOT_FOUND
    return caught.value
