"""What `test`, `diff` and `repro` do with a result: written, shown, and its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.options import here

if TYPE_CHECKING:
    from harness.engine.testing.plan import Request
    from harness.report.files.files import Targets
    from harness.report.model import Result
    from harness.report.text.console import Console


def tested(request: Request, targets: Targets, console: Console) -> int:
    from harness.engine.testing.testing import test
    from harness.report.files import files

    files.check(targets, here(), console)
    if request.bundle is not None:
        files.check_folder("--bundle", request.bundle)
    return told(test(here(), request, console), targets, console)


def told(result: Result, targets: Targets, console: Console) -> int:
    """Write and show the result; its exit code, with those of files that can't be written."""
    from harness.errors import combined_exit_code
    from harness.report.files import files

    failures = files.write(targets, result, console)
    console.result(result, to_stderr=targets.json == "-")
    for failure in failures:
        console.error(failure)
    return combined_exit_code([result.exit_code, *(failure.exit_code for failure in failures)])
