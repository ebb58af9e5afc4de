"""Running real programs: output, input, deadlines, and that nothing is left running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import CauseCode, HarnessError
from harness.host import process


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has: whoever started it has not asked yet)."""
    for _ in range(50):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.1)
    return False


class TestRun:
    def test_output_apart(self) -> None:
        done = process.run(["sh", "-c", "echo out; echo err >&2"])
        assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "err\n")

    def test_arguments_are_no_shell(self) -> None:
        hostile = "$(touch x); `id` * \n 'a' \"b\""
        assert process.run(["printf", "%s", hostile]).stdout == hostile

    def test_input(self) -> None:
        assert process.run(["cat"], input_text="größer\n").stdout == "größer\n"
        assert process.run(["cat"]).stdout == ""  # never ours

    def test_environment_is_added(self) -> None:
        done = process.run(["sh", "-c", 'echo "$ADDED $PATH"'], env={"ADDED": "1"})
        assert done.stdout == f"1 {os.environ['PATH']}\n"

    def test_output_that_is_no_text(self) -> None:
        assert process.run(["printf", r"a\377b"]).stdout == "a\ufffdb"
        assert process.run_bytes(["printf", r"a\377b"]).stdout == b"a\xffb"

    def test_big_output_on_both_streams_and_big_input(self) -> None:
        script = """import sys
data = sys.stdin.buffer.read()
sys.stderr.write("e" * 3_000_000)
sys.stdout.buffer.write(data)"""
        data = b"x" * 3_000_000
        done = process.run_bytes([sys.executable, "-c", script], stdin=[data[:1_000_000], data[1_000_000:]])
        assert done.stdout == data
        assert len(done.stderr) == 3_000_000

    def test_failure(self) -> None:
        with pytest.raises(process.ProgramError) as caught:
            process.run(
                ["sh", "-c", "echo first >&2; echo last >&2; exit 3"], cause=CauseCode.BUILD_FAILED, hint="h"
            )
        assert caught.value.cause is CauseCode.BUILD_FAILED
        assert (
            caught.value.message == "`sh -c echo first >&2; echo last >&2; exit 3` ended with status 3: last"
        )
        assert caught.value.evidence == ("first", "last")
        assert caught.value.hint == "h"
        assert process.run(["false"], check=False).returncode == 1

    def test_no_such_program(self) -> None:
        with pytest.raises(HarnessError, match="no program `harness-has-none`") as caught:
            process.run(["harness-has-none"])
        assert caught.value.cause is CauseCode.TOOL_MISSING
        assert caught.value.hint == "harness doctor"

    def test_what_is_no_program(self, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("not a program")
        with pytest.raises(HarnessError, match="may not be run") as caught:
            process.run([tmp_path / "text"])
        assert caught.value.cause is CauseCode.TOOL_MISSING
        assert caught.value.hint
        (tmp_path / "text").chmod(0o755)
        with pytest.raises(HarnessError, match="can't be run") as caught:
            process.run([tmp_path / "text"])
        assert caught.value.cause is CauseCode.TOOL_MISSING

    def test_no_such_folder(self, tmp_path: Path) -> None:
        with pytest.raises(HarnessError, match="no directory"):
            process.run(["true"], cwd=tmp_path / "none")

    def test_too_slow(self, tmp_path: Path) -> None:
        """Also what it started, which does not heed SIGTERM."""
        script = f"trap '' TERM; sleep 300 & echo $! > {tmp_path}/pid; echo begun; wait; sleep 300"
        began_s = time.monotonic()
        with pytest.raises(process.ProgramError, match="stopped after 1 s") as caught:
            process.run(["sh", "-c", script], timeout_s=1.0, cause=CauseCode.CLUSTER_FAILED)
        assert time.monotonic() - began_s < 10
        assert caught.value.completed.stdout == "begun\n"
        assert gone(int((tmp_path / "pid").read_text()))

    def test_too_slow_with_a_child_that_does_not_end(self, tmp_path: Path) -> None:
        """It holds the pipe open after its parent has gone: waiting for the output's end would last as long."""
        script = f"(trap '' TERM; sleep 60) & echo $! > {tmp_path}/pid; wait"
        began_s = time.monotonic()
        with pytest.raises(process.ProgramError, match="stopped after 1 s"):
            process.run(["sh", "-c", script], timeout_s=1.0, cause=CauseCode.CLUSTER_FAILED)
        assert time.monotonic() - began_s < 10
        assert gone(int((tmp_path / "pid").read_text()))

    def test_input_that_nobody_reads(self) -> None:
        assert process.run_bytes(["true"], stdin=(b"x" * 100_000 for _ in range(100))).returncode == 0

    def test_input_that_fails(self) -> None:
        def chunks() -> Iterator[bytes]:
            yield b"half"
            raise HarnessError(CauseCode.CODE_INCOMPLETE, "the rest is not here")

        with pytest.raises(HarnessError, match="the rest is not here"):
            process.run_bytes(["cat"], stdin=chunks())


class TestStream:
    def test_lines_as_they_come(self, tmp_path: Path) -> None:
        lines: list[str] = []
        log = tmp_path / "log"
        process.stream(["sh", "-c", "echo one; echo two >&2; printf three"], on_line=lines.append, log=log)
        assert lines == ["one", "two", "three"]
        assert log.read_text().splitlines()[1:] == lines
        assert log.read_text().startswith("$ sh -c ")

    def test_failure_has_the_last_lines(self) -> None:
        with pytest.raises(process.ProgramError, match="status 7: line 99") as caught:
            process.stream(
                ["sh", "-c", "i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done; exit 7"],
                on_line=lambda _: None,
                cause=CauseCode.BUILD_FAILED,
            )
        assert len(caught.value.evidence) == process.TAIL_LINES

    def test_a_listener_that_raises_ends_it(self, tmp_path: Path) -> None:
        def refuse(_: str) -> None:
            raise ValueError("enough")

        with pytest.raises(ValueError, match="enough"):
            process.stream(["sh", "-c", f"echo $$ > {tmp_path}/pid; echo x; sleep 300"], on_line=refuse)
        assert gone(int((tmp_path / "pid").read_text()))


@pytest.fixture
def heeded_interrupts() -> Iterator[None]:
    """Ctrl-C raises; what a script starts in its background ignores it from the start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("way", ["run", "stream"])
@pytest.mark.usefixtures("heeded_interrupts")
def test_interrupted_nothing_is_left(tmp_path: Path, way: str) -> None:
    """Ctrl-C reaches us alone: the whole group of what we started is ended, and the interrupt goes on."""
    script = f"sleep 300 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/pid; echo begun; wait"

    def interrupt() -> None:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        if way == "run":
            process.run(["sh", "-c", script])
        else:
            process.stream(["sh", "-c", script], on_line=lambda _: None)
    thread.join()
    for name in ("pid", "child"):
        assert gone(int((tmp_path / name).read_text()))


def test_detached_outlives_and_logs(tmp_path: Path) -> None:
    log = tmp_path / "logs/log"
    pid = process.spawn_detached(["sh", "-c", "echo told; exec sleep 300"], log=log)
    try:
        assert os.getpgid(pid) == pid
        for _ in range(50):
            if log.read_text():
                break
            time.sleep(0.1)
        assert log.read_text() == "told\n"
    finally:
        os.killpg(pid, signal.SIGKILL)


class TestBeside:
    def test_an_error_ends_what_runs_and_what_would_have(self, tmp_path: Path) -> None:
        script = f"echo $$ > {tmp_path}/pid; exec sleep 300"
        began_s = time.monotonic()

        def work() -> None:
            with contextlib.suppress(HarnessError):
                process.run(["sh", "-c", script])
            process.run(["touch", tmp_path / "second"])

        with pytest.raises(ValueError, match="main"), process.threads(1) as executor:
            ended = executor.submit(work)
            waiting = executor.submit(process.run, ["touch", tmp_path / "third"])
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                time.sleep(0.05)
            raise ValueError("main")
        assert time.monotonic() - began_s < 10
        assert gone(int((tmp_path / "pid").read_text()))
        assert waiting.cancelled()
        error = ended.exception()
        assert isinstance(error, HarnessError)
        assert error.cause is CauseCode.INTERRUPTED
        assert not (tmp_path / "second").exists()

    def test_also_inside_of_another(self, tmp_path: Path) -> None:
        def inner() -> None:
            with process.threads(1) as executor:
                executor.submit(
                    process.run, ["sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 300"]
                ).result()

        with pytest.raises(ValueError, match="main"), process.threads(1) as outer:
            outer.submit(inner)
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                time.sleep(0.05)
            raise ValueError("main")
        assert gone(int((tmp_path / "pid").read_text()))

    def test_without_an_error_it_is_awaited(self) -> None:
        with process.threads(2) as executor:
            done = [executor.submit(process.run, ["echo", str(number)]) for number in range(4)]
        assert [each.result().stdout for each in done] == ["0\n", "1\n", "2\n", "3\n"]


def test_a_program_ends_with_us_however_we_end(tmp_path: Path) -> None:
    script = f"from harness.host import process; process.run(['sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 300'])"
    parent = subprocess.Popen([sys.executable, "-c", script])
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_cleans_up_the_second_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    script = f"""import os, pathlib, signal, time
from harness.host import signals
signal.signal({int(number)}, signal.default_int_handler if {int(number)} == signal.SIGINT else signal.SIG_DFL)
signals.heed(lambda: os._exit(130))
pathlib.Path({str(tmp_path / "begun")!r}).touch()
try:
    time.sleep(300)
except KeyboardInterrupt:
    pathlib.Path({str(tmp_path / "cleaning")!r}).touch()
    time.sleep(300)
"""
    asked = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    for step in ("begun", "cleaning"):
        while not (tmp_path / step).exists():
            assert asked.poll() is None, f"it ended before it was {step}"
            time.sleep(0.05)
        asked.send_signal(number)
    _, said = asked.communicate(timeout=10)
    assert asked.returncode == 130
    assert "cleaning up" in said
