"""What `test`, `diff` and `repro` have in common: versions are tested, the result is shown and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from harness.cli.options import ClusterOptions, here, seconds_of
from harness.cli.run import run
from harness.cli.testing.run_options import RunOptions, repeat_of

if TYPE_CHECKING:
    from harness.report.files.files import Targets
    from harness.report.model import Result
    from harness.report.text.console import Console


def tested(
    options: RunOptions,
    cluster: ClusterOptions,
    *,
    names: Iterable[str] | None,
    refs: Iterable[str] | None,
    base: str | None,
    reuse_head: bool = False,
) -> int:
    """Run what is asked for, and do with the result as the options say; its exit code."""

    def command(console: Console) -> int:
        from harness.engine.testing.plan import Request
        from harness.engine.testing.testing import test
        from harness.report.files import files

        request = Request(
            names=tuple(names or ()),
            refs=tuple(refs or ()),
            keep=options.keep.value,
            cluster=cluster.chosen,
            base=base,
            repeat=repeat_of(options.repeat),
            most=options.max_repeat,
            reuse=not options.no_cache,
            reuse_head=reuse_head,
            kept_s=seconds_of("--ttl", options.ttl),
            bundle=options.bundle,
        )
        targets = files.Targets(options.json, options.junit, options.markdown, options.html)
        files.check(targets, here(), console)
        if request.bundle is not None:
            files.check_folder("--bundle", request.bundle)
        return told(lambda show: test(here(), request, console, on_verdict=show), targets, console)

    return run(command, cluster.chosen)


def told(make: Callable[[Callable[[Result], None]], Result], targets: Targets, console: Console) -> int:
    """Show the result and write it as soon as `make` knows it, then what failed after that; its exit code.

    `make` gives the result once no version is left that should go. Files that can't be written count too.
    """
    from harness.errors import combined_exit_code
    from harness.report.files import annotations, files

    known: list[Result] = []

    def show(result: Result) -> None:
        known.append(result)
        files.write_ahead(targets, result)  # first: whoever sees the verdict finds them
        console.result(result, to_stderr=targets.json == files.STDOUT)

    try:
        result = make(show)
    except BaseException:  # Ctrl-C, while a version whose verdict is known is removed
        for result in known:
            files.write(targets, result, console)
        raise
    console.annotate(annotations.render(result, *annotations.places(here())))
    shown = [cause for verdict in known for cause in verdict.causes]
    failures = files.write(targets, result, console)
    for cause in result.causes:
        if cause not in shown:
            console.error(cause.error())
    for failure in failures:
        console.error(failure)
    return combined_exit_code([result.exit_code, *(failure.exit_code for failure in failures)])
