"""`harness version`: every version and digest that goes into a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.options import AsJson, ClusterOptions, here
from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


def version(json: AsJson = False, *, cluster: ClusterOptions) -> int:
    """Name every version and digest that goes into a result, as far as it is known here."""

    def command(console: Console) -> int:
        from harness.engine.version import known
        from harness.report import ingredients

        with console.waiting(f"asking Docker and cluster {cluster.chosen}"):
            found = known(here(), cluster.chosen)
        console.data(found.model_dump_json(indent=2) + "\n" if json else ingredients.render(found))
        return 0

    return run(command, cluster.chosen)
