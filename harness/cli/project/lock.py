"""`harness lock`: what the image's packages are, fixed."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import AsJson, here
from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


Locked = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        help="What to lock: requirements.txt or .in, pyproject.toml, uv.lock, poetry.lock, pdm.lock or "
        "pylock.toml; by default what harness.toml names.",
    ),
]
Upgrade = Annotated[
    bool, typer.Option("--upgrade", help="Lock anew though nothing changed: newer commits of Git URLs.")
]
Check = Annotated[
    bool, typer.Option("--check", help="Write nothing; exit code 2 when the lock is missing or old.")
]


def lock(file: Locked = None, upgrade: Upgrade = False, check: Check = False, json: AsJson = False) -> int:
    """Fix every package of the image at one version, by hash, in a file to commit."""

    def command(console: Console) -> int:
        from harness.engine.image.lock import lock as run_lock

        done = run_lock(here(), console, source=file, upgrade=upgrade, check=check)
        if json:
            console.json(done.to_json())
        elif not done.is_ours:
            console.note(f"{done.name} was not made by `harness lock`: it is taken as it is")
        elif done.made is None:
            console.note(f"{done.name} is up to date with {done.source}")
        else:
            console.note(f"{done.name} is written; next: git add {shlex.quote(done.name)}")
        return 0

    return run(command)
