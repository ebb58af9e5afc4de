"""`harness init`: a repository's harness.toml, from what its code says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import AsJson, here
from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be written, and write nothing.")]
Force = Annotated[
    bool, typer.Option("--force", help="Also where there is such a file already: it is written anew.")
]
Workflow = Annotated[
    bool,
    typer.Option(
        "--workflow",
        help="Also write .github/workflows/harness.yml, which runs the tests of pull requests; a configuration "
        "that is there stays.",
    ),
]


def init(
    dry_run: DryRun = False, force: Force = False, workflow: Workflow = False, json: AsJson = False
) -> int:
    """Write this repository's harness.toml from what its code says; nothing of it is run."""

    def command(console: Console) -> int:
        from harness.init.files import CONFIGURATION, examine, write
        from harness.init.pull_requests import WORKFLOW, next_step
        from harness.report.text import init as renderer

        with console.waiting("reading the repository"):
            new = examine(here(), force=force, workflow=workflow)
            if not dry_run:
                write(new)
        if json:
            console.data(renderer.to_json(new.proposal, new.texts, written=not dry_run))
        else:
            if new.proposal is not None:
                console.show(renderer.render(new.proposal))
            for name, text in new.texts.items():
                if dry_run:
                    console.data(f"==> {name} <==\n{text}")
                else:
                    console.note(f"{new.root / name} is written")
            if WORKFLOW in new.texts and not dry_run:
                console.note(f"next: {next_step()}")
            if new.proposal is not None and new.proposal.can_run:
                console.note("next: harness up && harness test")
        if new.proposal is not None and not new.proposal.can_run:
            raise new.proposal.nothing_runs(CONFIGURATION)
        return 0

    return run(command)
