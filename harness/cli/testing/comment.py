"""`harness comment`: a result as a pull request's comment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


def comment(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="The file that --json wrote.")],
    pull_request: Annotated[
        int | None,
        typer.Option(
            "--pull-request",
            min=1,
            metavar="NUMBER",
            help="Of GITHUB_REPOSITORY; the one that the job runs for by default.",
        ),
    ] = None,
    title: Annotated[
        str,
        typer.Option(
            "--title", metavar="TEXT", help="Which comment: each title has one, that is written anew."
        ),
    ] = "harness",
) -> int:
    """Write a result as one comment of a pull request: made once, then updated."""

    def command(console: Console) -> int:
        import os

        from harness.engine.comment import PullRequest
        from harness.engine.comment import comment as write
        from harness.report.files import files, markdown

        found = files.read(result)
        target = PullRequest.of(os.environ, pull_request)
        with console.waiting(f"writing to pull request {target.number} of {target.repository}"):
            address = write(lambda limit: markdown.render(found, limit=limit), title, target)
        console.data(address or "written")
        return 0

    return run(command)
