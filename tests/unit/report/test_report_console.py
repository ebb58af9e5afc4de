"""Where things are printed: data on stdout, steps on stderr, as the stream can show them."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest
import report_samples as samples

from harness.errors import CauseCode, HarnessError
from harness.report.text.console import Console
from harness.report.text.style import ASCII, UNICODE, is_terminal, style_of


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def plain(clock):
    """A console on two pipes."""
    with Console(stdout=io.StringIO(), stderr=io.StringIO(), environ={}, clock=clock) as console:
        yield console


def lines(console: Console) -> list[str]:
    return console._err.getvalue().splitlines()


class TestPlain:
    def test_a_line_per_finished_step(self, plain, clock):
        with plain.step("load image") as step:
            step.update("3 of 5 layers")
            clock.now_s += 4.2
            assert lines(plain) == []
            step.done("10.2 kB sent")
        with plain.step("deploy"):
            clock.now_s += 12
        assert lines(plain) == ["✓ load image  10.2 kB sent  4.2 s", "✓ deploy  12 s"]
        assert plain._out.getvalue() == ""

    def test_a_failed_step_passes_its_error_on(self, plain, clock):
        with pytest.raises(HarnessError), plain.step("deploy") as step:
            step.update("waiting for the scheduler")
            clock.now_s += 12
            raise HarnessError(CauseCode.DEPLOY_FAILED, "no")
        assert lines(plain) == ["✗ deploy  waiting for the scheduler  12 s"]

    def test_ctrl_c_is_told_apart(self, plain):
        with pytest.raises(KeyboardInterrupt), plain.step("deploy"):
            raise KeyboardInterrupt
        assert lines(plain) == ["✗ deploy  interrupted  0.00 s"]

    def test_a_long_step_gives_a_sign_of_life(self, plain, clock):
        with plain.step("create cluster") as step:
            for _ in range(43):
                clock.now_s += 1
                step.update("waiting for the node")
                plain.tick()
        assert lines(plain) == [
            "… create cluster: waiting for the node (10 s)",
            "… create cluster: waiting for the node (25 s)",
            "… create cluster: waiting for the node (40 s)",
            "✓ create cluster  waiting for the node  43 s",
        ]

    def test_a_step_of_minutes_gives_a_sign_each_minute(self, plain, clock):
        with plain.step("compile"):
            for _ in range(200):
                clock.now_s += 1
                plain.tick()
            told = lines(plain)
        assert [line.partition("(")[2] for line in told] == [
            "10 s)",
            "25 s)",
            "40 s)",
            "55 s)",
            "1 min 10 s)",
            "2 min 10 s)",
            "3 min 10 s)",
        ]

    def test_what_is_mostly_done_at_once_is_told_where_it_is_not(self, plain, clock):
        with plain.waiting("asking the cluster"):
            clock.now_s += 9
            plain.tick()
        with pytest.raises(HarnessError), plain.waiting("asking Docker"):
            raise HarnessError(CauseCode.DOCKER_MISSING, "no")
        assert lines(plain) == []
        with plain.waiting("asking the cluster") as step:
            step.update("who is there")
            clock.now_s += 11
            plain.tick()
        assert lines(plain) == [
            "… asking the cluster: who is there (11 s)",
            "✓ asking the cluster  who is there  11 s",
        ]

    def test_steps_of_several_threads(self, plain):
        def work(number: int) -> None:
            for turn in range(20):
                with plain.step(f"step {number}.{turn}") as step:
                    step.update("busy")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(lines(plain)) == sorted(
            f"✓ step {n}.{t}  busy  0.00 s" for n in range(8) for t in range(20)
        )

    def test_close_ends_what_still_runs(self, plain):
        block = plain.step("load")
        block.__enter__()
        plain.close()
        block.__exit__(None, None, None)
        assert lines(plain) == ["✗ load  interrupted  0.00 s"]

    def test_texts_can_not_draw(self, plain):
        with plain.step("a\x1b[2J\nb") as step:
            step.update("c\rd")
        plain.note("e\x1b]0;title\x07f")
        assert lines(plain) == ["✓ a b  c d  0.00 s", "ef"]

    def test_error(self, plain):
        plain.error(HarnessError(CauseCode.USAGE, "no such ref", hint="git branch -a"))
        assert lines(plain) == ["error: no such ref", "", "hint: git branch -a"]

    def test_nobody_reads_stderr(self, plain):
        plain._err.close()
        with plain.step("works on"):
            pass
        plain.note("works on")


class TestData:
    def test_goes_to_stdout_as_it_is(self, plain):
        plain.data('{"a": "\x1b é"}')
        plain.data("line\n")
        assert plain._out.getvalue() == '{"a": "\x1b é"}\nline\n'
        assert lines(plain) == []

    def test_is_utf8_where_the_stream_has_no_code(self):
        raw = io.BytesIO()
        out = io.TextIOWrapper(raw, encoding="ascii")
        Console(stdout=out, stderr=io.StringIO(), environ={}).data('{"a": "✓"}')
        assert raw.getvalue() == '{"a": "✓"}\n'.encode()

    @pytest.mark.parametrize("to_stderr", [False, True])
    def test_result_goes_where_asked(self, plain, to_stderr):
        plain.result(samples.gate_failed(), to_stderr=to_stderr)
        shown, other = (plain._err, plain._out) if to_stderr else (plain._out, plain._err)
        assert shown.getvalue().endswith("accuracy 0.9123 is below its minimum 0.93\n")
        assert other.getvalue() == ""

    def test_a_result_on_a_terminal_is_printed_between_what_is_drawn(self, clock):
        screen = Terminal()
        with Console(stdout=screen, stderr=screen, environ={"TERM": "xterm"}, clock=clock) as console:
            with console.step("removing main-1"):
                console.result(samples.passed())
                shown = screen.getvalue()
                assert console._live is not None  # drawn again, below
            assert shown.index("\x1b[?25h") < shown.index("passed") < shown.rindex("\x1b[?25l")


class TestStreams:
    @pytest.mark.parametrize(
        ("environ", "colour"),
        [
            ({}, False),
            ({"FORCE_COLOR": "1"}, True),
            ({"FORCE_COLOR": "0"}, False),
            ({"FORCE_COLOR": ""}, False),
            ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
            ({"NO_COLOR": "", "FORCE_COLOR": "1"}, True),
        ],
    )
    def test_colour_on_a_pipe(self, environ, colour):
        assert style_of(io.StringIO(), environ).colour is colour

    @pytest.mark.parametrize(
        ("environ", "colour"),
        [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"FORCE_COLOR": "0"}, False)],
    )
    def test_colour_on_a_terminal(self, environ, colour):
        assert style_of(Terminal(), environ).colour is colour

    @pytest.mark.parametrize(
        ("environ", "live"),
        [({}, True), ({"TERM": "dumb"}, False), ({"CI": "true"}, False), ({"NO_COLOR": "1"}, True)],
    )
    def test_what_is_redrawn(self, environ, live):
        assert is_terminal(Terminal(), environ) is live
        assert is_terminal(io.StringIO(), environ) is False

    @pytest.mark.parametrize(
        ("encoding", "signs"), [("utf-8", UNICODE), ("ascii", ASCII), ("latin-1", ASCII)]
    )
    def test_signs_suit_the_encoding(self, encoding, signs):
        assert style_of(io.TextIOWrapper(io.BytesIO(), encoding=encoding), {}).signs is signs

    def test_ascii_stream_gets_ascii(self):
        raw = io.BytesIO()
        console = Console(stderr=io.TextIOWrapper(raw, encoding="ascii"), environ={}, clock=Clock())
        with console.step("größe ✓"):
            pass
        console.close()
        assert raw.getvalue() == b"ok gr??e ?  0.00 s\n"

    @pytest.mark.parametrize(("columns", "width"), [("132", 132), ("", 100), ("x", 100), ("1", 40)])
    def test_width(self, columns, width):
        assert style_of(io.StringIO(), {"COLUMNS": columns}).width == width


class TestLive:
    def test_running_steps_are_drawn_and_finished_ones_stay(self, clock):
        screen = Terminal()
        environ = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", "NO_COLOR": "1"}
        with Console(stdout=io.StringIO(), stderr=screen, environ=environ, clock=clock) as console:
            with console.step("outer") as outer:
                outer.update("[bold]not markup[/bold]")
                clock.now_s += 5
                with console.step("inner"):
                    clock.now_s += 2
                console.note("a note")
                assert console._live is not None
            assert console._live is None
        drawn = screen.getvalue()
        assert "[bold]not markup[/bold]" in drawn
        assert drawn.index("✓ inner  2.0 s") < drawn.index("a note") < drawn.index("✓ outer")
        assert drawn.rstrip().endswith("7.0 s")
        assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l")  # the cursor is back

    def test_what_is_mostly_done_at_once_is_drawn_after_a_moment(self, clock):
        screen = Terminal()
        with Console(stdout=io.StringIO(), stderr=screen, environ={}, clock=clock) as console:
            with console.waiting("at once"):
                console.tick()
                assert console._live is None
            assert screen.getvalue() == ""
            with console.step("outer"), console.waiting("beside it"):
                clock.now_s += 1
                console._live.refresh()
            assert "beside it" not in screen.getvalue()
            with console.waiting("not at once"):
                clock.now_s += 3
                console.tick()
                console._live.refresh()
            assert console._live is None
        assert "not at once" in screen.getvalue()
        assert "✓ not at once" not in screen.getvalue()

    def test_ctrl_c_gives_the_terminal_back(self, clock):
        screen = Terminal()
        with pytest.raises(KeyboardInterrupt), Console(stderr=screen, environ={}, clock=clock) as console:
            block = console.step("left open")
            block.__enter__()
            raise KeyboardInterrupt
        assert "left open  interrupted" in screen.getvalue()
        assert screen.getvalue().rindex("\x1b[?25h") > screen.getvalue().rindex("\x1b[?25l")


def test_in_actions_no_line_is_a_command_of_the_runner(clock):
    out, err = io.StringIO(), io.StringIO()
    with Console(stdout=out, stderr=err, environ={"GITHUB_ACTIONS": "true"}, clock=clock) as console:
        console.error(
            HarnessError(CauseCode.TASK_FAILED, "x", evidence=["::add-mask::a", "##[error]b", "std::vector"])
        )
        console.note("  ::set-env name=PATH::x")
        console.result(samples.hostile())
        console.data("::data::")
    shown = (err.getvalue() + out.getvalue()).removesuffix("::data::\n")
    assert not any(line.lstrip().startswith("::") or "##[" in line for line in shown.splitlines())
    assert "std::vector" in shown
    assert out.getvalue().endswith("::data::\n")


class Gone(io.TextIOWrapper):
    """A pipe whose reader has gone."""

    def __init__(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        super().__init__(os.fdopen(writer, "wb"), encoding="utf-8")


class TestNobodyReads:
    def test_what_is_left_leads_nowhere_in_the_end(self):
        gone = Gone()
        with Console(stdout=gone, stderr=io.StringIO(), environ={}) as console:
            assert console.is_read
            console.data("lost")
            assert not console.is_read
            console.result(samples.passed())
            with pytest.raises(BrokenPipeError):
                gone.flush()
        gone.close()  # as Python does on exit

    def test_what_rich_lays_out_does_not_exit(self):
        gone = Gone()
        with Console(stdout=gone, stderr=io.StringIO(), environ={}) as console:
            console.show("lost")
            assert not console.is_read
        gone.close()

    def test_stderr_too(self):
        gone = Gone()
        with Console(stdout=io.StringIO(), stderr=gone, environ={}) as console:
            console.note("lost")
        gone.close()

    def test_a_full_disk_is_told_of_data_alone(self):
        with Path("/dev/full").open("w") as full, Console(stdout=full, environ={}) as console:
            console.result(samples.passed())
            with pytest.raises(OSError, match="No space"):
                console.data("lost")


def test_names_without_utf8_are_shown_in_any_encoding():
    raw = io.BytesIO()
    console = Console(stdout=io.TextIOWrapper(raw, encoding="ascii"), stderr=io.StringIO(), environ={})
    console.data("größe y\udcff")
    assert raw.getvalue().decode() == "größe y?\n"
