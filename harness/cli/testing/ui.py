"""`harness ui`: a version's Airflow in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.options import AsJson, ClusterOptions, VersionName
from harness.cli.run import run

if TYPE_CHECKING:
    from harness.report.text.console import Console


def ui(
    version: VersionName = "",
    json: AsJson = False,
    *,
    cluster: ClusterOptions,
) -> int:
    """Say where a version's Airflow is, and its login."""

    return run(lambda console: _shown(cluster.chosen, version, json, console), cluster.chosen)


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
