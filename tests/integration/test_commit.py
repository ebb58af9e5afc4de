"""Refs and working trees of real repositories."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from git_repository import git, make, write

from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.project.commit import WORKING_TREE, Repository


def state(root: Path) -> dict[str, object]:
    """All that a look at the working tree must leave as it was."""
    directory = Path(git(root, "rev-parse", "--absolute-git-dir"))
    index = directory / "index"
    seen = {
        "index": (index.read_bytes(), index.stat().st_mtime_ns),
        "objects": sorted(str(path) for path in directory.joinpath("objects").rglob("*")),
        "files": sorted(str(path) for path in directory.rglob("*") if "objects" not in path.parts),
        "times": {str(path): path.stat().st_mtime_ns for path in root.rglob("*") if ".git" not in path.parts},
    }
    return {**seen, "status": git(root, "--no-optional-locks", "status", "--porcelain")}


pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(
        tmp_path / "project", {"dags/a.py": "a = 1\n", "dags/deep/b.txt": "b\n", ".gitignore": "*.log\n"}
    )


@pytest.fixture(autouse=True)
def in_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(variable, raising=False)


def failing(code: CauseCode, repository: Repository, ref: str) -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        repository.commit(ref)
    assert caught.value.cause is code
    return caught.value


class TestFind:
    def test_from_a_folder_or_a_file_below_the_root(self, root: Path) -> None:
        assert Repository.find(root / "dags" / "deep").root == root
        assert Repository.find(root / "dags" / "a.py").root == root

    def test_in_a_worktree(self, root: Path, tmp_path: Path) -> None:
        git(root, "worktree", "add", str(tmp_path / "other"), "-b", "side")
        found = Repository.find(tmp_path / "other" / "dags")
        assert found.root == tmp_path / "other"
        write(found.root, {"dags/a.py": "a = 2\n"})
        with found.commit() as commit:
            assert commit.dirty
            assert commit.read("dags/a.py") == b"a = 2\n"

    def test_outside_of_any(self, tmp_path: Path) -> None:
        with pytest.raises(HarnessError) as caught:
            Repository.find(tmp_path)
        assert caught.value.cause is CauseCode.NOT_A_REPOSITORY
        assert "git init && git add" in caught.value.hint

    def test_a_bare_one_is_refused(self, root: Path, tmp_path: Path) -> None:
        git(root, "clone", "--bare", ".", str(tmp_path / "bare.git"))
        with pytest.raises(HarnessError, match="bare") as caught:
            Repository.find(tmp_path / "bare.git")
        assert caught.value.cause is CauseCode.NOT_A_REPOSITORY

    def test_a_root_with_odd_characters(self, tmp_path: Path) -> None:
        odd = make(tmp_path / 'a "b": c;d\'é', {"x.py": "1\n"})
        write(odd, {"x.py": "2\n"})
        with Repository.find(odd).commit() as commit:
            assert commit.read("x.py") == b"2\n"

    def test_without_git(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(HarnessError) as caught:
            Repository.find(root)
        assert caught.value.cause is CauseCode.TOOL_MISSING

    def test_somebody_elses(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch for its tests
        with pytest.raises(HarnessError, match="dubious ownership") as caught:
            Repository.find(root)
        assert caught.value.cause is CauseCode.NOT_A_REPOSITORY
        assert caught.value.hint == f"git config --global --add safe.directory {root}"


class TestRefs:
    def test_a_commit(self, root: Path) -> None:
        git(root, "tag", "--annotate", "v1", "--message=v1")
        sha = git(root, "rev-parse", "HEAD")
        repository = Repository.find(root)
        for ref in ("main", "v1", "HEAD", sha, sha[:8], "refs/heads/main"):
            with repository.commit(ref) as commit:
                assert (commit.sha, commit.ref, commit.dirty) == (sha, ref, None)
                assert commit.tag == sha[:12]
                assert commit.tree == git(root, "rev-parse", "HEAD^{tree}")
                assert commit.date == datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC)

    @pytest.mark.parametrize(
        "ref", ["", " ", "-x", "--upload-pack=touch /tmp/x", "a\nb", "a\0b", "a\x7f", "x" * 251, "\udcff"]
    )
    def test_hostile_ones_never_reach_git(
        self, root: Path, ref: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository = Repository.find(root)
        monkeypatch.setenv("PATH", "/nowhere")
        assert failing(CauseCode.REF_NOT_FOUND, repository, ref).exit_code == 2
        assert repository.is_branch(ref) is False

    def test_an_unknown_one_names_near_ones(self, root: Path) -> None:
        git(root, "branch", "feature/model-v2")
        error = failing(CauseCode.REF_NOT_FOUND, Repository.find(root), "feature/modelv2")
        assert "`feature/model-v2`" in error.hint

    def test_a_remotes_branch_is_offered(self, root: Path, tmp_path: Path) -> None:
        git(root, "branch", "side")
        git(root, "clone", ".", str(tmp_path / "clone"))
        error = failing(CauseCode.REF_NOT_FOUND, Repository.find(tmp_path / "clone"), "side")
        assert "`origin/side`" in error.hint

    def test_a_tag_of_a_file_is_no_commit(self, root: Path) -> None:
        git(root, "tag", "blob", git(root, "rev-parse", "HEAD:dags/a.py"))
        failing(CauseCode.REF_NOT_FOUND, Repository.find(root), "blob")

    def test_no_commits_yet(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "new")
        repository = Repository.find(tmp_path / "new")
        for ref in (None, "HEAD", "main"):
            with pytest.raises(HarnessError, match="no commits yet") as caught:
                repository.commit(ref)
            assert "git commit" in caught.value.hint

    def test_a_lost_commit_is_no_absent_one(self, root: Path) -> None:
        sha = git(root, "rev-parse", "HEAD")
        (root / ".git" / "objects" / sha[:2] / sha[2:]).unlink()
        for ref in ("HEAD", "main"):
            error = failing(CauseCode.CODE_INCOMPLETE, Repository.find(root), ref)
            assert f"`{ref}` is commit {sha[:12]}, which {root} has lost" in error.message
            assert "git fsck" in error.hint
        failing(CauseCode.REF_NOT_FOUND, Repository.find(root), sha)  # nobody knows that it ever was one

    @pytest.mark.parametrize(
        ("seconds", "year"),
        [("99999999999999", None), ("9" * 20, None), ("-5", None), ("1e3", None), ("0", 1970)],
    )
    def test_a_date_that_no_calendar_has(self, root: Path, seconds: str, year: int | None) -> None:
        tree = git(root, "rev-parse", "HEAD^{tree}")
        text = f"tree {tree}\nauthor x <x> {seconds} +0000\ncommitter x <x> {seconds} +0000\n\nx\n"
        write(root, {"raw": text})
        sha = git(root, "hash-object", "-w", "-t", "commit", "--literally", "raw")
        with Repository.find(root).commit(sha) as commit:
            assert (commit.date and commit.date.year) == year
            assert commit.read("dags/a.py") == b"a = 1\n"

    def test_a_shallow_clone(self, root: Path, tmp_path: Path) -> None:
        first = git(root, "rev-parse", "HEAD")
        write(root, {"dags/a.py": "a = 3\n"})
        git(root, "commit", "--all", "--message=second")
        git(tmp_path, "clone", "--depth=1", f"file://{root}", "shallow")
        repository = Repository.find(tmp_path / "shallow")
        hint = failing(CauseCode.REF_NOT_FOUND, repository, first).hint
        assert hint.startswith("the clone is shallow: ")
        assert hint.endswith("git fetch --unshallow")
        with repository.commit("HEAD") as commit:
            assert commit.read("dags/a.py") == b"a = 3\n"

    @pytest.mark.parametrize("ref", ["main", "origin/main"])
    def test_the_base_that_a_shallow_clone_lacks_is_there_after_the_hint(
        self, root: Path, tmp_path: Path, ref: str
    ) -> None:
        main = git(root, "rev-parse", "main")
        git(root, "switch", "--create", "feature")
        write(root, {"dags/a.py": "a = 3\n"})
        git(root, "commit", "--all", "--message=second")
        git(tmp_path, "clone", "--depth=1", f"file://{root}", "shallow")
        shallow = tmp_path / "shallow"
        command = failing(CauseCode.REF_NOT_FOUND, Repository.find(shallow), ref).hint.partition(": ")[2]
        process.run(["sh", "-c", command], cwd=shallow)
        assert Repository.find(shallow).merge_base("origin/main", "HEAD") == main

    def test_histories_that_were_cut_off_are_joined_by_the_hint(self, root: Path, tmp_path: Path) -> None:
        main = git(root, "rev-parse", "main")
        git(root, "switch", "--create", "feature")
        for number in range(2):
            write(root, {"dags/a.py": f"b = {number}\n"})
            git(root, "commit", "--all", "--message=more")
        git(tmp_path, "clone", "--depth=1", "--no-single-branch", f"file://{root}", "shallow")
        repository = Repository.find(tmp_path / "shallow")
        with pytest.raises(HarnessError, match="no common commit in this shallow clone") as raised:
            repository.merge_base("origin/main", "HEAD")
        assert raised.value.hint == "git fetch --unshallow"
        process.run(["sh", "-c", raised.value.hint], cwd=tmp_path / "shallow")
        assert repository.merge_base("origin/main", "HEAD") == main

    @pytest.mark.parametrize(
        ("variable", "line"), [("GITHUB_ACTIONS", "`fetch-depth: 0`"), ("GITLAB_CI", '`GIT_DEPTH: "0"`')]
    )
    def test_in_a_job_the_line_to_add_is_told(
        self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, line: str
    ) -> None:
        git(tmp_path, "clone", "--depth=1", f"file://{root}", "shallow")
        monkeypatch.setenv(variable, "true")
        assert line in failing(CauseCode.REF_NOT_FOUND, Repository.find(tmp_path / "shallow"), "v1").hint

    def test_sha256_repositories(self, tmp_path: Path) -> None:
        root = make(tmp_path / "modern", {"a.py": "1\n"}, "--object-format=sha256")
        with Repository.find(root).commit("main") as commit:
            assert len(commit.sha) == len(commit.tree) == 64
            assert len(commit.tag) == 12
            assert commit.read("a.py") == b"1\n"

    def test_replaced_objects_do_not_count(self, root: Path) -> None:
        write(root, {"other": "other\n"})
        git(
            root, "replace", git(root, "rev-parse", "HEAD:dags/a.py"), git(root, "hash-object", "-w", "other")
        )
        with Repository.find(root).commit("HEAD") as commit:
            assert commit.read("dags/a.py") == b"a = 1\n"

    def test_merge_base_and_branches(self, root: Path) -> None:
        base = git(root, "rev-parse", "HEAD")
        git(root, "checkout", "-b", "side")
        git(root, "commit", "--allow-empty", "--message=side")
        git(root, "checkout", "main")
        git(root, "commit", "--allow-empty", "--message=main")
        git(root, "checkout", "--orphan", "alone")
        git(root, "commit", "--message=alone")
        repository = Repository.find(root)
        assert repository.merge_base("main", "side") == base
        with pytest.raises(HarnessError, match="no common commit"):
            repository.merge_base("main", "alone")
        assert repository.is_branch("side")
        assert not repository.is_branch(base)
        assert not repository.is_branch("HEAD")


class TestFiles:
    def test_listing_and_reading(self, root: Path) -> None:
        (root / "dags" / "run.sh").write_text("#!/bin/sh\n")
        (root / "dags" / "run.sh").chmod(0o755)
        write(root, {"dags/é ü\n\t.txt": "odd", "big": b"\0" * (9 << 20)})
        (root / "link").symlink_to("dags/deep/b.txt")
        git(root, "add", "--all")
        git(root, "commit", "--message=second")
        with Repository.find(root / "dags").commit("HEAD") as commit:
            entries = {entry.path: entry for entry in commit.files(["dags", "link"])}
            assert set(entries) == {"dags/a.py", "dags/deep/b.txt", "dags/run.sh", "dags/é ü\n\t.txt", "link"}
            assert entries["dags/run.sh"].mode == "100755"
            assert entries["dags/a.py"].size_bytes == 6
            assert commit.read("dags/é ü\n\t.txt") == b"odd"
            assert commit.read("link") == b"b\n"
            assert commit.read("dags") is None
            assert commit.read("dags/none") is None
            assert commit.read("../project/big") is None
            big = commit.entry("big")
            assert big is not None
            chunks = list(commit.objects.chunks(big.object_id, big.size_bytes))
            assert b"".join(chunks) == b"\0" * (9 << 20)
            assert max(map(len, chunks)) <= 1 << 20
            top = commit.entry(".")
            assert top is not None
            assert top.object_id == commit.tree

    def test_a_partial_clone_fetches_what_it_lacks(self, root: Path, tmp_path: Path) -> None:
        git(root, "config", "uploadpack.allowFilter", "true")
        git(root, "config", "uploadpack.allowAnySHA1InWant", "true")
        write(root, {"dags/a.py": "a = 2\n"})
        git(root, "commit", "--all", "--message=second")
        git(tmp_path, "clone", "--filter=blob:none", f"file://{root}", "partial")
        repository = Repository.find(tmp_path / "partial")
        with repository.commit("HEAD~1") as commit:
            assert commit.read("dags/a.py") == b"a = 1\n"
            assert {entry.path: entry.size_bytes for entry in commit.files(["dags"])}["dags/a.py"] == 6
        write(repository.root, {"dags/a.py": "a = 3\n"})
        with repository.commit() as commit:
            assert commit.read("dags/a.py") == b"a = 3\n"

    def test_a_lost_object(self, root: Path) -> None:
        blob = git(root, "rev-parse", "HEAD:dags/a.py")
        (root / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
        with Repository.find(root).commit("HEAD") as commit:
            with pytest.raises(HarnessError) as caught:
                commit.read("dags/a.py")
            assert caught.value.cause is CauseCode.CODE_INCOMPLETE
            assert commit.read("dags/deep/b.txt") == b"b\n"

    def test_a_lost_tree(self, root: Path) -> None:
        tree = git(root, "rev-parse", "HEAD^{tree}")
        (root / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
        with Repository.find(root).commit("HEAD") as commit, pytest.raises(HarnessError) as caught:
            commit.read("dags/a.py")
        assert caught.value.cause is CauseCode.CODE_INCOMPLETE
        assert caught.value.hint == f"git -C {root} fsck"


class TestWorkingTree:
    def test_a_damaged_index(self, root: Path) -> None:
        (root / ".git" / "index").write_text("x")
        with pytest.raises(HarnessError, match="index file smaller than expected") as caught:
            Repository.find(root).commit()
        assert caught.value.cause is CauseCode.CODE_INCOMPLETE
        (command, _, _) = caught.value.hint.partition("; then git fsck")
        subprocess.run(["sh", "-c", command], check=True, capture_output=True)
        with Repository.find(root).commit() as commit:
            assert commit.dirty is None

    def test_a_clean_one(self, root: Path) -> None:
        before = state(root)
        with Repository.find(root).commit(paths=["dags", "harness.toml"]) as commit:
            assert commit.dirty is None
            assert commit.ref == WORKING_TREE
            assert commit.tag == commit.sha[:12]
        assert state(root) == before

    def test_a_changed_one(self, root: Path) -> None:
        write(root, {"dags/a.py": "a = 2\n", "dags/new.py": "new\n", "dags/x.log": "", "elsewhere.txt": ""})
        (root / "dags" / "deep" / "b.txt").unlink()
        before = state(root)
        with Repository.find(root).commit(paths=["dags", "none.toml"]) as commit:
            assert [entry.path for entry in commit.files()] == [".gitignore", "dags/a.py", "dags/new.py"]
            assert commit.read("dags/a.py") == b"a = 2\n"
            assert commit.read("dags/new.py") == b"new\n"
            assert commit.tag == f"{commit.sha[:12]}-dirty-{commit.dirty}"
            assert len(commit.dirty or "") == 8
        assert state(root) == before

    def test_the_digest_follows_the_content_alone(self, root: Path, tmp_path: Path) -> None:
        git(root, "clone", ".", str(tmp_path / "clone"))
        found = []
        for checkout, content in ((root, "2"), (tmp_path / "clone", "2"), (root, "3")):
            write(checkout, {"dags/a.py": content})
            with Repository.find(checkout).commit() as commit:
                found.append(commit.tag)
        assert found[0] == found[1] != found[2]

    def test_untracked_files_count_below_the_paths_alone(self, root: Path) -> None:
        write(root, {"elsewhere.txt": "x"})
        with Repository.find(root).commit(paths=["dags"]) as commit:
            assert commit.dirty is None

    def test_a_change_in_the_tick_of_the_index(self, root: Path) -> None:
        git(root, "config", "core.trustctime", "false")
        tick = (1_700_000_000_000_000_000,) * 2
        path = root / "dags" / "a.py"
        path.write_text("a = 2\n")
        os.utime(path, ns=tick)
        git(root, "add", "dags/a.py")
        path.write_text("a = 3\n")  # as long, and as old, as what the index knows
        os.utime(path, ns=tick)
        os.utime(root / ".git" / "index", ns=tick)
        with Repository.find(root).commit() as commit:
            assert commit.read("dags/a.py") == b"a = 3\n"

    def test_staged_but_reverted_is_clean(self, root: Path) -> None:
        write(root, {"dags/a.py": "a = 2\n"})
        git(root, "add", "dags/a.py")
        write(root, {"dags/a.py": "a = 1\n"})
        with Repository.find(root).commit() as commit:
            assert commit.dirty is None

    def test_conflicts_are_refused(self, root: Path) -> None:
        for branch, content in (("side", "a = 2\n"), ("main", "a = 3\n")):
            git(root, "checkout", "-B", branch, "main")
            write(root, {"dags/a.py": content})
            git(root, "commit", "--all", f"--message={branch}")
        with pytest.raises(subprocess.CalledProcessError):
            git(root, "merge", "side")
        with pytest.raises(HarnessError, match=r"conflicts in dags/a\.py") as caught:
            Repository.find(root).commit()
        assert caught.value.cause is CauseCode.CODE_INCOMPLETE

    def test_inside_a_hook(self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        other = make(tmp_path / "other", {"o.py": "1\n"})
        for name, value in {
            "GIT_DIR": str(other / ".git"),
            "GIT_INDEX_FILE": str(other / ".git" / "index"),
            "GIT_WORK_TREE": str(other),
            "GIT_OBJECT_DIRECTORY": str(other / ".git" / "objects"),
        }.items():
            monkeypatch.setenv(name, value)
        write(root, {"dags/a.py": "a = 2\n"})
        repository = Repository.find(root / "dags")
        assert repository.root == root
        with repository.commit() as commit:
            assert commit.read("dags/a.py") == b"a = 2\n"
            assert commit.read("o.py") is None

    def test_line_ends_are_normalised_as_git_does(self, root: Path) -> None:
        git(root, "config", "core.autocrlf", "true")
        git(root, "config", "core.safecrlf", "true")
        write(root, {"dags/a.py": "a = 1\r\n"})
        with Repository.find(root).commit() as commit:
            assert commit.dirty is None

    def test_a_file_system_monitor_is_not_asked(self, root: Path, tmp_path: Path) -> None:
        hook = tmp_path / "monitor"
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nprintf '1\\0'\n")
        hook.chmod(0o755)
        git(root, "config", "core.fsmonitor", str(hook))
        git(root, "config", "core.fsmonitorHookVersion", "2")
        git(root, "update-index", "--fsmonitor")
        git(root, "status")
        (tmp_path / "asked").unlink()
        write(root, {"dags/a.py": "a = 2\n"})
        with Repository.find(root).commit() as commit:
            assert commit.read("dags/a.py") == b"a = 2\n"
        assert not (tmp_path / "asked").exists()

    @pytest.mark.parametrize("relative", [False, True])
    def test_borrowed_objects(self, root: Path, tmp_path: Path, relative: bool) -> None:
        git(tmp_path, "clone", "--shared", str(root), "borrower")
        borrower = tmp_path / "borrower"
        if relative:
            (borrower / ".git/objects/info/alternates").write_text("../../../project/.git/objects\n")
        write(borrower, {"dags/a.py": "a = 2\n"})
        with Repository.find(borrower).commit() as commit:
            assert commit.read("dags/a.py") == b"a = 2\n"
            assert commit.read("dags/deep/b.txt") == b"b\n"

    def test_split_indexes_and_sparse_checkouts(self, root: Path) -> None:
        write(root, {"models/m.py": "m\n"})
        git(root, "add", "--all")
        git(root, "commit", "--message=second")
        git(root, "sparse-checkout", "set", "--cone", "dags")
        git(root, "update-index", "--split-index")
        assert not (root / "models").exists()
        before = state(root)
        with Repository.find(root).commit(paths=["dags", "models"]) as commit:
            assert commit.dirty is None
            assert commit.read("models/m.py") == b"m\n"
        write(root, {"dags/a.py": "a = 2\n", "dags/n.py": "n\n"})
        with Repository.find(root).commit(paths=["dags", "models"]) as commit:
            assert commit.dirty
            assert commit.read("models/m.py") == b"m\n"
            assert commit.read("dags/n.py") == b"n\n"
        assert state(root)["index"] == before["index"]

    def test_pathspec_magic_is_taken_literally(self, root: Path) -> None:
        write(root, {":(glob)**/x.py": "1\n", "dags/*.py": "2\n", "other/x.py": "3\n"})
        with Repository.find(root).commit(paths=[":(glob)**", "dags/*.py"]) as commit:
            paths = [entry.path for entry in commit.files()]
            assert "dags/*.py" in paths
            assert "other/x.py" not in paths
            assert [entry.path for entry in commit.files(["dags/*.py"])] == ["dags/*.py"]

    def test_a_repository_inside_is_refused(self, root: Path) -> None:
        make(root / "dags" / "inner", {"i.py": "1\n"})
        with pytest.raises(HarnessError, match=r"dags/inner is a git repository inside"):
            Repository.find(root).commit(paths=["dags"])

    def test_the_scratch_directory_goes(
        self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        temporary = tmp_path / "cache"
        monkeypatch.setenv("HARNESS_CACHE_DIR", str(temporary))
        write(root, {"dags/a.py": "a = 2\n"})
        commit = Repository.find(root).commit()
        assert len(list(temporary.iterdir())) == 1
        commit.close()
        commit.close()
        assert list(temporary.iterdir()) == []

    def test_a_failing_filter_says_why(self, root: Path) -> None:
        git(root, "config", "filter.strict.clean", "sh -c 'echo no key >&2; exit 1'")
        git(root, "config", "filter.strict.required", "true")
        write(root, {".gitattributes": "*.py filter=strict\n", "dags/a.py": "a = 2\n"})
        with pytest.raises(HarnessError) as caught:
            Repository.find(root).commit()
        assert caught.value.cause is CauseCode.CODE_INCOMPLETE
        assert "no key" in "\n".join(caught.value.evidence)


def test_an_unborn_branch_of_a_repository_with_commits(root: Path) -> None:
    git(root, "checkout", "--orphan", "fresh")
    with pytest.raises(HarnessError, match="the current branch has no commits yet"):
        Repository.find(root).commit()
