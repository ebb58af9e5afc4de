"""Options that several commands have."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness import hints
from harness.cli import completion


class Keep(StrEnum):
    """When a version stays after its tests."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


MOST_REPEAT = 100
ClusterName = Annotated[
    str,
    typer.Option(
        "--name",
        envvar=hints.VARIABLE,
        help="Which cluster.",
        metavar="NAME",
        autocompletion=completion.clusters,
    ),
]
ContextName = Annotated[
    str | None,
    typer.Option(
        "--context",
        help="A kubeconfig's context: a cluster that isn't ours, and was allowed.",
        metavar="CONTEXT",
    ),
]
VersionName = Annotated[
    str,
    typer.Argument(
        help="Namespace, ref or commit; the newest version by default.", autocompletion=completion.versions
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]
KeepWhen = Annotated[Keep, typer.Option("--keep", help="Whether the version stays to be looked at.")]
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
JsonFile = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Write the result, schema 1; '-' is stdout.")
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


def here() -> Path:
    """The current folder. Raises HarnessError(USAGE) when it was deleted meanwhile."""
    from harness.errors import CauseCode, HarnessError

    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise HarnessError(
            CauseCode.USAGE, "the current folder is there no more: it was deleted", hint='cd "$PWD"'
        ) from error


def chosen(name: str, context: str | None) -> str:
    """The cluster that is meant. Raises typer.BadParameter when both options were given."""
    if context is None:
        return name
    if name not in {hints.DEFAULT_CLUSTER, os.environ.get(hints.VARIABLE)}:
        raise typer.BadParameter(f"--name {name} and --context {context} are two clusters: give one of them")
    return f"{hints.CONTEXT_MARK}{context}"


def seconds_of(option: str, value: str | None) -> float | None:
    """Seconds from "2h", "10m" or "45s". Raises HarnessError(USAGE) for anything else."""
    from harness.errors import CauseCode, HarnessError
    from harness.project.values import parse_duration_s

    if value is None:
        return None
    try:
        return parse_duration_s(value)
    except ValueError as error:
        raise HarnessError(CauseCode.USAGE, f"{option}: {error}", hint=f"{option} 2h") from error
