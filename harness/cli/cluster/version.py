"""`harness version`: every version and digest that goes into a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.options import AsJson, ClusterName, ContextName, chosen, here
from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


def version(name: ClusterName = "harness", context: ContextName = None, json: AsJson = False) -> int:
    """Name every version and digest that goes into a result, as far as it is known here."""
    name = chosen(name, context)

    def command(console: Console) -> int:
        from harness.engine.version import known
        from harness.report import ingredients

        with console.waiting(f"asking Docker and cluster {name}"):
            found = known(here(), name)
        console.data(found.model_dump_json(indent=2) + "\n" if json else ingredients.render(found))
        return 0

    return run(command, name)
