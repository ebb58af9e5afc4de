"""`harness status`: the versions on the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.options import AsJson, ClusterName, ContextName, chosen
from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


def status(name: ClusterName = "harness", context: ContextName = None, json: AsJson = False) -> int:
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

    return run(command, name)
