"""`harness diff`: two versions compared."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.completion import refs, tests
from harness.cli.options import ClusterOptions
from harness.cli.testing.result import tested
from harness.cli.testing.run_options import RunOptions

Base = Annotated[
    str,
    typer.Argument(
        metavar="BASE", help="Compare with this ref; of a branch, with the merge base.", autocompletion=refs
    ),
]
Head = Annotated[
    str | None,
    typer.Argument(metavar="HEAD", help="What changed; the working tree by default.", autocompletion=refs),
]
Tests = Annotated[
    list[str] | None,
    typer.Option("--test", metavar="NAME", help="Only this test of harness.toml.", autocompletion=tests),
]


def diff(
    base: Base, head: Head = None, test: Tests = None, *, options: RunOptions, cluster: ClusterOptions
) -> int:
    """Compare the models of two versions, on the same data, dates and seeds."""
    heads = [head] if head is not None else []
    return tested(options, cluster, names=test, refs=heads, base=base, reuse_head=True)
