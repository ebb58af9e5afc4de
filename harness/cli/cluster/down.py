"""`harness down`: the cluster or one version removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import completion
from harness.cli.options import ClusterOptions
from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


def down(
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION",
            help="Remove this version alone: namespace, ref or commit.",
            autocompletion=completion.versions,
        ),
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Also when other people's versions live on it.")
    ] = False,
    *,
    cluster: ClusterOptions,
) -> int:
    """Remove the cluster whole, or one version of it."""

    def command(console: Console) -> int:
        from harness.engine import down as downs

        if version:
            gone = downs.down_version(cluster.chosen, version, console)
            console.note(f"{gone.namespace} ({gone.ref}) is gone")
        else:
            downs.down(cluster.chosen, console, force=force)
        return 0

    return run(command, cluster.chosen)
