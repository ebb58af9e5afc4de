"""What a session made and must not leave: its workers note it, and the first process removes it in the end.

pytest-xdist gives workers ten seconds after Ctrl-C; on a busy machine a version takes longer to go.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from harness.pytest_plugin.session import cluster_file, versions_file
from harness.pytest_plugin.settings import INTERRUPTED, cluster_name


def remove(config: pytest.Config) -> None:
    """Remove the cluster that this session made, and after Ctrl-C the versions that are still in use."""
    file, marker = versions_file(config), cluster_file(config)
    if marker.exists():
        from harness.engine.down import down
        from harness.progress import Silent

        name = marker.read_text(encoding="utf-8")
        marker.unlink()
        down(name, Silent(), force=True)
    elif file.exists() and config.stash[INTERRUPTED].is_set():
        _remove_versions(cluster_name(config), set(file.read_text(encoding="utf-8").split()))
    file.unlink(missing_ok=True)


def _remove_versions(name: str, namespaces: set[str]) -> None:
    """Those that a test was at work in, or that began to go; one that was kept as asked stays."""
    from harness.airflow.release import release
    from harness.airflow.release.versions import IN_USE, versions
    from harness.cluster import running_cluster
    from harness.errors import HarnessError

    with suppress(HarnessError):  # the next command that needs their room removes them
        running = running_cluster.attach(name)
        doomed = [
            version.namespace
            for version in versions(running)
            if version.namespace in namespaces and version.state in IN_USE | {"going"}
        ]
        for wait in (False, True):  # all of them begin to go before one is waited for
            for namespace in doomed:
                release.remove(running.api, running.server, namespace, wait=wait)
