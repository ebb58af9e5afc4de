"""What a project is called and configures: by its working tree, and as of a commit."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.errors import CauseCode, HarnessError
from harness.project import project as projects
from harness.project.commit import Repository
from harness.project.configuration import Configuration

CONFIGURED = '[image]\ncode = ["src"]\n[tests.a]\ndag = "a"\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a repository that git need not be asked for."""
    monkeypatch.setattr(Repository, "find", lambda _: Repository(tmp_path))
    return tmp_path


@dataclass(frozen=True)
class Tree:
    """A commit as far as its configuration goes: texts of files by path; None is the working tree."""

    repository: Repository
    ref: str | None
    files: dict[str, str]

    @property
    def is_working_tree(self) -> bool:
        return self.ref is None

    def read(self, path: str) -> bytes | None:
        return self.files[path].encode() if path in self.files else None


class TestProject:
    @pytest.mark.parametrize("name", ["harness.toml", "pyproject.toml"])
    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (Path.mkdir, "is a directory"),
            (lambda path: path.symlink_to(path), "is a broken link, to "),
            (lambda path: path.symlink_to("nowhere"), "is a broken link, to nowhere"),
            (os.mkfifo, "is no file"),
        ],
        ids=["directory", "loop", "dangling", "FIFO"],
    )
    def test_what_is_no_file_is_not_passed_over(
        self, root: Path, name: str, make: Callable[[Path], None], words: str
    ) -> None:
        make(root / name)
        other = root / "pyproject.toml"
        if name == "harness.toml":
            other.write_text("[tool.harness.tests.a]\ndag = 'a'\n")
        for reading in (projects.load, projects.find):
            with pytest.raises(HarnessError) as caught:
                reading(root)
            assert caught.value.cause is CauseCode.CONFIG_INVALID
            assert caught.value.message.startswith(f"{root / name} {words}")
            assert caught.value.hint == f"ls -ld {root / name}"

    def test_a_link_to_a_file_is_read(self, root: Path) -> None:
        (root / "real.toml").write_text(CONFIGURED)
        (root / "harness.toml").symlink_to("real.toml")
        assert list(projects.load(root).configuration.tests) == ["a"]

    def test_none(self, root: Path) -> None:
        assert projects.find(root) is None
        (root / "pyproject.toml").write_text("[project]\nname = 'x'\n")
        assert projects.find(root) is None
        with pytest.raises(HarnessError, match=r"has no harness\.toml, nor \[tool\.harness\]") as caught:
            projects.load(root)
        assert caught.value.cause is CauseCode.CONFIG_INVALID

    def test_outside_of_a_repository(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def find(_: Path) -> Repository:
            raise HarnessError(cause, "says git")

        monkeypatch.setattr(Repository, "find", find)
        cause = CauseCode.NOT_A_REPOSITORY
        assert projects.find(tmp_path) is None
        cause = CauseCode.TOOL_MISSING
        with pytest.raises(HarnessError, match="says git"):
            projects.find(tmp_path)

    def test_line_ends_of_old_macs_are_no_toml_in_the_working_tree_either(self, root: Path) -> None:
        (root / "harness.toml").write_bytes(CONFIGURED.replace("\n", "\r").encode())
        with pytest.raises(HarnessError, match="no valid TOML") as caught:
            projects.load(root)
        assert caught.value.hint == f"edit {root / 'harness.toml'}"

    def test_a_byte_order_mark_is_passed_over(self, root: Path) -> None:
        (root / "harness.toml").write_text(f"\ufeff{CONFIGURED}", encoding="utf-8")
        project = projects.load(root)
        commit = Tree(project.repository, "v1", {"harness.toml": f"\ufeff{CONFIGURED}"})
        assert project.image_settings(commit).code == ("src",)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("name", "table"), [("harness.toml", "[tests.NAME]"), ("pyproject.toml", "[tool.harness.tests.NAME]")]
    )
    def test_the_file_that_configures_it_is_named(self, root: Path, name: str, table: str) -> None:
        header = "[tool.harness.image]" if name == "pyproject.toml" else "[image]"
        (root / name).write_text(f"{header}\n")
        with pytest.raises(HarnessError, match=f"^{name} names no tests") as caught:
            projects.load(root).tests(())
        assert f"add {table} with" in caught.value.hint
        assert f"to {name}: docs" in caught.value.hint
        (root / name).write_text(f"{header.replace('image', 'tests.abc')}\ndag = 'a'\n")
        with pytest.raises(HarnessError, match=f"no test 'abd' in {name}: it has abc"):
            projects.load(root).tests(["abd"])

    def test_the_working_trees_file_is_named_as_it_can_be_opened(self, root: Path) -> None:
        project = projects.Project(Repository(root), Configuration())
        for ref, origin in ((None, root / "harness.toml"), ("v1", "v1:harness.toml")):
            with pytest.raises(HarnessError) as caught:
                project.image_settings(Tree(project.repository, ref, {"harness.toml": "x"}))  # type: ignore[arg-type]
            assert caught.value.hint == f"edit {origin}"

    def test_as_of_a_commit(self, root: Path) -> None:
        (root / "harness.toml").write_text("project = 'mine'\n[tests.b]\ndag = 'b'\n")
        project = projects.load(root)

        def as_of(files: dict[str, str]) -> projects.Project:
            return project.as_of(Tree(project.repository, "v1", files))  # type: ignore[arg-type]

        own = as_of({"pyproject.toml": "[tool.harness.tests.a]\ndag = 'a'\n"})
        assert (own.name, list(own.configuration.tests), own.file) == ("mine", ["a"], "pyproject.toml")
        for without in ({}, {"harness.toml": "[image]\n"}, {"pyproject.toml": "[project]\n"}):
            assert as_of(without) == project
        with pytest.raises(HarnessError, match=r"v1:harness\.toml has 1 problem: bogus: unknown key"):
            as_of({"harness.toml": f"bogus = 1\n{CONFIGURED}"})
