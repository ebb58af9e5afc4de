"""Options that several commands have."""

from __future__ import annotations

import os
from dataclasses import dataclass
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
        metavar="VERSION",
        help="Namespace, ref or commit; the newest version by default.",
        autocompletion=completion.versions,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]
KeepWhen = Annotated[Keep, typer.Option("--keep", help="Whether the version stays to be looked at.")]
JsonFile = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Write the result, schema 1; '-' is stdout.")
]


@dataclass(frozen=True)
class ClusterOptions:
    """The cluster that a command works on."""

    name: ClusterName = hints.DEFAULT_CLUSTER
    context: ContextName = None

    @property
    def chosen(self) -> str:
        """The cluster that is meant. Raises typer.BadParameter when both options were given."""
        if self.context is None:
            return self.name
        if self.name not in {hints.DEFAULT_CLUSTER, os.environ.get(hints.VARIABLE)}:
            raise typer.BadParameter(
                f"--name {self.name} and --context {self.context} are two clusters: give one of them"
            )
        return f"{hints.CONTEXT_MARK}{self.context}"


def here() -> Path:
    """The current folder. Raises HarnessError(USAGE) when it was deleted meanwhile."""
    from harness.errors import CauseCode, HarnessError

    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise HarnessError(
            CauseCode.USAGE, "the current folder is there no more: it was deleted", hint='cd "$PWD"'
        ) from error


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
