"""`harness noise`: what the cluster knows of the noise of metrics, measured, and carried between clusters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import completion
from harness.cli.options import MOST_REPEAT, AsJson, ClusterOptions, here
from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


def noise(
    test: Annotated[
        str | None,
        typer.Argument(
            metavar="TEST", help="A test of harness.toml; all by default.", autocompletion=completion.tests
        ),
    ] = None,
    measure: Annotated[
        int | None,
        typer.Option(
            "--measure",
            min=2,
            max=MOST_REPEAT,
            metavar="N",
            help="Run it N times first, each with its own seed.",
        ),
    ] = None,
    ref: Annotated[
        str,
        typer.Option(
            "--ref", metavar="REF", help="With --measure: the version to run.", autocompletion=completion.refs
        ),
    ] = "HEAD",
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="Write what is known, for another cluster."),
    ] = None,
    import_: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="Learn what another cluster wrote.")
    ] = None,
    json: AsJson = False,
    *,
    cluster: ClusterOptions,
) -> int:
    """Show how much each metric varies by chance, and what max_regression that allows."""

    def command(console: Console) -> int:
        from harness.engine.noise import command as noise_command
        from harness.report.files import files
        from harness.report.text import noise as renderer

        if export is not None:
            files.check_file(export)
        asked = noise_command.Asked((test,) if test else (), cluster.chosen, measure, ref, export, import_)
        found = noise_command.run(here(), asked, console)
        if json:
            console.json(renderer.to_json(found))
        else:
            console.data(renderer.render(found))
        return 0

    return run(command, cluster.chosen)
