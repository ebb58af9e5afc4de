"""The one place that prints: data on stdout, progress and messages on stderr."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from harness.errors import HarnessError
from harness.report import format
from harness.report.text import terminal
from harness.report.text.steps import FIRST_SIGN_S, ConsoleStep, drawn, start_live
from harness.report.text.style import encodable, is_terminal, let_go, style_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from harness.report.model import Result

SIGN_EVERY_S = 15.0
LATER_SIGN_EVERY_S = 60.0  # of a step that has run for a minute: a build's log is to be read


class Console:
    """Progress on stderr, live on a terminal and line by line elsewhere; data on stdout.

    Use it as a context manager: on the way out, also after Ctrl-C, the terminal is as it was.
    """

    def __init__(
        self,
        *,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = stdout if stdout is not None else sys.stdout
        self._err = stderr if stderr is not None else sys.stderr
        self._environ = os.environ if environ is None else environ
        self._clock = clock
        self._lock = threading.RLock()
        self._running: list[ConsoleStep] = []
        self._live: Live | None = None
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None
        self.style = style_of(self._err, self._environ)
        self._is_live = is_terminal(self._err, self._environ)
        self._in_actions = self._environ.get("GITHUB_ACTIONS") == "true"
        self.is_read = True  # until whoever reads stdout has gone

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what is live. Steps that still run are shown as interrupted."""
        self._closed.set()
        with self._lock:
            for step in list(self._running):
                self._end(step, False, "interrupted")
            self._stop_live()
            for stream in (self._out, self._err):
                let_go(stream)

    def step(self, title: str) -> AbstractContextManager[ConsoleStep]:
        """Show `title` until the block ends, then its seconds; a block that raises is shown as failed."""
        return self._shown(ConsoleStep(format.one_line(title), self._clock()))

    def waiting(self, title: str) -> AbstractContextManager[ConsoleStep]:
        """A step for what is mostly done at once: shown only where it takes its time."""
        return self._shown(ConsoleStep(format.one_line(title), self._clock(), is_quiet=True))

    @contextmanager
    def _shown(self, step: ConsoleStep) -> Iterator[ConsoleStep]:
        self._begin(step)
        try:
            yield step
        except (KeyboardInterrupt, SystemExit):
            self._end(step, False, "interrupted")
            raise
        except BaseException:
            self._end(step, False, step.detail)
            raise
        self._end(step, True, step.detail)

    def note(self, text: str) -> None:
        """One line for the person who watches."""
        self._print(format.clean(text))

    def error(self, error: HarnessError) -> None:
        """What failed, why, and what to do, on stderr."""
        self._print(terminal.render_error(error, self.style).rstrip("\n"))

    def data(self, text: str) -> None:
        """`text` as it is, to stdout: for programs to read. UTF-8 where the stream has no code for it.

        A reader that has gone is no failure: it had all that it wanted. Raises OSError for all else.
        """
        end = "" if text.endswith("\n") else "\n"
        with self._lock:
            try:
                try:
                    self._out.write(text + end)
                except UnicodeEncodeError:
                    self._out.flush()
                    self._out.buffer.write((text + end).encode(errors="replace"))
                self._out.flush()
            except BrokenPipeError:
                self.is_read = False

    def json(self, document: object) -> None:
        """A small document for programs, to stdout."""
        import json

        self.data(json.dumps(document, indent=2))

    def show(self, renderable: RenderableType) -> None:
        """Something that rich lays out, to stdout."""
        from rich.console import Console as RichConsole

        screen = RichConsole(file=self._out, highlight=False)
        with screen.capture() as captured:  # rich itself would exit where nobody reads
            screen.print(renderable)
        self.data(captured.get())

    def result(self, result: Result, *, to_stderr: bool = False) -> None:
        """The result for people, on stdout; on stderr where stdout is taken by data.

        Its verdict stands, shown or not: what can't be printed raises nothing.
        """
        stream = self._err if to_stderr else self._out
        text = terminal.render(result, style_of(stream, self._environ))
        if to_stderr:
            self._print(text.rstrip("\n"))
        else:
            with suppress(OSError), self._aside():
                self.data(encodable(self._harmless(text), stream))

    def annotate(self, commands: Iterable[str]) -> None:
        """Commands of our own to the runner of GitHub Actions, where that is who reads."""
        if self._in_actions:
            with self._lock, suppress(OSError, ValueError):
                self._err.write("".join(f"{encodable(command, self._err)}\n" for command in commands))
                self._err.flush()

    def tick(self) -> None:
        """On a plain stream: one line for each step that has run for long since its last one.

        On a terminal: begin to draw a quiet step that takes its time.
        """
        with self._lock:
            now_s = self._clock()
            if self._is_live:
                if self._live is None and any(step.is_seen(now_s) for step in self._running):
                    self._live = self._start_live()
                return
            for step in self._running:
                if now_s >= step.next_sign_s:
                    is_long = now_s - step.started_s >= LATER_SIGN_EVERY_S
                    step.next_sign_s = now_s + (LATER_SIGN_EVERY_S if is_long else SIGN_EVERY_S)
                    what = f"{step.title}: {step.detail}" if step.detail else step.title
                    took = f"({format.seconds(now_s - step.started_s)})"
                    self._print(f"{self.style.signs.running} {what} {self.style.paint(took, 'dim')}")

    def _begin(self, step: ConsoleStep) -> None:
        with self._lock:
            self._running.append(step)
            if self._is_live and not step.is_quiet:
                self._live = self._live or self._start_live()
            elif self._watch is None:
                self._watch = threading.Thread(target=self._watch_steps, daemon=True, name="progress")
                self._watch.start()

    def _end(self, step: ConsoleStep, passed: bool, detail: str) -> None:
        with self._lock:
            if step not in self._running:
                return  # close() was first
            self._running.remove(step)
            if not self._running:
                self._stop_live()
            elif self._live is not None:
                self._live.refresh()  # the ended step's line must not be drawn once more
            if step.is_quiet and self._clock() - step.started_s < FIRST_SIGN_S:
                return
            signs = self.style.signs
            sign = (
                self.style.paint(signs.passed, "green") if passed else self.style.paint(signs.failed, "red")
            )
            took = self.style.paint(format.seconds(self._clock() - step.started_s), "dim")
            self._print("  ".join(part for part in (f"{sign} {step.title}", detail, took) if part))

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Take what is live from the terminal, where stdout is about to write; steps that run are drawn again."""
        with self._lock:
            was_live = self._live is not None
            self._stop_live()
            yield
            if was_live and self._running:
                self._live = self._start_live()

    def _watch_steps(self) -> None:
        while not self._closed.wait(1.0):
            self.tick()

    def _print(self, text: str) -> None:
        text = encodable(self._harmless(text), self._err)
        with self._lock, suppress(OSError, ValueError):  # nobody reads stderr any more: work on
            if self._live is not None:
                from rich.text import Text

                self._live.console.print(Text.from_ansi(text), soft_wrap=True, highlight=False)
            else:
                self._err.write(text + "\n")
                self._err.flush()

    def _harmless(self, text: str) -> str:
        """In GitHub Actions, lines of a log must not become commands of the runner."""
        if not self._in_actions or ("::" not in text and "##[" not in text):
            return text
        lines = text.replace("##[", "## [").split("\n")
        return "\n".join(
            line.replace("::", ": :", 1) if line.lstrip().startswith("::") else line for line in lines
        )

    def _start_live(self) -> Live:
        return start_live(self._err, self.style, self._environ, self._running_steps)

    def _stop_live(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def _running_steps(self) -> RenderableType:
        return drawn(list(self._running), self._clock(), self.style, self._err)
