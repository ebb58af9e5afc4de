"""`harness test`, `harness diff` and `harness repro`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    NoCache,
    Repeat,
    Run,
    chosen,
    here,
    seconds_of,
)

if TYPE_CHECKING:
    from harness.engine.testing.plan import Request
    from harness.report.files.files import Targets
    from harness.report.model import Result
    from harness.report.text.console import Console


def register(app: typer.Typer, run: Run) -> None:
    """Give these commands to the program."""

    @app.command()
    def test(
        names: Annotated[
            list[str] | None,
            typer.Argument(metavar="[NAME]...", help="Tests of harness.toml; all by default."),
        ] = None,
        ref: Annotated[
            list[str] | None,
            typer.Option("--ref", help="A version to test, by git ref; the working tree by default."),
        ] = None,
        base: Annotated[
            str | None,
            typer.Option(
                "--base", metavar="REF", help="Compare with this one; of a branch, with the merge base."
            ),
        ] = None,
        repeat: Repeat = 1,
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
    ) -> None:
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
                repeat=repeat,
                reuse=not no_cache,
                kept_s=seconds_of("--ttl", ttl),
                bundle=bundle,
            )
            return _tested(request, Targets(json=json, junit=junit, markdown=markdown, html=html), console)

        run(command, name)

    @app.command()
    def diff(
        base: Annotated[
            str,
            typer.Argument(metavar="BASE", help="Compare with this ref; of a branch, with the merge base."),
        ],
        head: Annotated[
            str | None, typer.Argument(metavar="[HEAD]", help="What changed; the working tree by default.")
        ] = None,
        test: Annotated[
            list[str] | None, typer.Option("--test", metavar="NAME", help="Only this test of harness.toml.")
        ] = None,
        repeat: Repeat = 1,
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
    ) -> None:
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
                repeat=repeat,
                reuse=not no_cache,
                reuse_head=True,
                kept_s=seconds_of("--ttl", ttl),
                bundle=bundle,
            )
            return _tested(request, Targets(json=json, junit=junit, markdown=markdown, html=html), console)

        run(command, name)

    @app.command()
    def repro(
        bundle: Annotated[
            Path, typer.Argument(metavar="BUNDLE", help="The .tar.gz of a version that failed.")
        ],
        keep: KeepWhen = Keep.ON_FAILURE,
        json: JsonFile = None,
        name: ClusterName = "harness",
        context: ContextName = None,
    ) -> None:
        """Run what a bundle was made of again: the same commit with the same configuration, here."""
        name = chosen(name, context)

        def command(console: Console) -> int:
            from harness.engine.repro import reproduce
            from harness.report.files import files

            targets = files.Targets(json=json)
            files.check(targets, here(), console)
            return _told(reproduce(bundle, here(), name, keep.value, console), targets, console)

        run(command, name)


def _tested(request: Request, targets: Targets, console: Console) -> int:
    from harness.engine.testing.testing import test
    from harness.report.files import files

    files.check(targets, here(), console)
    if request.bundle is not None:
        files.check_folder("--bundle", request.bundle)
    return _told(test(here(), request, console), targets, console)


def _told(result: Result, targets: Targets, console: Console) -> int:
    """Write and show the result; its exit code, with those of files that can't be written."""
    from harness.errors import combined_exit_code
    from harness.report.files import files

    failures = files.write(targets, result, console)
    console.result(result, to_stderr=targets.json == "-")
    for failure in failures:
        console.error(failure)
    return combined_exit_code([result.exit_code, *(failure.exit_code for failure in failures)])
