"""`harness up`: the cluster made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import AsJson, ClusterName, ContextName, chosen, here
from harness.cli.run import run
from harness.host.sources.choice import Sources

if TYPE_CHECKING:
    from harness.report.text.console import Console


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
) -> int:
    """Make the cluster and what versions share; quick when it is there already."""
    name = chosen(name, context)

    def command(console: Console) -> int:
        from harness.engine.up.up import up as make
        from harness.hints import option

        running = make(name, here(), console, sources=sources)
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

    return run(command, name)
