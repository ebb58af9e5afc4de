"""The command line: options in, exit code out. It decides nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from harness.cli.cluster import doctor, down, gc, status, up, version
from harness.cli.completion import QuickCommand, QuickGroup
from harness.cli.groups import ungrouped
from harness.cli.project import init, lock, schema
from harness.cli.run import run
from harness.cli.testing import comment, diff, logs, noise, repro, test, ui

if TYPE_CHECKING:
    from harness.report.text.console import Console

app = typer.Typer(
    name="harness",
    cls=QuickGroup,
    help="Run the ML DAG of every commit in its own throw-away Airflow on Kubernetes, and judge the model.",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # the help is instant without
    context_settings={"help_option_names": ["-h", "--help"]},
)

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]  # Typer's own or click's, by Typer's version


for each in (
    *(init.init, doctor.doctor, lock.lock, up.up, test.test, diff.diff, noise.noise, repro.repro),
    comment.comment,
    *(status.status, logs.logs, ui.ui, version.version, gc.gc, down.down, schema.schema),
):
    app.command(cls=QuickCommand)(ungrouped(each))


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from harness import __version__

        typer.echo(f"harness {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def main() -> None:
    """The entry point `harness`."""
    _open_streams()
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        code = 130
    except USAGE_ERROR as error:
        code = _refuse(cast("typer.BadParameter", error))
    except OSError as error:  # of what Typer prints itself: the help, the version
        code = _failed(error)
    sys.exit(code)


def _open_streams() -> None:
    """Python has no stdout or stderr where the shell closed it (`>&-`): it leads nowhere then."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115


def _refuse(error: typer.BadParameter) -> int:
    """An unknown command, a missing argument or the like, told as every other failure is."""
    from harness.errors import CauseCode, HarnessError

    path = error.ctx.command_path if error.ctx else "harness"
    program = path.removeprefix("python -m ")
    return _failed(HarnessError(CauseCode.USAGE, error.format_message(), hint=f"{program} --help"))


def _failed(error: Exception) -> int:
    """What was raised outside of any command, told as if one had."""

    def command(_: Console) -> int:
        raise error

    return run(command)
