"""Lock files that are taken or refused, and what is taken out of installed packages so that machines agree."""

from __future__ import annotations

import codecs
import csv
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from doubles import Programs
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.errors import CauseCode, HarnessError
from harness.image import code_files
from harness.image.dependencies import installed as dependencies
from harness.image.dependencies import source
from harness.image.dependencies.lock_file import NEEDED, check_lock
from harness.image.lock.of_commit import Lock, lock_of
from harness.project.commit import DIRECTORY, GITLINK, REGULAR, SYMLINK, Commit, TreeEntry
from harness.project.image_settings import ImageSettings

HASH = "--hash=sha256:" + "0" * 64
NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}(rc1|\.post1|\+cpu)?", fullmatch=True)


@st.composite
def entries(draw: st.DrawFn, names: st.SearchStrategy[str] = NAMES) -> str:
    """A requirement as `uv pip compile --generate-hashes` or pip-tools writes it."""
    name, version = draw(names), draw(VERSIONS)
    extras = draw(st.sampled_from(["", "[all]", "[a,b-c]"]))
    marker = draw(st.sampled_from(["", " ; python_version < '4'", " ; sys_platform == 'linux'"]))
    joint = draw(st.sampled_from([" ", " \\\n    ", " \\\r\n    "]))
    comment = draw(st.sampled_from(["", "\n    # via churn", "  # via churn"]))
    hashes = joint.join([HASH] * draw(st.integers(1, 3)))
    return f"{name}{extras}=={version}{marker}{joint}{hashes}{comment}\n"


def name_of(entry: str) -> str:
    return re.split(r"[\[=]", entry)[0].lower().replace("_", "-").replace(".", "-")


def several(most: int) -> st.SearchStrategy[list[str]]:
    """Entries of different packages."""
    return st.lists(entries(), max_size=most, unique_by=name_of)


def whole(*more: str) -> bytes:
    """A lock with what each needs, and `more`."""
    return "".join([*(f"{name}==1 {HASH}\n" for name in NEEDED), *more]).encode()


def refused(lock: bytes) -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        check_lock(lock, "dags/requirements.lock")
    assert caught.value.cause is CauseCode.DEPENDENCIES_UNRESOLVED
    assert caught.value.message.startswith("dags/requirements.lock ")
    assert caught.value.hint == "harness lock"
    return caught.value


@given(several(5))
def test_locks_that_tools_write_are_taken(more: list[str]) -> None:
    check_lock(whole("# made by uv\n\n", *more), "dags/requirements.lock")


@given(several(3), NAMES, VERSIONS)
def test_without_a_hash(more: list[str], name: str, version: str) -> None:
    assert f"{name}: no --hash" in refused(whole(*more, f"{name}=={version}\n")).message


@given(
    several(3),
    NAMES,
    st.sampled_from(["", ">=1", "~=1.0", "<2", " ; python_version=='3.11'"]),
)
def test_without_an_exact_version(more: list[str], name: str, version: str) -> None:
    assert f"{name}: no exact version" in refused(whole(*more, f"{name}{version} {HASH}\n")).message


@pytest.mark.parametrize(
    "line",
    ["--index-url https://x", "-r other.txt", "-e .", "./local", "/abs", "https://x/a.whl", "git+ssh://x/y"],
)
def test_what_can_not_be_locked(line: str) -> None:
    assert f" {line}: options, paths" in refused(whole(f"{line} {HASH}\n")).message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("x==1.*", "x==1.*: '1.*' is no exact version"),
        ("x==abc", "x==abc: 'abc' is no exact version"),
        ("x==1.0,<2", "x==1.0,<2: '1.0,<2' is no exact version"),
        ("x>1,==1.0", "x: no exact version (==)"),
        ("x @ git+https://example.com/x", "x @ git+https://example.com/x: only a file's URL"),
        ("x @ file:///x-1-py3-none-any.whl", "x @ file:///x-1-py3-none-any.whl: only a file's URL"),
        ("x @ ./x.whl", "x @ ./x.whl: only a file's URL"),
    ],
)
def test_what_uv_would_not_take(line: str, words: str) -> None:
    assert words in refused(whole(f"{line} {HASH}\n")).message


@pytest.mark.parametrize(
    "line",
    [
        "x @ https://example.com/x-1-py3-none-any.whl", "x@https://example.com/x.whl", "x == 1.0", "x (==1.0)",
        "x===1", "x==v1.0", "x==1!2.0.dev1+a.b", "x==1.0rc", "x==1.0-1", "x==1.0_post1", "x==2024.1a2.post3.dev4",
    ],
)  # fmt: skip
def test_what_uv_takes(line: str) -> None:
    check_lock(whole(f"{line} {HASH}\n"), "x.lock")


class TestOnePackageTwice:
    @given(NAMES, VERSIONS, VERSIONS)
    def test_in_two_versions(self, name: str, one: str, other: str) -> None:
        other = f"9{other}"
        assume(one.partition(".")[0] != other.partition(".")[0])
        error = refused(whole(f"{name}=={one} {HASH}\n", f"{name.upper()}[a]=={other} {HASH}\n"))
        assert f"{name.upper()}[a]=={other}"[:60] in error.message
        assert f"=={one} is there too" in error.message

    def test_in_one_version(self) -> None:
        check_lock(whole(f"x==1.0 {HASH}\n", f"X[a]==1 {HASH}\n"), "x.lock")

    def test_as_universal_locks_have_it(self) -> None:
        line = f"x==1 ; sys_platform == 'win32' {HASH}\n"
        check_lock(whole(line, f"x==2 ; sys_platform != 'win32' {HASH}\n"), "x.lock")
        check_lock(whole(line, f"x==2 {HASH}\n"), "x.lock")


def test_a_byte_order_mark_is_passed_over() -> None:
    content = codecs.BOM_UTF8 + whole()
    check_lock(content, "x.lock")
    assert Lock("x.lock", content).airflow == "1"


def test_every_problem_is_told() -> None:
    error = refused(whole("a\n", "b==1\n", "c>=2\n"))
    assert "a: no exact version (==) and 2 more" in error.message
    assert error.evidence == ("a: no exact version (==)", "b: no --hash", "c: no exact version (==)")


@given(st.binary().filter(lambda content: not _is_text(content)))
def test_what_is_no_text(content: bytes) -> None:
    assert "no UTF-8 text" in refused(whole() + content).message


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("name", NEEDED)
def test_without_airflow(name: str) -> None:
    lock = "".join(f"{each}==1 {HASH}\n" for each in NEEDED if each != name)
    assert f"does not lock {name}," in refused(lock.encode()).message


def test_names_are_the_same_in_every_spelling() -> None:
    check_lock(f"Apache_Airflow.Core==1 {HASH}\n{NEEDED[1].upper()}==1 {HASH}\n".encode(), "x.lock")


LOCK = "dags/l.lock"


class TestLockOfACommit:
    def commit(self, files: Mapping[str, tuple[str, bytes]]) -> Commit:
        """Files as modes and contents; a directory's content is nothing."""
        entries = {path: TreeEntry(path, mode, path) for path, (mode, _) in files.items()}

        def read(path: str) -> bytes | None:
            return files[path][1] if path in files and files[path][0] == REGULAR else None

        return SimpleNamespace(  # type: ignore[return-value]
            is_working_tree=True,
            place="the working tree",
            repository=None,
            entry=entries.get,
            read=read,
            paths=lambda: list(files),
            objects=SimpleNamespace(read=lambda path: files[path][1]),
        )

    def why_not(self, **files: tuple[str, bytes]) -> HarnessError:
        with pytest.raises(HarnessError) as caught:
            lock_of(self.commit({"dags/m.lock": (REGULAR, b""), **files}), ImageSettings(requirements=LOCK))
        assert "`dags/l.lock`" not in caught.value.hint
        assert "did you mean `dags/m.lock`?" in caught.value.hint
        return caught.value

    @pytest.mark.parametrize(
        ("mode", "content", "words"),
        [
            (DIRECTORY, b"", "`dags/l.lock` is a directory, not a file, in the working tree"),
            (GITLINK, b"", "`dags/l.lock` is a submodule, not a file, in the working tree"),
            (SYMLINK, b"../../x", "link to `../../x`, which leads out of the repository"),
            (SYMLINK, b"/etc/hosts", "link to `/etc/hosts`, which leads out of the repository"),
            (SYMLINK, b"../..", "link to `../..`, which leads out of the repository"),
            (SYMLINK, b"../other", "link to `../other`, which is no file in the working tree"),
        ],
    )
    def test_what_is_no_file(self, mode: str, content: bytes, words: str) -> None:
        error = self.why_not(**{LOCK: (mode, content)})
        assert error.cause is CauseCode.CODE_NOT_FOUND
        assert words in error.message

    def test_none(self) -> None:
        assert "there is no file `dags/l.lock` in the working tree" in self.why_not().message

    def test_what_git_lfs_keeps(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(code_files, "_lfs_store", lambda _: tmp_path)
        content = whole()
        digest = hashlib.sha256(content).hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
        commit = self.commit({LOCK: (REGULAR, pointer.encode())})
        with pytest.raises(HarnessError, match=r"dags/l\.lock, kept by Git LFS") as caught:
            lock_of(commit, ImageSettings(requirements=LOCK))
        assert (caught.value.cause, caught.value.hint) == (CauseCode.CODE_INCOMPLETE, "git lfs pull")
        kept = tmp_path / digest[:2] / digest[2:4] / digest
        kept.parent.mkdir(parents=True)
        kept.write_bytes(content)
        assert lock_of(commit, ImageSettings(requirements=LOCK)).content == content


class TestNormalizing:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("#!/home/ann/.venv/bin/python3.11\nimport x\n", "#!/usr/bin/env python3\nimport x\n"),
            (
                "#!/bin/sh\n'''exec' '/a very/long path/python' \"$0\" \"$@\"\n' '''\nimport x\n",
                "#!/usr/bin/env python3\nimport x\n",
            ),
            ("#!/bin/sh\necho python\n", "#!/bin/sh\necho python\n"),
            ("#!/usr/bin/env bash\n", "#!/usr/bin/env bash\n"),
            ("\x7fELF", "\x7fELF"),
            ("", ""),
        ],
        ids=["python", "long path", "shell", "bash", "binary", "empty"],
    )
    def test_scripts_name_the_images_python(self, tmp_path: Path, before: str, after: str) -> None:
        script = tmp_path / "bin/tool"
        script.parent.mkdir()
        script.write_text(before)
        dependencies._normalize(tmp_path)
        assert script.read_text() == after
        assert before == after or script.stat().st_mode & 0o777 == 0o755

    def test_a_link_into_uvs_cache_is_replaced_and_not_written_through(self, tmp_path: Path) -> None:
        cached = tmp_path / "cached"
        cached.write_text("#!/x/python\n")
        (tmp_path / "target/bin").mkdir(parents=True)
        (tmp_path / "target/bin/tool").hardlink_to(cached)
        dependencies._normalize(tmp_path / "target")
        assert cached.read_text() == "#!/x/python\n"

    def test_records_say_what_is_the_same_everywhere(self, tmp_path: Path) -> None:
        info = tmp_path / "x-1.dist-info"
        info.mkdir()
        rows = [
            ["x/b.py", "sha256=2", "2"],
            ["x/a, with comma.py", "sha256=1", "1"],
            ["x/__pycache__/b.cpython-311.pyc", "", ""],
            ["bin/tool", "sha256=3", "3"],
            ["../../bin/other", "sha256=4", "4"],
            ["x-1.dist-info/uv_cache.json", "", ""],
            ["x-1.dist-info/RECORD", "", ""],
        ]
        with (info / "RECORD").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        for name in ("uv_cache.json", "REQUESTED", "direct_url.json", "METADATA"):
            (info / name).touch()
        (tmp_path / ".lock").touch()
        dependencies._normalize(tmp_path)
        with (info / "RECORD").open(newline="") as file:
            kept = list(csv.reader(file))
        assert kept == sorted([rows[0], rows[1], rows[6]])
        assert sorted(path.name for path in info.iterdir()) == ["METADATA", "RECORD"]
        assert not (tmp_path / ".lock").exists()

    def test_nothing_is_installed(self, tmp_path: Path) -> None:
        dependencies._normalize(tmp_path)
        assert list(tmp_path.iterdir()) == []


class TestMigrations:
    def digest(self, folder: Path, *paths: str) -> str:
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(f"# {Path(path).name}")
        return dependencies._migrations(folder)

    def test_follow_from_the_migrations_alone(self, tmp_path: Path) -> None:
        core = "airflow/migrations/versions/0001.py"
        one = self.digest(tmp_path / "a", core, "airflow/models.py")
        assert one == self.digest(tmp_path / "b", core, "pandas/migrations/versions/x.py")
        assert one != self.digest(tmp_path / "c", core, "airflow/providers/fab/migrations/versions/0001.py")


class TestWhyNotInstalled:
    @pytest.mark.parametrize(
        ("stderr", "cause", "words"),
        [
            (
                "error: No solution found\n  cause: Because there is no version of x==9\n",
                CauseCode.DEPENDENCIES_UNRESOLVED,
                "No solution found: Because there is no version of x==9",
            ),
            (
                "  \u00d7 No solution found\n  ╰─▶ Because x",
                CauseCode.DEPENDENCIES_UNRESOLVED,
                "No solution found: Because x",
            ),
            (
                "error: Failed to fetch\n cause: error sending request",
                CauseCode.SOURCE_UNREACHABLE,
                "can't be reached",
            ),
            ("error: Network connectivity is disabled", CauseCode.SOURCE_UNREACHABLE, "can't be reached"),
            ("error: write: No space left on device (os error 28)", CauseCode.DISK_FULL, "no space left"),
            ("", CauseCode.DEPENDENCIES_UNRESOLVED, "uv gave no reason"),
        ],
    )
    def test_cause(self, stderr: str, cause: CauseCode, words: str) -> None:
        error = dependencies._not_installed(stderr, "x.lock", "3.11", "amd64")
        assert error.cause is cause
        assert words in error.message
        assert error.hint


def test_an_address_is_none_of_gits_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = Programs()
    monkeypatch.setattr(source.process, "run", programs.run)
    wanted = source.Source("churn", f"git+--upload-pack=/tmp/mine@{'a' * 40}#subdirectory=lib")
    source._clone(wanted, tmp_path)
    clone = programs.commands[0]
    assert clone[clone.index("--") :] == ("--", "--upload-pack=/tmp/mine", str(tmp_path))
