"""`harness status`, `logs`, `ui` and `gc`: what is on the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import AsJson, ClusterName, ContextName, Run, chosen, seconds_of

if TYPE_CHECKING:
    from harness.report.text.console import Console

VersionName = Annotated[str, typer.Argument(help="Namespace, ref or commit; the newest version by default.")]


def register(app: typer.Typer, run: Run) -> None:
    """Give these commands to the program."""

    @app.command()
    def status(name: ClusterName = "harness", context: ContextName = None, json: AsJson = False) -> None:
        """Show the versions on the cluster, and what they use."""
        name = chosen(name, context)

        def command(console: Console) -> int:
            from harness.airflow.release.versions import versions
            from harness.cluster.running_cluster import attach
            from harness.engine.status import usage
            from harness.report.text import status as renderer

            with console.waiting(f"asking cluster {name}"):
                running = attach(name)
                found, used = versions(running), usage(running.api)
            console.data(renderer.to_json(found, used) if json else renderer.render(found, used))
            return 0

        run(command, name)

    @app.command()
    def logs(
        version: VersionName = "",
        task: Annotated[str, typer.Option("--task", help="Only this task's pods.")] = "",
        name: ClusterName = "harness",
        context: ContextName = None,
    ) -> None:
        """Print the logs of a version's task pods and of its Airflow."""
        name = chosen(name, context)

        def command(console: Console) -> int:
            from harness.engine.logs import logs as found

            coming = found(name, version, task=task)
            while True:
                with console.waiting(f"asking cluster {name} for logs"):
                    log = next(coming, None)
                if log is None or not console.is_read:
                    return 0
                console.data(f"==> {log.name} <==\n{log.text}")

        run(command, name)

    @app.command()
    def ui(
        version: VersionName = "",
        name: ClusterName = "harness",
        context: ContextName = None,
        json: AsJson = False,
    ) -> None:
        """Say where a version's Airflow is, and its login."""
        name = chosen(name, context)

        run(lambda console: _shown(name, version, json, console), name)

    @app.command()
    def gc(
        older_than: Annotated[
            str | None,
            typer.Option(
                "--older-than", metavar="TIME", help="Also kept versions older than this, such as 2h."
            ),
        ] = None,
        name: ClusterName = "harness",
        context: ContextName = None,
    ) -> None:
        """Remove versions that nobody uses: whose time is over, or whose client is gone."""
        name = chosen(name, context)

        def command(console: Console) -> int:
            from harness.engine.lifetime import gc as collect

            gone = collect(name, console, older_than_s=seconds_of("--older-than", older_than))
            console.note(f"{len(gone)} removed" if gone else "nothing to remove")
            return 0

        run(command, name)


def _shown(name: str, version: str, json: bool, console: Console) -> int:
    from harness.airflow.release import versions as look
    from harness.cluster.existing import port_forward
    from harness.cluster.running_cluster import attach

    with console.waiting(f"asking cluster {name}"):
        running = attach(name)
        access = look.access(running, look.find_version(running, version))
    with port_forward.held(running.cluster, running.server.kubectl):
        if json:
            console.json({"url": access.url, "username": access.username, "password": access.password})
        else:
            console.data(f"{access.url}\nusername: {access.username}\npassword: {access.password}\n")
        if running.cluster.forwarded:
            console.note("the address works while this command runs: Ctrl-C ends it")
            port_forward.stay()
    return 0
