"""`harness gc`: what nobody uses, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import ClusterName, ContextName, chosen, seconds_of
from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


def gc(
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="TIME", help="Also kept versions older than this, such as 2h."),
    ] = None,
    name: ClusterName = "harness",
    context: ContextName = None,
) -> int:
    """Remove versions that nobody uses: whose time is over, or whose client is gone."""
    name = chosen(name, context)

    def command(console: Console) -> int:
        from harness.engine.lifetime import gc as collect

        gone = collect(name, console, older_than_s=seconds_of("--older-than", older_than))
        console.note(f"{len(gone)} removed" if gone else "nothing to remove")
        return 0

    return run(command, name)
