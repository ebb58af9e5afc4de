"""The session's cluster: one that was there survives, one that had to be made goes with the session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.pytest_plugin.session import made_cluster
from harness.pytest_plugin.settings import cluster_name

if TYPE_CHECKING:
    from harness.cluster.running_cluster import RunningCluster


def obtain(config: pytest.Config) -> RunningCluster:
    """The running cluster, made where there is none: of several workers one makes it, the others wait.

    Raises HarnessError as `harness up` does.
    """
    from harness.cluster import running_cluster
    from harness.engine.up.up import up
    from harness.errors import CauseCode, HarnessError
    from harness.progress import Silent

    name = cluster_name(config)
    try:
        return running_cluster.attach(name)
    except HarnessError as error:
        if error.cause is not CauseCode.CLUSTER_MISSING:
            raise
    was_there = running_cluster.find(name) is not None
    if not was_there:
        made_cluster(config, name)
    return up(name, Path(str(config.rootpath)), Silent())


def kind_cluster(running: RunningCluster) -> object:
    """The cluster as pytest-kind's KindCluster, where that is installed; else as the engine has it."""
    try:
        from pytest_kind import KindCluster
    except ImportError:
        return running
    # Never its own kind and kubectl, which it would download, and never its kubeconfig.
    return KindCluster(
        running.cluster.name,
        running.cluster.kubeconfig,
        kind_path=running.server.kubectl.with_name("kind"),
        kubectl_path=running.server.kubectl,
    )
