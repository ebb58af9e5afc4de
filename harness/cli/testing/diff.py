"""`harness diff`: two versions compared."""

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


def diff(
    base: Annotated[
        str,
        typer.Argument(
            metavar="BASE",
            help="Compare with this ref; of a branch, with the merge base.",
            autocompletion=completion.refs,
        ),
    ],
    head: Annotated[
        str | None,
        typer.Argument(
            metavar="[HEAD]",
            help="What changed; the working tree by default.",
            autocompletion=completion.refs,
        ),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(
            "--test", metavar="NAME", help="Only this test of harness.toml.", autocompletion=completion.tests
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
    """Compare the models of two versions, on the same data, dates and seeds."""
    name = chosen(name, context)

    def command(console: Console) -> int:
        from harness.engine.testing.plan import Request
        from harness.report.files.files import Targets

        request = Request(
            names=tuple(test or ()),
            refs=(head,) if head is not None else (),
            keep=keep.value,
            cluster=name,
            base=base,
            repeat=repeat_of(repeat),
            most=max_repeat,
            reuse=not no_cache,
            reuse_head=True,
            kept_s=seconds_of("--ttl", ttl),
            bundle=bundle,
        )
        return tested(request, Targets(json=json, junit=junit, markdown=markdown, html=html), console)

    return run(command, name)
