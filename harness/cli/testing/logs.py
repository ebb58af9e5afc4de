"""`harness logs`: what a version printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import ClusterName, ContextName, VersionName, chosen
from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


def logs(
    version: VersionName = "",
    task: Annotated[str, typer.Option("--task", help="Only this task's pods.")] = "",
    name: ClusterName = "harness",
    context: ContextName = None,
) -> int:
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

    return run(command, name)
