"""`harness repro`: a bundle, run again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import ClusterOptions, JsonFile, Keep, KeepWhen, here
from harness.cli.run import run
from harness.cli.testing.result import told

if TYPE_CHECKING:
    from harness.report.text.console import Console


def repro(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The .tar.gz of a version that failed.")],
    keep: KeepWhen = Keep.ON_FAILURE,
    json: JsonFile = None,
    *,
    cluster: ClusterOptions,
) -> int:
    """Run what a bundle was made of again: the same commit with the same configuration, here."""

    def command(console: Console) -> int:
        from harness.engine.repro import reproduce
        from harness.report.files import files

        targets = files.Targets(json=json)
        files.check(targets, here(), console)
        return told(
            lambda show: reproduce(bundle, here(), cluster.chosen, keep.value, console, on_verdict=show),
            targets,
            console,
        )

    return run(command, cluster.chosen)
