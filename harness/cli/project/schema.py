"""`harness schema`: what harness.toml may hold, and what a result holds, for editors and programs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


class Kind(StrEnum):
    """What there is a schema of."""

    CONFIG = "config"
    RESULT = "result"


def schema(
    kind: Annotated[
        Kind, typer.Argument(metavar="KIND", help="config: of harness.toml; result: of what --json writes.")
    ],
) -> int:
    """Print a JSON schema: of harness.toml, or of the result of a test."""

    def command(console: Console) -> int:
        from harness.report.schema import configuration_schema, result_schema

        console.json(configuration_schema() if kind is Kind.CONFIG else result_schema())
        return 0

    return run(command)
