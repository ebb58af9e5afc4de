"""`harness status`: the versions on the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import AsJson, ClusterOptions
from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


OnDisk = Annotated[
    bool, typer.Option("--disk", help="Show what is kept on the disk instead: cache, node, images.")
]


def status(disk: OnDisk = False, json: AsJson = False, *, cluster: ClusterOptions) -> int:
    """Show the versions on the cluster, and what they use."""

    def on_disk(console: Console) -> int:
        from harness.cluster.running_cluster import find
        from harness.engine.disk import use
        from harness.report.text import disk as renderer

        with console.waiting("measuring the cache and the node"):
            found = use(find(cluster.chosen))
        console.data(renderer.to_json(found) if json else renderer.render(found))
        return 0

    def command(console: Console) -> int:
        from harness.airflow.release.versions import versions
        from harness.cluster.running_cluster import attach
        from harness.engine.status import usage
        from harness.report.text import status as renderer

        with console.waiting(f"asking cluster {cluster.chosen}"):
            running = attach(cluster.chosen)
            found, used = versions(running), usage(running.api)
        beside = running.cluster.local_registry
        told = renderer.to_json if json else renderer.render
        console.data(told(found, used, beside))
        return 0

    return run(on_disk if disk else command, cluster.chosen)
