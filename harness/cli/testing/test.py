"""`harness test`: the tests of harness.toml, run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import completion
from harness.cli.options import (
    BundleFolder,
    ClusterName,
    ContextName,
    HtmlFile,
    JsonFile,
    JunitFile,
    Keep,
    KeepWhen,
    KeptFor,
    MarkdownFile,
    MaxRepeat,
    NoCache,
    Repeat,
    chosen,
    repeat_of,
    seconds_of,
)
from harness.cli.run import run
from harness.cli.testing.result import tested

if TYPE_CHECKING:
    from harness.report.text.console import Console


def test(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Tests of harness.toml; all by default.",
            autocompletion=completion.tests,
        ),
    ] = None,
    ref: Annotated[
        list[str] | None,
        typer.Option(
            "--ref",
            help="A version to test, by git ref; the working tree by default.",
            autocompletion=completion.refs,
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="REF",
            help="Compare with this one; of a branch, with the merge base.",
            autocompletion=completion.refs,
        ),
    ] = None,
    repeat: Repeat = "auto",
    max_repeat: MaxRepeat = 12,
    no_cache: NoCache = False,
    keep: KeepWhen = Keep.ON_FAILURE,
    ttl: KeptFor = None,
    json: JsonFile = None,
    junit: JunitFile = None,
    markdown: MarkdownFile = None,
    html: HtmlFile = None,
    bundle: BundleFolder = None,
    name: ClusterName = "harness",
    context: ContextName = None,
) -> int:
    """Run the tests of harness.toml, each version in an Airflow of its own."""
    name = chosen(name, context)

    def command(console: Console) -> int:
        from harness.engine.testing.plan import Request
        from harness.report.files.files import Targets

        request = Request(
            names=tuple(names or ()),
            refs=tuple(ref or ()),
            keep=keep.value,
            cluster=name,
            base=base,
            repeat=repeat_of(repeat),
            most=max_repeat,
            reuse=not no_cache,
            kept_s=seconds_of("--ttl", ttl),
            bundle=bundle,
        )
        return tested(request, Targets(json=json, junit=junit, markdown=markdown, html=html), console)

    return run(command, name)
