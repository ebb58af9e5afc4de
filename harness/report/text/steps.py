"""How the steps that run are drawn: one line for each, with what it does now and how long it has run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from harness.report import format
from harness.report.text.style import Style, encodable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

FIRST_SIGN_S = 10.0
QUIET_S = 2.0  # on a terminal, until a step is drawn that is mostly done at once
_MOST_LINES = 12
_NARROWEST_BAR, _WIDEST_BAR = 8, 30
_NARROWEST_TITLE = 16
_AMOUNT_COLUMNS = 34  # "1100 of 2140 packages, 15 min left"
# "12.5 of 70 MB", "612 of 2140 packages": what a step has done of all.
_AMOUNT = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?) of (?:at most )?(\d+(?:\.\d+)?) \w")


class ConsoleStep:
    """A step on the console; `update` and `done` may come from any thread."""

    def __init__(self, title: str, started_s: float, *, is_quiet: bool = False) -> None:
        self.title = title
        self.started_s = started_s
        self.is_quiet = is_quiet
        self.detail = ""
        self.next_sign_s = started_s + FIRST_SIGN_S

    def update(self, detail: str) -> None:
        """Show what the step is doing now, in a few words."""
        self.detail = format.one_line(detail)

    def done(self, detail: str) -> None:
        """What to show beside the step once it has ended."""
        self.detail = format.one_line(detail)

    def is_seen(self, now_s: float) -> bool:
        """Whether a terminal draws it by now."""
        return not self.is_quiet or now_s - self.started_s >= QUIET_S


def share(detail: str) -> float | None:
    """How much of the whole is done, from 0 to 1, where the words of a step hold an amount of one."""
    found = _AMOUNT.search(detail)
    if found is None or float(found[2]) <= 0:
        return None
    return min(1.0, float(found[1]) / float(found[2]))


def start_live(
    stream: TextIO, style: Style, environ: Mapping[str, str], draw: Callable[[], RenderableType]
) -> Live:
    """What `draw` gives, drawn again and again below all that is printed, until it is stopped."""
    from rich.console import Console as RichConsole
    from rich.live import Live

    screen = RichConsole(
        file=stream,
        force_terminal=True,
        no_color=not style.colour,
        color_system="standard" if style.colour else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ=dict(environ),
    )
    live = Live(
        get_renderable=draw,
        console=screen,
        refresh_per_second=8,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    live.start()
    return live


def drawn(running: Sequence[ConsoleStep], now_s: float, style: Style, stream: TextIO) -> RenderableType:
    """The steps that are to be seen by now, as lines of the terminal."""
    from rich.console import Group
    from rich.text import Text

    frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if style.signs.passed == "✓" else "|/-\\"
    frame = frames[int(now_s * 8) % len(frames)]
    lines = []
    seen = [step for step in running if step.is_seen(now_s)]
    for step in seen[:_MOST_LINES]:
        elapsed_s = int(now_s - step.started_s)
        took = format.seconds(elapsed_s) if elapsed_s >= 10 else f"{elapsed_s} s"
        line = Text(f"{frame} ", style="cyan", no_wrap=True, overflow="ellipsis")
        done = share(step.detail)
        columns = max(_NARROWEST_BAR, min(_WIDEST_BAR, style.width // 10))
        # What is done of all, and the time left, come before the end of a long title.
        beside = 2 + len(took) + columns + _AMOUNT_COLUMNS + 6 if done is not None else 0
        line.append(style.fit(step.title, max(_NARROWEST_TITLE, style.width - beside)), style="default")
        line.append(f"  {took}", style="dim")
        if done is not None:
            full = round(columns * done)
            line.append(f"  {style.signs.bar * full}", style="cyan")
            line.append(f"{style.signs.rest * (columns - full)}", style="dim")
        line.append(f"  {encodable(step.detail, stream)}" if step.detail else "", style="dim")
        lines.append(line)
    hidden = len(seen) - _MOST_LINES
    if hidden > 0:
        lines.append(Text(f"  and {hidden} more", style="dim"))
    return Group(*lines)
