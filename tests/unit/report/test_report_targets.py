"""Where results go, the table of versions, what a crash leaves behind, and what a file system's refusal means."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import report_samples

from harness.airflow.release.versions import Version
from harness.cli.testing import result as results
from harness.engine.status import Usage
from harness.errors import CauseCode, HarnessError
from harness.host import disk
from harness.image.registry.address import LocalRegistry
from harness.report.files import files
from harness.report.files.files import Targets
from harness.report.model import Cause, Result
from harness.report.text import crash, status
from harness.report.text.console import Console


def quiet() -> Console:
    return Console(stdout=io.StringIO(), stderr=io.StringIO())


class Full(io.StringIO):
    """A stream to a disk without space."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


class TestCheck:
    @pytest.fixture(autouse=True)
    def _summary(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)

    @staticmethod
    def refused(start: Path, **targets: str | Path) -> HarnessError:
        with pytest.raises(HarnessError) as caught:
            files.check(Targets(**targets), start, quiet())
        assert caught.value.cause is CauseCode.USAGE
        return caught.value

    def test_what_can_be_written_is_left_as_it_was(self, tmp_path: Path) -> None:
        (tmp_path / "there").write_text("before")
        (tmp_path / "link").symlink_to("target")
        targets = Targets(
            json=str(tmp_path / "new.json"), junit=tmp_path / "there", html=tmp_path / "link", markdown=None
        )
        files.check(targets, tmp_path, quiet())
        files.check(Targets(json="-"), tmp_path, quiet())
        files.check(Targets(), tmp_path, quiet())
        assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "there"]
        assert (tmp_path / "there").read_text() == "before"

    @pytest.mark.parametrize("form", ["json", "junit", "markdown", "html"])
    def test_what_can_not(self, tmp_path: Path, form: str) -> None:
        for path, words in ((tmp_path / "none/file", "no folder"), (tmp_path, "can't be written")):
            error = self.refused(tmp_path, **{form: str(path) if form == "json" else path})
            assert words in error.message
            assert str(path.parent if words == "no folder" else path) in error.hint

    def test_what_even_root_can_not_write(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to("loop")
        (tmp_path / "dangling").symlink_to(tmp_path / "none/target")
        (tmp_path / "file").touch()
        assert "loop can't be written: Too many" in self.refused(tmp_path, html=tmp_path / "loop").message
        assert self.refused(tmp_path, html=tmp_path / "dangling").hint == f"mkdir -p {tmp_path}/none"
        assert "too long" in self.refused(tmp_path, json=str(tmp_path / ("x" * 300))).message
        assert "Not a directory" in self.refused(tmp_path, json=str(tmp_path / "file/result")).message

    def test_an_empty_name_is_told_as_one(self, tmp_path: Path) -> None:
        error = self.refused(tmp_path, json="")
        assert error.message == "--json names no file"
        assert "--json FILE" in error.hint

    def test_no_file_twice(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("result")
        error = self.refused(tmp_path, json=str(tmp_path / "result"), html=tmp_path / "link")
        assert "--html and --json name one file" in error.message

    @pytest.mark.parametrize("name", ["harness.toml", "pyproject.toml"])
    def test_never_over_the_configuration(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "inside").mkdir()
        (tmp_path / "configuration").touch()
        (tmp_path / name).symlink_to("configuration")
        for path in (tmp_path / name, tmp_path / "inside/.." / name, tmp_path / "configuration"):
            assert "would overwrite" in self.refused(tmp_path / "inside", html=path).message

    def test_pipes_and_devices_are_not_opened_and_take_several_forms(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")  # to open it would wait for ever
        for path in (tmp_path / "fifo", Path("/dev/null")):
            files.check(Targets(json=str(path), junit=path), tmp_path, quiet())

    def test_a_summary_that_can_not_be_written_is_noted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "none/summary"))
        console = quiet()
        files.check(Targets(), tmp_path, console)
        assert files.write(Targets(), report_samples.passed(), console) == ()
        (first, second) = console._err.getvalue().splitlines()
        assert first == second
        assert "GITHUB_STEP_SUMMARY" in first
        assert "No such file" in first


class TestCheckFolder:
    def test_one_that_is_there_or_can_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path)
        for path in (tmp_path, tmp_path / "link", tmp_path / "new/inside"):
            files.check_folder("--bundle", path)
        assert [path.name for path in tmp_path.iterdir()] == ["link"]

    def test_what_is_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "loop").symlink_to("loop")
        (tmp_path / "dangling").symlink_to("none")
        for name in ("file", "file/inside", "loop", "dangling", "x" * 300):
            with pytest.raises(HarnessError, match=r"--bundle .* can't be written") as caught:
                files.check_folder("--bundle", tmp_path / name)
            assert caught.value.cause is CauseCode.USAGE
            assert caught.value.hint == f"mkdir -p {tmp_path / name}"


def told(result: Result, targets: Targets, console: Console, *, later: Result | None = None) -> int:
    """The exit code where `result` is the verdict, and `later` all that is known in the end."""

    def run(show: Callable[[Result], None]) -> Result:
        show(result)
        return later or result

    return results.told(run, targets, console)


def test_what_failed_after_the_verdict_is_told_and_counts() -> None:
    console = Console(stdout=io.StringIO(), stderr=io.StringIO(), environ={})
    known = report_samples.passed()
    stays = Cause(code="cluster_failed", message="namespace main-1 was not gone", hint="harness down main-1")
    version = known.versions[0].model_copy(update={"cause": stays})
    assert told(known, Targets(), console, later=Result.of((version,))) == 4
    shown = "error: namespace main-1 was not gone\n\nhint: harness down main-1\n"
    assert cast("io.StringIO", console._err).getvalue() == shown
    assert cast("io.StringIO", console._out).getvalue().count("✓ passed") == 1


class TestWrite:
    @pytest.fixture(autouse=True)
    def _summary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
        (tmp_path / "summary").write_text("before\n")

    @staticmethod
    def targets(folder: Path, **others: str | Path) -> Targets:
        named = {"junit": folder / "r.xml", "markdown": folder / "r.md", "html": folder / "r.html"}
        return Targets(**{"json": str(folder / "r.json"), **named, **others})

    def test_each_form_says_the_same_verdict(self, tmp_path: Path) -> None:
        console = quiet()
        assert files.write(self.targets(tmp_path), report_samples.gate_failed(), console) == ()
        assert console._out.getvalue() == ""
        assert json.loads((tmp_path / "r.json").read_text())["verdict"] == "failed"
        assert 'failures="' in (tmp_path / "r.xml").read_text()
        assert (tmp_path / "summary").read_text() == "before\n" + (tmp_path / "r.md").read_text()
        assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")

    def test_json_to_stdout_is_json_alone(self) -> None:
        console = quiet()
        assert files.write(Targets(json="-"), report_samples.passed(), console) == ()
        assert json.loads(console._out.getvalue())["schema"] == 1

    def test_files_are_there_while_versions_still_go_and_are_written_anew_after_that(
        self, tmp_path: Path
    ) -> None:
        targets, known = self.targets(tmp_path), report_samples.passed()
        gone = known.versions[0].model_copy(update={"phases": {"remove_s": 5.0}})

        def run(show: Callable[[Result], None]) -> Result:
            show(known)
            assert json.loads((tmp_path / "r.json").read_text())["verdict"] == "passed"
            assert all((tmp_path / name).stat().st_size > 100 for name in ("r.xml", "r.md", "r.html"))
            return Result.of((gone,))

        assert results.told(run, targets, quiet()) == 0
        (version,) = json.loads((tmp_path / "r.json").read_text())["versions"]
        assert version["phases"] == {"remove_s": 5.0}
        assert (tmp_path / "summary").read_text().count("passed") == (tmp_path / "r.md").read_text().count(
            "passed"
        )

    def test_a_removal_that_is_interrupted_leaves_the_verdict_in_each_place(self, tmp_path: Path) -> None:
        os.mkfifo(
            tmp_path / "fifo"
        )  # it is written to once, in the end, or it would wait for its reader here

        def run(show: Callable[[Result], None]) -> Result:
            files.write_ahead(Targets(junit=tmp_path / "fifo"), report_samples.passed())
            show(report_samples.passed())
            raise KeyboardInterrupt

        console = quiet()
        with pytest.raises(KeyboardInterrupt):
            results.told(run, self.targets(tmp_path, json="-"), console)
        assert json.loads(console._out.getvalue())["verdict"] == "passed"
        assert (tmp_path / "summary").read_text() == "before\n" + (tmp_path / "r.md").read_text()
        assert (tmp_path / "r.html").exists()

    def test_one_that_fails_keeps_no_other_from_being_written(self, tmp_path: Path) -> None:
        targets = self.targets(tmp_path, json=str(tmp_path / "gone/r.json"))
        (failure,) = files.write(targets, report_samples.passed(), quiet())
        assert "gone/r.json can't be written: No such file" in failure.message
        assert failure.hint == f"ls -ld {tmp_path}/gone"
        assert all((tmp_path / name).stat().st_size > 100 for name in ("r.xml", "r.md", "r.html", "summary"))

    @pytest.mark.parametrize("sample", [report_samples.passed, report_samples.gate_failed])
    def test_a_file_that_cannot_be_written_counts_as_one_more_failure(
        self, tmp_path: Path, sample: Callable
    ) -> None:
        targets = self.targets(tmp_path, json="-")
        console = Console(stdout=Full(), stderr=io.StringIO())
        assert told(sample(), targets, console) == 4  # before 1
        assert "error: no space left on the disk for /dev/stdout" in console._err.getvalue()
        assert "hint: df -h" in console._err.getvalue()
        assert (tmp_path / "r.xml").exists()

    @pytest.mark.parametrize(
        ("sample", "exit_code"), [(report_samples.passed, 0), (report_samples.gate_failed, 1)]
    )
    def test_a_result_that_nobody_could_read_stands(
        self, tmp_path: Path, sample: Callable, exit_code: int
    ) -> None:
        console = Console(stdout=Full(), stderr=io.StringIO())
        assert told(sample(), self.targets(tmp_path), console) == exit_code
        assert json.loads((tmp_path / "r.json").read_text())["schema"] == 1


class TestStatus:
    VERSION = Version(
        namespace="churn-01234567",
        project="churn",
        commit="a" * 40,
        ref="a/very/long/name/of/a/branch",
        tag="a" * 12,
        author="ann@host",
        created_at=datetime.now(UTC) - timedelta(minutes=5),
        state="failed",
        url="http://churn-01234567.localhost:1",
        expires_at=datetime.now(UTC) + timedelta(hours=3),
    )
    USED = {"churn-01234567": Usage(cpu=0.034, memory_bytes=412_000_000)}  # noqa: RUF012

    def test_table(self) -> None:
        lines = status.render([self.VERSION, self.VERSION], self.USED).splitlines()
        head, first, second = lines[:3]
        assert first == second
        cells = (
            ("VERSION", "churn-01234567"),
            ("REF", "a/very/long"),
            ("STATE", "failed"),
            ("CPU", "0.03"),
            ("MEMORY", "412 MB"),
            ("WHO", "ann@host"),
        )
        for title, cell in cells:
            assert head.index(title) == first.index(cell)
        assert re.match(r"\d+ min", first[head.index("AGE") :])
        assert re.match(r"[23] h", first[head.index("LEFT") :])
        assert "harness down VERSION" in lines[-1]

    def test_none(self) -> None:
        assert status.render([], {}) == "no versions on the cluster\n"
        assert json.loads(status.to_json([], {})) == {"versions": [], "registry": None}

    @pytest.mark.parametrize(
        ("state", "told"),
        [
            ("running", "registry: docker push localhost:5001/IMAGE"),
            (
                "exited",
                "registry: localhost:5001 does not run, its container is exited; harness up starts it",
            ),
        ],
    )
    @pytest.mark.parametrize("versions", [0, 1])
    def test_a_registry_beside_it(self, state: str, told: str, versions: int) -> None:
        registry = LocalRegistry("harness-registry", state, 5001)
        assert status.render([self.VERSION] * versions, {}, registry).splitlines()[-1] == told
        document = json.loads(status.to_json([], {}, registry))
        assert document["registry"] == {"host": "localhost:5001", "state": state}

    def test_one_that_nobody_measured(self) -> None:
        line = status.render([self.VERSION], {}).splitlines()[1]
        assert " -  " in line
        (version,) = json.loads(status.to_json([self.VERSION], {}))["versions"]
        assert version["cpu"] is version["memory_bytes"] is None

    def test_json(self) -> None:
        (version,) = json.loads(status.to_json([self.VERSION], self.USED))["versions"]
        assert version["namespace"] == "churn-01234567"
        assert datetime.fromisoformat(version["created_at"]) == self.VERSION.created_at
        assert version["age_s"] >= 300
        assert version["cpu"] == 0.034
        assert version["memory_bytes"] == 412_000_000


class TestCrash:
    @staticmethod
    def error() -> ZeroDivisionError:
        with pytest.raises(ZeroDivisionError) as caught:
            1 / 0  # noqa: B018
        return caught.value

    def test_traceback_goes_into_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        told = crash.crash_report(self.error())
        assert (told.cause, told.exit_code) == (CauseCode.INTERNAL, 70)
        assert told.message == "a bug of harness: ZeroDivisionError: division by zero"
        assert told.evidence == ()
        (file,) = tmp_path.iterdir()
        assert str(file) in told.hint
        assert "Traceback" in file.read_text()

    def test_nowhere_to_write(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
        told = crash.crash_report(self.error())
        assert told.cause is CauseCode.INTERNAL
        assert told.evidence[-1] == "ZeroDivisionError: division by zero"
        assert "No such file" in told.hint


class TestDisk:
    @pytest.mark.parametrize(
        ("number", "cause"),
        [
            (errno.ENOSPC, CauseCode.DISK_FULL),
            (errno.EDQUOT, CauseCode.DISK_FULL),
            (errno.EACCES, CauseCode.FOLDER_UNUSABLE),
            (errno.EROFS, CauseCode.FOLDER_UNUSABLE),
            (errno.ENOTDIR, CauseCode.FOLDER_UNUSABLE),
        ],
    )
    def test_what_is_known(self, number: int, cause: CauseCode) -> None:
        with pytest.raises(HarnessError, match="/cache/x") as caught, disk.explained():
            raise OSError(number, "refused", "/cache/x")
        assert caught.value.cause is cause
        assert caught.value.hint

    @pytest.mark.parametrize(
        "error",
        [ConnectionResetError(errno.ECONNRESET, "reset"), OSError(errno.ENOENT, "gone", "/x"), OSError("?")],
    )
    def test_what_is_not(self, error: OSError) -> None:
        with pytest.raises(type(error)) as caught, disk.explained():
            raise error
        assert caught.value is error

    def test_folder(self, tmp_path: Path) -> None:
        assert disk.folder(tmp_path / "a/b", variable="X").is_dir()
        (tmp_path / "file").touch()
        with pytest.raises(HarnessError, match="Not a directory") as caught:
            disk.folder(tmp_path / "file/a/b", variable="HARNESS_X")
        assert caught.value.cause is CauseCode.FOLDER_UNUSABLE
        assert f"ls -ld {tmp_path}/file," in caught.value.hint
        assert "export HARNESS_X=" in caught.value.hint
