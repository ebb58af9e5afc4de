"""What sitecustomize.py of the chart writes into a termination message, by real Python processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from harness.airflow.pods.pods import peak_memory_bytes

FILES = Path(__file__).parents[2] / "charts/airflow/files"
MIB = 1 << 20
# The supervisor's child that runs the task, as Airflow has it: a fork that goes through its own exit functions.
TASK = """
import os
def task(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    os.waitpid(pid, 0)
"""
LARGE = f"task(lambda: b'x' * (200 * {MIB}))\n"
# Airflow's own supervisor, without the api-server that it would ask.
SUPERVISED = f"""
import uuid
from airflow.sdk.execution_time.supervisor import WatchedSubprocess
process = WatchedSubprocess.start(id=uuid.uuid4(), target=lambda: b'x' * (400 * {MIB}))
while process._service_subprocess(1.0) is None:
    pass
"""
BEGINS = "import os, sys, sitecustomize\nsitecustomize.TERMINATION_LOG = sys.argv[1]\n"
FIRST = "sitecustomize.SUPERVISOR = os.getpid()\n"  # what the pod was made to run, without a namespace of processes


def python(code: str, message: Path, *, path: Path = FILES, before: tuple[str, ...] = ()) -> str:
    """What Python, with the chart's file on its path, wrote to stderr before it ended well."""
    argv = [*before, sys.executable, "-c", BEGINS + TASK + code, str(message)]
    done = subprocess.run(
        argv,
        env={**os.environ, "PYTHONPATH": f"{path}:{FILES}", "AIRFLOW_HOME": str(message.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@cache
def own_processes() -> tuple[str, ...]:
    """The command that gives a program a namespace of processes, in which it is the first."""
    for options in (("--pid", "--fork"), ("--user", "--map-root-user", "--pid", "--fork")):
        argv = ("unshare", *options, "--kill-child", "--mount-proc")
        try:
            asked = subprocess.run(
                [*argv, "sh", "-c", "echo $$"], capture_output=True, timeout=10, check=False
            )
        except OSError:
            break
        if asked.stdout == b"1\n":
            return argv
    pytest.skip("this machine gives no namespace of processes")


@pytest.fixture
def message(tmp_path: Path) -> Path:
    """The file that the kubelet makes for a container."""
    file = tmp_path / "termination-log"
    file.touch(mode=0o666)
    return file


class TestFunction:
    def test_the_largest_child_counts(self, message: Path) -> None:
        python(f"{LARGE}task(lambda: None)\n{FIRST}sitecustomize.tell_peak_memory()", message)
        peak = peak_memory_bytes(message.read_text())
        assert peak is not None
        assert 200 * MIB <= peak < 300 * MIB

    def test_the_tasks_own_message_stays(self, message: Path) -> None:
        message.write_text("half a line of the user's")
        python(f"{LARGE}{FIRST}sitecustomize.tell_peak_memory()", message)
        own, told = message.read_text().splitlines()
        assert own == "half a line of the user's"
        assert peak_memory_bytes(message.read_text()) == peak_memory_bytes(told) is not None

    def test_other_processes_write_nothing(self, message: Path) -> None:
        python("task(lambda: None)\nsitecustomize.tell_peak_memory()", message)
        assert message.read_text() == ""

    @pytest.mark.parametrize("make", [lambda path: None, Path.mkdir], ids=["no file", "a folder"])
    def test_nothing_is_made_and_nothing_fails(self, tmp_path: Path, make: Callable[[Path], None]) -> None:
        path = tmp_path / "termination-log"
        make(path)
        told = python(f"{FIRST}sitecustomize.tell_peak_memory()", path)
        assert told == ""
        assert not path.is_file()

    def test_a_module_of_the_users_with_a_name_of_pythons_does_not_matter(
        self, tmp_path: Path, message: Path
    ) -> None:
        (tmp_path / "resource.py").write_text("raise RuntimeError('not the one you wanted')\n")
        assert python(f"{FIRST}sitecustomize.tell_peak_memory()", message, path=tmp_path) == ""
        assert message.read_text() == ""


class TestAtItsEnd:
    def test_the_first_process_of_a_pod_tells(self, message: Path) -> None:
        started = "import subprocess; subprocess.run([sys.executable, '-c', 'pass'], check=True)\n"
        python(LARGE + started, message, before=own_processes())
        (line,) = message.read_text().splitlines()
        assert 200 * MIB <= (peak_memory_bytes(line) or 0) < 300 * MIB

    def test_airflows_supervisor_tells_of_its_task(self, message: Path) -> None:
        pytest.importorskip("airflow.sdk")
        python(SUPERVISED, message, before=own_processes())
        assert 400 * MIB <= (peak_memory_bytes(message.read_text()) or 0) < 800 * MIB

    def test_also_when_it_ends_by_an_exception(self, message: Path) -> None:
        python(f"{LARGE}raise SystemExit(0)", message, before=own_processes())
        assert peak_memory_bytes(message.read_text()) is not None

    def test_a_fork_that_ends_like_a_program_does_not(self, message: Path) -> None:
        ends = "if os.fork() == 0:\n    sys.exit()\nos.wait()\nos._exit(0)\n"
        python(ends, message, before=own_processes())
        assert message.read_text() == ""

    def test_no_other_process_tells(self, message: Path) -> None:
        python(LARGE, message)
        assert message.read_text() == ""
