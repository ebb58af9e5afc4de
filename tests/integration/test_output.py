"""What becomes of exit codes and files where stdout or stderr is full, closed, or read by nobody."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from harness import __version__
from harness.host import process

NOBODY_READS = '("$@"; echo "exit $?" >&2) | exec true'
ENVIRONMENT = {
    "COLUMNS": "120",
    "NO_COLOR": "1",
    "GITHUB_STEP_SUMMARY": "",
    "DOCKER_HOST": "unix:///nonexistent/docker.sock",
}


def shell(script: str, *arguments: str | Path, cwd: Path) -> process.Completed:
    """Run `harness ARGUMENTS` as the "$@" of a shell script."""
    argv = ["sh", "-c", script, "sh", sys.executable, "-m", "harness", *arguments]
    env = {**ENVIRONMENT, "HARNESS_STATE_DIR": str(cwd / "state")}
    completed = process.run(argv, cwd=cwd, env=env, check=False, timeout_s=60)
    for mark in ("Traceback", "Exception ignored", "a bug of harness"):
        assert mark not in completed.stderr, completed
    return completed


@pytest.mark.parametrize("script", ['"$@" >/dev/full', '"$@" >&-', '"$@" 2>/dev/full', '"$@" 2>&-'])
def test_the_verdict_and_its_file_do_not_depend_on_streams(script: str, tmp_path: Path) -> None:
    assert shell(script, "test", "--json", "result.json", cwd=tmp_path).returncode == 2
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["cause"]["code"] == "not_a_repository"


@pytest.mark.parametrize("arguments", [(), ("--json", "-")], ids=["text", "JSON"])
def test_a_reader_that_has_gone_makes_no_success_of_a_failure(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    said = shell(NOBODY_READS, "test", "--junit", "result.xml", *arguments, cwd=tmp_path)
    assert said.stderr.endswith("exit 2\n"), said
    assert (tmp_path / "result.xml").exists()


def test_a_reader_that_has_gone_makes_no_failure_of_a_success(tmp_path: Path) -> None:
    assert shell(NOBODY_READS, "version", cwd=tmp_path).stderr.endswith("exit 0\n")


def test_the_doctor_keeps_its_exit_code_where_nobody_reads(tmp_path: Path) -> None:
    assert shell(NOBODY_READS, "doctor", cwd=tmp_path).stderr.endswith("exit 3\n")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_is_printed_before_any_command(option: str, tmp_path: Path) -> None:
    said = shell('"$@" >/dev/full', option, cwd=tmp_path)
    assert said.returncode == 4
    assert said.stderr.startswith("error: no space left")
    for script in ('"$@" >&-', '"$@" 2>&-'):
        assert shell(script, option, cwd=tmp_path).returncode == 0
    assert shell('"$@" 2>&-', "--version", cwd=tmp_path).stdout == f"harness {__version__}\n"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="without /proc")
@pytest.mark.parametrize("option", ["--json", "--html", "--bundle"])
def test_where_even_root_may_not_write_is_refused_at_once(option: str, tmp_path: Path) -> None:
    said = shell('"$@"', "test", option, "/proc/x", cwd=tmp_path)
    assert said.returncode == 2
    assert "/proc/x can't be written" in said.stderr
    assert "hint: " in said.stderr


@pytest.mark.parametrize("target", ["-", "/dev/stdout"])
def test_json_goes_through_a_pipe(target: str, tmp_path: Path) -> None:
    said = shell('"$@" 2>/dev/null | head -n 3', "test", "--json", target, cwd=tmp_path)
    assert '"schema": 1' in said.stdout


def test_a_folder_whose_name_is_no_utf8(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/y\xff"))
    folder.mkdir()
    said = shell('"$@"', "test", "--json", "-", "--html", "result.html", cwd=folder)
    assert said.returncode == 2
    assert "/y? is" in json.loads(said.stdout)["cause"]["message"]
    assert "/y? is" in (folder / "result.html").read_text(encoding="utf-8")
