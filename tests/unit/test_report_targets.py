"""Where results go, the table of versions, what a crash leaves behind, and what a file system's refusal means."""

from __future__ import annotations

import errno
import io
import json
import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import report_samples

from harness.engine.look import Version
from harness.engine.usage import Usage
from harness.errors import CauseCode, HarnessError
from harness.host import disk
from harness.report import crash, files, status
from harness.report.console import Console
from harness.report.files import Targets


class TestTargets:
    def test_what_can_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "there").touch()
        files.check(Targets(json=str(tmp_path / "new.json"), junit=tmp_path / "there"))
        files.check(Targets(json="-"))
        files.check(Targets())
        assert not (tmp_path / "new.json").exists()

    @pytest.mark.parametrize("form", ["json", "junit", "markdown", "html"])
    def test_what_can_not(self, tmp_path: Path, form: str) -> None:
        for path, words in ((tmp_path / "none/file", "no folder"), (tmp_path, "can't be written")):
            target = str(path) if form == "json" else path
            with pytest.raises(HarnessError, match=words) as caught:
                files.check(Targets(**{form: target}))
            assert caught.value.cause is CauseCode.USAGE
            assert str(path.parent if words == "no folder" else path) in caught.value.hint

    def test_each_form_says_the_same_verdict(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
        (tmp_path / "summary").write_text("before\n")
        targets = Targets(
            json=str(tmp_path / "r.json"),
            junit=tmp_path / "r.xml",
            markdown=tmp_path / "r.md",
            html=tmp_path / "r.html",
        )
        result = report_samples.gate_failed()
        out = io.StringIO()
        files.write(targets, result, Console(stdout=out, stderr=io.StringIO()))
        assert out.getvalue() == ""
        assert json.loads((tmp_path / "r.json").read_text())["verdict"] == "failed"
        assert 'failures="' in (tmp_path / "r.xml").read_text()
        assert (tmp_path / "summary").read_text() == "before\n" + (tmp_path / "r.md").read_text()
        assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")

    def test_json_to_stdout_is_json_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
        out = io.StringIO()
        files.write(Targets(json="-"), report_samples.passed(), Console(stdout=out, stderr=io.StringIO()))
        assert json.loads(out.getvalue())["schema"] == 1


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
        assert json.loads(status.to_json([], {})) == {"versions": []}

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
