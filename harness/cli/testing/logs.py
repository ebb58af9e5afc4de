"""`harness logs`: what a version printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import ClusterOptions, VersionName
from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


def logs(
    version: VersionName = "",
    task: Annotated[str, typer.Option("--task", metavar="TASK", help="Only this task's pods.")] = "",
    *,
    cluster: ClusterOptions,
) -> int:
    """Print the logs of a version's task pods and of its Airflow."""

    def command(console: Console) -> int:
        from harness.engine.logs import logs as found

        coming = found(cluster.chosen, version, task=task)
        while True:
            with console.waiting(f"asking cluster {cluster.chosen} for logs"):
                log = next(coming, None)
            if log is None or not console.is_read:
                return 0
            console.data(f"==> {log.name} <==\n{log.text}")

    return run(command, cluster.chosen)
