"""`harness up`: the cluster made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import AsJson, ClusterOptions, here
from harness.cli.run import run
from harness.host.sources.choice import Sources

if TYPE_CHECKING:
    from harness.report.text.console import Console


MadeFrom = Annotated[
    Sources | None,
    typer.Option(
        "--sources", help="What a new cluster is made from; auto unless HARNESS_SOURCES says otherwise."
    ),
]


Registry = Annotated[
    bool | None,
    typer.Option(
        "--registry/--no-registry",
        help="Start a registry beside a kind cluster, or remove it; what was there stays unless told.",
    ),
]


def up(
    sources: MadeFrom = None, registry: Registry = None, json: AsJson = False, *, cluster: ClusterOptions
) -> int:
    """Make the cluster and what versions share; quick when it is there already."""

    def command(console: Console) -> int:
        from harness.engine.up.up import up as make
        from harness.hints import option

        running = make(cluster.chosen, here(), console, sources=sources, beside=registry)
        beside = running.cluster.local_registry
        if json:
            console.json(
                {
                    "cluster": cluster.chosen,
                    "kubeconfig": str(running.cluster.kubeconfig),
                    "gateway_port": running.cluster.gateway_port,
                    "registry": beside.host if beside else None,
                    "log": str(running.log),
                }
            )
        else:
            console.note(f"cluster {cluster.chosen} is up; next: harness test{option(cluster.chosen)}")
        return 0

    return run(command, cluster.chosen)
