"""What is wrong in a user's repository or on their machine, through the program itself: no cluster is needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_inputs import NOBODYS, TOML, Place, add_submodule, good, lock
from git_repository import git, write

from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.image.dependencies.installed import dependencies
from harness.image.layer import Layer
from harness.image.oci import BaseImage

COMMANDS = ("up", "test", "status", "down", "logs", "ui")
AIRFLOW = ("apache-airflow-core", "apache-airflow-providers-cncf-kubernetes")
HASH = "--hash=sha256:" + "0" * 64


@pytest.fixture
def place(tmp_path: Path, git_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    return Place(tmp_path)


class TestRepository:
    def test_not_one(self, place: Place) -> None:
        place.folder.joinpath("plain").mkdir()
        said = place.run(place.folder / "plain", "test")
        said.fails(2, "in no git repository", hint="git init")

    def test_empty(self, place: Place) -> None:
        root = place.folder / "empty"
        root.mkdir()
        git(root, "init")
        place.run(root, "test").fails(2, "no harness.toml", hint="docs/configuration.md")

    def test_no_commit(self, place: Place) -> None:
        root = place.folder / "young"
        root.mkdir()
        git(root, "init")
        write(root, good())
        place.run(root, "test").fails(2, "no commits yet", hint="git commit")

    def test_bare(self, place: Place) -> None:
        root = place.folder / "bare.git"
        root.mkdir()
        git(root, "init", "--bare")
        place.run(root, "test").fails(2, "no working tree", hint="git clone")

    def test_folder_that_was_deleted(self, place: Place) -> None:
        script = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" -m harness test'
        argv = ["sh", "-c", script, sys.executable]
        done = process.run(argv, cwd=place.folder, check=False)
        assert done.returncode == 2, done.stderr
        assert "current folder" in done.stderr.splitlines()[0]
        assert "hint: cd" in done.stderr


class TestRefs:
    @pytest.mark.parametrize(
        ("ref", "words", "hint"),
        [
            ("mian", "no commit `mian`", "did you mean `main`?"),
            ("0123456789abcdef", "no commit", "git fetch"),
            ("--upload-pack=x", "looks like an option", "HEAD~1"),
            ("main\nx", "control characters", "HEAD~1"),
            ("m\udcff", "no UTF-8 text", "HEAD~1"),
            ("r" * 300, "300 characters is too long", "HEAD~1"),
            ("", "empty ref", "HEAD~1"),
            ("main:dags/tiny.py", "no commit", "git branch"),
        ],
        ids=["near", "unknown", "option", "newline", "bytes", "long", "empty", "file"],
    )
    def test_one(self, place: Place, ref: str, words: str, hint: str) -> None:
        place.run(place.repository(good()), "test", f"--ref={ref}").fails(2, words, hint=hint)

    def test_each_of_several_is_told(self, place: Place) -> None:
        root = place.repository(good())
        said = place.run(root, "test", "--ref=mian", "--ref=HEAD", "--ref=nowhere")
        said.fails(2, "`mian`", hint="`main`")
        assert "there is no commit `nowhere`" in said.text
        assert "HEAD:" not in said.text

    def test_its_own_configuration_is_read(self, place: Place) -> None:
        root = place.repository({**good(), "harness.toml": f'[image]\ncolour = "red"\n{TOML}'})
        write(root, {"harness.toml": TOML})
        git(root, "commit", "--all", "--message=mended")
        said = place.run(root, "test", "--ref=HEAD", "--ref=HEAD~1")
        said.fails(2, "HEAD~1:harness.toml", "image.colour: unknown key", hint="edit HEAD~1:harness.toml")

    def test_only_image_counts_of_its_configuration(self, place: Place) -> None:
        root = place.repository({**good(), "harness.toml": f"{TOML}a_key_of_another_time = 1\n"})
        write(root, {"harness.toml": TOML})
        git(root, "commit", "--all", "--message=mended")
        said = place.run(root, "test", "--ref=HEAD~1")
        assert said.completed.returncode == 3, said.text  # it came as far as Docker or the cluster
        assert "a_key_of_another_time" not in said.text


DATE = "logical_date = 2026-01-31T00:00:00Z\n"
DATED = TOML + DATE


class TestConfiguration:
    @pytest.mark.parametrize(
        ("text", "words", "hint"),
        [
            ("", "names no tests", "add [tests.NAME]"),
            ("[tests.tiny\n", "no valid TOML", "edit "),
            (b"\xff\xfe[\x00", "can't be read", "harness.toml"),
            ("tests = 1\n", "tests: ", "edit "),
            (f'{TOML}metrics = {{ task = "e" }}\ngates.a = {{ min = 2, max = 1 }}\n', "min 2 is above max 1", "edit "),
            (f"{TOML}gates.a = {{ min = 2 }}\n", "tests.tiny.gates: gates need metrics", "edit "),
            (f'{TOML}metrics = {{ task = "e" }}\ngates.a = {{ min = nan }}\n', "gates.a.min: ", "edit "),
            (f'{TOML}timeout = "10 minutes"\n', "tests.tiny.timeout: ", "edit "),
            (f'{TOML}logical_date = "yesterday"\n', "tests.tiny.logical_date: ", "edit "),
            (f"{DATED}[tests.other]\ndag = 'tiny'\n{DATE}", "tests.other.logical_date: tests.tiny", "edit "),
            (f'[image]\npython = "3.9"\n{TOML}', "Python 3.11 and 3.13 only", 'python = "3.11"'),
            (f'[image]\ncode = ["dag"]\n{TOML}', "no `dag` in the working tree", "`dags`"),
            (f'[image]\ncode = ["../x"]\n{TOML}', "image.code", "edit "),
            (f'[image]\nrequirements = "dags/requirement.lock"\n{TOML}', "`dags/requirement.lock`", "did you mean"),
        ],
        ids=[
            "no tests", "no TOML", "no text", "a type", "min above max", "no metrics", "NaN", "duration", "date",
            "one date twice", "python", "code", "code outside", "requirements",
        ],
    )  # fmt: skip
    def test_wrong(self, place: Place, text: str | bytes, words: str, hint: str) -> None:
        root = place.repository({**good(), "harness.toml": text})
        place.run(root, "test").fails(2, words, hint=hint)

    def test_none(self, place: Place) -> None:
        place.run(place.repository({"dags/tiny.py": ""}), "test").fails(2, "no harness.toml", hint="docs/")

    def test_everything_wrong_is_told_at_once(self, place: Place) -> None:
        text = (
            '[image]\npython = 3.11\ncolour = "red"\n[tests.tiny]\ndags = "tiny"\ntimeout = true\n[test.x]\n'
        )
        root = place.repository({**good(), "harness.toml": text})
        said = place.run(root, "test")
        said.fails(2, str(root / "harness.toml"), "6 problems", hint=f"edit {root / 'harness.toml'}")
        for line in (
            "image.python: ", "image.colour: unknown key", "tests.tiny.dag: missing",
            "tests.tiny.dags: unknown key", "tests.tiny.timeout: ", "test: unknown key",
        ):  # fmt: skip
            assert f"\n  {line}" in said.text

    def test_unknown_test(self, place: Place) -> None:
        said = place.run(place.repository(good()), "test", "tinny")
        said.fails(2, "no test 'tinny'", "it has tiny", hint=f"harness test --name {NOBODYS} tiny")

    def test_that_is_a_folder(self, place: Place) -> None:
        root = place.repository({**good(), "pyproject.toml": '[tool.harness.tests.x]\ndag = "x"\n'})
        (root / "harness.toml").unlink()
        (root / "harness.toml").mkdir()
        for command in ("test", "up"):
            place.run(root, command).fails(2, "harness.toml is a directory", hint=f"ls -ld {root}")

    def test_of_a_head_that_is_compared(self, place: Place) -> None:
        root = place.repository(good())
        write(root, {"harness.toml": f"{TOML}bogus = 1\n"})
        git(root, "commit", "--all", "--message=bogus")
        write(root, {"harness.toml": TOML})
        said = place.run(root, "test", "--base=HEAD~1", "--ref=HEAD")
        said.fails(2, "HEAD:harness.toml", "tests.tiny.bogus: unknown key", hint="edit HEAD:harness.toml")

    def test_up_reads_it_before_it_asks_docker(self, place: Place) -> None:
        root = place.repository({**good(), "harness.toml": "[tests.tiny\n"})
        said = place.run(root, "up", DOCKER_HOST="unix:///nonexistent")
        said.fails(2, "no valid TOML", hint="edit ")

    def test_of_pins_that_are_not_there(self, place: Place) -> None:
        root = place.repository(good())
        said = place.run(root, "up", "--sources=release", HARNESS_PINS="/nonexistent/pins.toml")
        assert said.completed.returncode == 2, said.text
        assert "HARNESS_PINS: /nonexistent/pins.toml can't be used" in said.text
        assert "hint: unset HARNESS_PINS" in said.text
        assert not place.state.exists()


class TestCode:
    @pytest.mark.parametrize("target", ["../../outside", "/etc/passwd", "../harness.toml"])
    def test_link_that_leaves_it(self, place: Place, target: str) -> None:
        root = place.repository(good())
        (root / "dags/link").symlink_to(target)
        git(root, "add", "--all")
        place.run(root, "test").fails(2, "dags/link", "leads out", hint="relative link")

    def test_large_file_that_is_not_here(self, place: Place) -> None:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 12345\n"
        root = place.repository({**good(), "dags/model.bin": pointer})
        place.run(root, "test").fails(2, "dags/model.bin", "Git LFS", hint="git lfs pull")

    def test_submodule_that_is_not_checked_out(self, place: Place) -> None:
        root = place.repository(good())
        add_submodule(root, place.folder / "library")
        said = place.run(root, "test", "--ref=HEAD")
        said.fails(
            2, "submodule dags/library is not checked out", hint="git submodule update --init dags/library"
        )


class TestLock:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("attrs==25.3.0\n", "attrs: no --hash"),
            (f"attrs>=25 {HASH}\n", "attrs: no exact version"),
            (f"https://example.com/a-1-py3-none-any.whl {HASH}\n", "URLs can't be locked"),
            ("--index-url https://example.com/simple\n", "options"),
            ("./local\n", "paths"),
            (b"\xff\xfea\x00t\x00", "no UTF-8 text"),
            (f"attrs==25.3.0 {HASH}\n", "does not lock apache-airflow-core"),
            ("", "does not lock apache-airflow-core"),
        ],
        ids=["no hash", "no version", "URL", "option", "path", "UTF-16", "no Airflow", "empty"],
    )
    def test_wrong(self, place: Place, text: str | bytes, words: str) -> None:
        root = place.repository({**good(), "dags/requirements.lock": text})
        said = place.run(root, "test")
        said.fails(2, "dags/requirements.lock", words, hint="harness lock")

    def test_line_ends_of_windows_are_fine(self, place: Place) -> None:
        root = place.repository({**good(), "dags/requirements.lock": lock().replace("\n", "\r\n").encode()})
        place.run(root, "test").fails(3, "no running cluster", hint="harness up")

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            (f"attrs==999.1 {HASH}", "there is no version of attrs==999.1"),
            (f"docopt==0.6.2 {HASH}", "docopt==0.6.2 has no usable wheels"),
            (f"attrs==25.3.0 {HASH}", "Hash mismatch for `attrs==25.3.0`"),
        ],
        ids=["no such version", "no wheel", "other hash"],
    )
    def test_that_can_not_be_installed(self, place: Place, line: str, words: str) -> None:
        error = self.refused(place, line)
        assert error.cause is CauseCode.DEPENDENCIES_UNRESOLVED
        assert words in error.message
        assert error.hint == "harness lock"

    def test_without_the_network(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        monkeypatch.setenv("UV_CACHE_DIR", str(place.folder / "uv"))
        error = self.refused(place, f"attrs==25.3.0 {HASH}")
        assert error.cause is CauseCode.SOURCE_UNREACHABLE
        assert "can't be reached" in error.message
        assert "UV_INDEX_URL" in error.hint

    @staticmethod
    def refused(place: Place, line: str) -> HarnessError:
        """What installing a lock with `line` raises. Nothing but uv is asked before that."""
        others = [f"{name}==1 ; python_version < '3' {HASH}" for name in AIRFLOW]
        text = "\n".join([line, *others]) + "\n"
        base = BaseImage(
            layers=(Layer(place.folder / "base.tar", "sha256:0", 0),),
            digest="sha256:0",
            site_directory="site",
            env={},
        )
        with pytest.raises(HarnessError) as caught:
            dependencies(
                text.encode(),
                origin="dags/requirements.lock",
                base=base,
                python="3.11",
                architecture="amd64",
                on_line=lambda _: None,
                log=place.folder / "log",
                tools=lambda: base,
            )
        left = [path.name for path in place.cache.glob("dependencies/*")]
        assert all(name.endswith(".lock") for name in left), left
        return caught.value


class TestArguments:
    @pytest.mark.parametrize("option", ["--json", "--junit", "--markdown", "--html"])
    def test_file_in_no_folder(self, place: Place, option: str) -> None:
        root = place.repository(good())
        missing = place.folder / "none"
        said = place.run(root, "test", option, missing / "result")
        said.fails(2, "no folder", str(missing), hint=f"mkdir -p {missing}")
        assert not missing.exists()

    def test_folder_for_a_file(self, place: Place) -> None:
        root = place.repository(good())
        place.run(root, "test", "--json", place.folder).fails(2, "can't be written", hint="ls -ld")

    @pytest.mark.parametrize("command", COMMANDS)
    def test_name_that_no_cluster_can_have(self, place: Place, command: str) -> None:
        said = place.run(place.repository(good()), command, cluster="Bad_Name")
        said.fails(2, "'Bad_Name' is no name of a cluster", hint="--name harness")

    @pytest.mark.parametrize("command", ["test", "status", "logs", "ui"])
    def test_cluster_that_nobody_has(self, place: Place, command: str) -> None:
        if process.run(["docker", "version"], check=False).returncode != 0:
            pytest.skip("without Docker its absence is told first")
        said = place.run(place.repository(good()), command)
        said.fails(3, f"no running cluster '{NOBODYS}'", hint=f"harness up --name {NOBODYS}")

    @pytest.mark.parametrize(
        ("arguments", "words", "hint"),
        [
            (("test", "--no-such"), "No such option: --no-such", "harness test --help"),
            (("test", "--keep", "sometimes"), "'sometimes' is not one of", "harness test --help"),
            (("test", "--ref"), "'--ref' requires an argument", "harness"),
            (("tset",), "Did you mean 'test'?", "harness --help"),
            (("down", "a", "b"), "unexpected extra argument", "harness down --help"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
    )
    def test_usage(self, place: Place, arguments: tuple[str, ...], words: str, hint: str) -> None:
        place.plain(place.repository(good()), *arguments).fails(2, words, hint=hint)


class TestMachine:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_docker_that_does_not_answer(self, place: Place, command: str) -> None:
        root = place.repository(good())
        said = place.run(root, command, DOCKER_HOST="unix:///nonexistent/docker.sock")
        said.fails(3, "no Docker daemon", "unix:///nonexistent/docker.sock", hint="harness doctor")

    @pytest.mark.parametrize("command", ["up", "test", "down"])
    def test_cache_that_is_a_file(self, place: Place, command: str) -> None:
        root = place.repository(good())
        file = place.folder / "file"
        file.touch()
        said = place.run(root, command, HARNESS_CACHE_DIR=str(file))
        said.fails(3, str(file), "can't be used", hint=f"ls -ld {file}")
        assert "export HARNESS_CACHE_DIR=" in said.text

    def test_cache_on_a_read_only_disk(self, place: Place, small_disk: Path) -> None:
        root = place.repository(good())
        process.run(["mount", "-o", "remount,ro", small_disk])
        said = place.run(root, "test", HARNESS_CACHE_DIR=str(small_disk / "cache"))
        said.fails(3, str(small_disk), "Read-only", hint=f"ls -ld {small_disk}")

    def test_cache_on_a_full_disk(self, place: Place, small_disk: Path) -> None:
        root = place.repository({**good(), "dags/data.bin": os.urandom(3 << 20)})
        said = place.run(root, "test", HARNESS_CACHE_DIR=str(small_disk / "cache"))
        said.fails(4, "no space left", hint=f"df -h {small_disk}")
        assert not list((small_disk / "cache").rglob("*.tar"))
        assert sum(path.stat().st_size for path in small_disk.rglob("*") if path.is_file()) < 100_000

    def test_result_for_a_full_disk(self, place: Place, small_disk: Path) -> None:
        with (small_disk / "fill").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(b"\0" * 65536)
        root = place.repository(good())
        said = place.run(root, "test", "--ref=mian", "--json", small_disk / "result.json")
        assert said.completed.returncode == 2  # usage before the environment, as in a run of several tests
        assert "there is no commit `mian`" in said.completed.stdout
        assert "no space left" in said.completed.stderr.splitlines()[0]
        assert "hint: df -h" in said.completed.stderr

    def test_state_folder_that_is_a_file(self, place: Place) -> None:
        if process.run(["docker", "version"], check=False).returncode != 0:
            pytest.skip("without Docker its absence is told first")
        file = place.folder / "file"
        file.touch()
        said = place.run(place.repository(good()), "up", HARNESS_STATE_DIR=str(file))
        said.fails(3, str(file), "can't be used", hint=f"ls -ld {file}")
        assert "export HARNESS_STATE_DIR=" in said.text

    @pytest.mark.parametrize("command", ["up", "test", "status", "down"])
    def test_container_of_the_clusters_name(self, place: Place, foreign_container: str, command: str) -> None:
        cluster = foreign_container.removesuffix("-control-plane")
        outside = place.folder / "plain"  # of a project, whose dependencies `up` would make meanwhile
        outside.mkdir()
        root = outside if command == "up" else place.repository(good())
        said = place.run(root, command, cluster=cluster)
        said.fails(4, foreign_container, "is no kind node", hint="--name another")
        found = process.run(["docker", "container", "inspect", foreign_container], check=False)
        assert found.returncode == 0, "somebody else's container was removed"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.getuid() != 0 or process.run(argv, check=False).returncode != 0:
        pytest.skip("only root may mount a small file system")
    yield folder
    process.run(["umount", folder])


@pytest.fixture
def foreign_container() -> Iterator[str]:
    """A container with the name of a cluster's node that kind did not make."""
    images = process.run(["docker", "image", "ls", "--quiet"], check=False)
    if not images.stdout.split():
        pytest.skip("no Docker, or no image in it to make a container of")
    name = "bad-inputs-foreign-control-plane"
    process.run(["docker", "create", "--name", name, images.stdout.split()[0], "true"])
    yield name
    process.run(["docker", "rm", "--force", "--volumes", name])
