"""`harness doctor`: what this machine can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import AsJson
from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


Fix = Annotated[bool, typer.Option("--fix", help="Install and start what is missing, where that is safe.")]


def doctor(fix: Fix = False, json: AsJson = False) -> int:
    """Look at what this machine can do and what it lacks."""
    from harness.host.doctor import examination as doctors
    from harness.host.doctor import fixes
    from harness.host.sources import choice as sources

    def command(console: Console) -> int:
        wanted = sources.asked()
        with console.waiting("looking at this machine, Docker and the hosts that releases come from"):
            report = doctors.examine(sources=wanted)
        if fix:
            for line in fixes.fix(report, console):
                console.note(line)
            with console.waiting("looking at what was fixed"):
                report = doctors.examine(sources=wanted)
        if json:
            console.data(report.to_json())
        else:
            from harness.report.text import doctor as renderer

            console.show(renderer.render(report))
        return report.exit_code

    return run(command)
