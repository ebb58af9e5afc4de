"""Options that `test` and `diff` have in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import MOST_REPEAT, JsonFile, Keep, KeepWhen

KeptFor = Annotated[
    str | None,
    typer.Option(
        "--ttl", metavar="TIME", help="How long a version lives that stays, such as 2h; 24h unless told."
    ),
]
Repeat = Annotated[
    str,
    typer.Option(
        "--repeat",
        metavar="N|auto",
        help="Run each N times, each with its own seed; auto: compare until there is an answer.",
    ),
]
MaxRepeat = Annotated[
    int,
    typer.Option(
        "--max-repeat",
        min=1,
        max=MOST_REPEAT,
        metavar="N",
        help="With --repeat auto: the most pairs of runs.",
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Measure again what was measured before for a comparison.")
]
JunitFile = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML.")]
MarkdownFile = Annotated[
    Path | None, typer.Option("--markdown", metavar="FILE", help="Write Markdown, for a job summary.")
]
HtmlFile = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write one self-contained page.")
]
BundleFolder = Annotated[
    Path | None,
    typer.Option("--bundle", metavar="DIR", help="Where to write the bundle of a version that fails."),
]


@dataclass(frozen=True)
class RunOptions:
    """How `test` and `diff` run and compare versions, and what becomes of these and of the result."""

    repeat: Repeat = "auto"
    max_repeat: MaxRepeat = 12
    no_cache: NoCache = False
    keep: KeepWhen = Keep.ON_FAILURE
    ttl: KeptFor = None
    json: JsonFile = None
    junit: JunitFile = None
    markdown: MarkdownFile = None
    html: HtmlFile = None
    bundle: BundleFolder = None


def repeat_of(value: str) -> int | None:
    """How often each runs; None for `auto`. Raises HarnessError(USAGE) for anything else."""
    from harness.errors import CauseCode, HarnessError

    if value == "auto":
        return None
    if value.isascii() and value.isdigit() and 1 <= int(value) <= MOST_REPEAT:
        return int(value)
    raise HarnessError(
        CauseCode.USAGE,
        f"--repeat {value}: expected auto or a number from 1 to {MOST_REPEAT}",
        hint="--repeat auto",
    )
