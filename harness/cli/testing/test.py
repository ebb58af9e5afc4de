"""`harness test`: the tests of harness.toml, run."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.completion import refs, tests
from harness.cli.options import ClusterOptions
from harness.cli.testing.result import tested
from harness.cli.testing.run_options import RunOptions

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Tests of harness.toml; all by default.", autocompletion=tests),
]
Refs = Annotated[
    list[str] | None,
    typer.Option(
        "--ref",
        metavar="REF",
        help="A version to test, by git ref; the working tree by default.",
        autocompletion=refs,
    ),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="REF",
        help="Compare with this one; of a branch, with the merge base.",
        autocompletion=refs,
    ),
]


def test(
    names: Names = None, ref: Refs = None, base: Base = None, *, options: RunOptions, cluster: ClusterOptions
) -> int:
    """Run the tests of harness.toml, each version in an Airflow of its own."""
    return tested(options, cluster, names=names, refs=ref, base=base)
