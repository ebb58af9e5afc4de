"""What `test`, `diff` and `repro` do with a result: written, shown, and its exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.cli.options import here

if TYPE_CHECKING:
    from harness.engine.testing.plan import Request
    from harness.report.files.files import Targets
    from harness.report.model import Cause, Result
    from harness.report.text.console import Console


def tested(request: Request, targets: Targets, console: Console) -> int:
    from harness.engine.testing.testing import test
    from harness.report.files import files

    files.check(targets, here(), console)
    if request.bundle is not None:
        files.check_folder("--bundle", request.bundle)
    return told(lambda show: test(here(), request, console, on_verdict=show), targets, console)


def told(run: Callable[[Callable[[Result], None]], Result], targets: Targets, console: Console) -> int:
    """Show the result as soon as `run` knows it, then what failed after that, and write it; its exit code.

    `run` gives the result once no version is left that should go. Files that can't be written count too.
    """
    from harness.errors import combined_exit_code
    from harness.report.files import annotations, files

    shown: list[Cause] = []

    def show(result: Result) -> None:
        shown.extend(result.causes)
        console.result(result, to_stderr=targets.json == files.STDOUT)

    result = run(show)
    console.annotate(annotations.render(result, *annotations.places(here())))
    later = [cause for cause in result.causes if cause not in shown]
    failures = files.write(targets, result, console)
    for cause in later:
        console.error(cause.error())
    for failure in failures:
        console.error(failure)
    return combined_exit_code([result.exit_code, *(failure.exit_code for failure in failures)])
