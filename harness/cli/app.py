"""The command line: options in, exit code out. It decides nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from harness.cli import looking, testing
from harness.cli.options import AsJson, ClusterName, ContextName, chosen, here
from harness.host.sources.choice import Sources

if TYPE_CHECKING:
    from harness.report.text.console import Console

app = typer.Typer(
    name="harness",
    help="Run the ML DAG of every commit in its own throw-away Airflow on Kubernetes, and judge the model.",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # the help is instant without
    context_settings={"help_option_names": ["-h", "--help"]},
)

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]  # Typer's own or click's, by Typer's version


@app.command()
def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Install and start what is missing, where that is safe.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Look at what this machine can do and what it lacks."""
    from harness.host.doctor import examination as doctors
    from harness.host.doctor import fixes
    from harness.host.sources import choice as sources

    def command(console: Console) -> int:
        wanted = sources.asked()
        with console.waiting("looking at this machine, Docker and the hosts that releases come from"):
            report = doctors.examine(sources=wanted)
        if fix:
            for line in fixes.fix(report, console):
                console.note(line)
            with console.waiting("looking at what was fixed"):
                report = doctors.examine(sources=wanted)
        if json:
            console.data(report.to_json())
        else:
            from harness.report.text import doctor as renderer

            console.show(renderer.render(report))
        return report.exit_code

    _run(command)


@app.command()
def up(
    name: ClusterName = "harness",
    context: ContextName = None,
    sources: Annotated[
        Sources | None,
        typer.Option(
            "--sources", help="What a new cluster is made from; auto unless HARNESS_SOURCES says otherwise."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Make the cluster and what versions share; quick when it is there already."""
    name = chosen(name, context)

    def command(console: Console) -> int:
        from harness.engine.up.up import up as run
        from harness.hints import option

        running = run(name, here(), console, sources=sources)
        if json:
            console.json(
                {
                    "cluster": name,
                    "kubeconfig": str(running.cluster.kubeconfig),
                    "gateway_port": running.cluster.gateway_port,
                    "log": str(running.log),
                }
            )
        else:
            console.note(f"cluster {name} is up; next: harness test{option(name)}")
        return 0

    _run(command, name)


@app.command()
def down(
    version: Annotated[str, typer.Argument(help="Remove this version alone: namespace, ref or commit.")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Also when other people's versions live on it.")
    ] = False,
    name: ClusterName = "harness",
    context: ContextName = None,
) -> None:
    """Remove the cluster whole, or one version of it."""
    name = chosen(name, context)

    def command(console: Console) -> int:
        from harness.engine import down as downs

        if version:
            gone = downs.down_version(name, version, console)
            console.note(f"{gone.namespace} ({gone.ref}) is gone")
        else:
            downs.down(name, console, force=force)
        return 0

    _run(command, name)


@app.command()
def version(name: ClusterName = "harness", context: ContextName = None, json: AsJson = False) -> None:
    """Name every version and digest that goes into a result, as far as it is known here."""
    name = chosen(name, context)

    def command(console: Console) -> int:
        from harness.engine.version import known
        from harness.report import ingredients

        with console.waiting(f"asking Docker and cluster {name}"):
            found = known(here(), name)
        console.data(found.model_dump_json(indent=2) + "\n" if json else ingredients.render(found))
        return 0

    _run(command, name)


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


def _run(command: Callable[[Console], int], cluster: str = "") -> None:
    sys.exit(_exit_code(command, cluster))


def _exit_code(command: Callable[[Console], int], cluster: str = "") -> int:
    """Run a command; whatever it raises becomes a message and an exit code.

    `cluster`: where the commands go that hints name; empty where none was asked for.
    """
    from harness.errors import HarnessError
    from harness.hints import for_cluster
    from harness.host import disk, signals
    from harness.report.text.console import Console
    from harness.report.text.crash import crash_report

    with Console() as console:
        signals.heed(lambda: os._exit(130))
        try:
            with disk.explained():
                code = command(console)
        except HarnessError as error:
            error.hint = for_cluster(error.hint, cluster) if cluster else error.hint
            console.error(error)
            code = error.exit_code
        except KeyboardInterrupt:
            code = 130
        except Exception as error:  # noqa: BLE001  a bug of ours, said as such
            internal = crash_report(error)
            console.error(internal)
            code = internal.exit_code
    return code


testing.register(app, _run)
looking.register(app, _run)


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

    return _exit_code(command)
