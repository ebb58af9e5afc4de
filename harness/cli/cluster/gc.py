"""`harness gc`: what nobody uses, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import ClusterOptions, seconds_of
from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


def gc(
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="TIME", help="Also kept versions older than this, such as 2h."),
    ] = None,
    unused_for: Annotated[
        str | None,
        typer.Option(
            "--unused-for",
            metavar="TIME",
            help="What of the cache and the node goes, within the limits too; 168h unless told.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    *,
    cluster: ClusterOptions,
) -> int:
    """Remove what nobody uses: versions, and what the cache and the node keep of earlier ones."""

    def command(console: Console) -> int:
        from harness.engine.collection import collect
        from harness.report.text.disk import render_rubbish

        gone = collect(
            cluster.chosen,
            console,
            older_than_s=seconds_of("--older-than", older_than),
            unused_s=seconds_of("--unused-for", unused_for),
            dry_run=dry_run,
        )
        told = render_rubbish(gone.rubbish, gone.versions)
        if told:
            console.data(told)
        if dry_run:
            console.note("this would be removed: harness gc" if told else "nothing to remove")
        else:
            console.note("this was removed" if told else "nothing to remove")
        return 0

    return run(command, cluster.chosen)
