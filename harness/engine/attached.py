"""A running cluster with all that is needed to work on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.cluster import kind, services, supply
from harness.cluster.api import KubernetesApi
from harness.cluster.database import Server
from harness.cluster.helm import Helm
from harness.cluster.node_image.program import Tools
from harness.errors import CauseCode, HarnessError
from harness.host import cache, disk
from harness.progress import Progress


@dataclass(frozen=True)
class Attached:
    """The cluster, its API, Helm, its PostgreSQL server, and the file that takes the full log.

    `base` is the published image under every version's, where the cluster was made from a release; else empty.
    """

    cluster: kind.KindCluster
    api: KubernetesApi
    helm: Helm
    server: Server
    log: Path
    base: str = ""

    @classmethod
    def to(cls, cluster: kind.KindCluster, tools: Tools, base: str = "") -> Attached:
        return cls(
            cluster=cluster,
            api=cluster.api(),
            helm=Helm(tools.helm, cluster.kubeconfig),
            server=Server(tools.kubectl, cluster.kubeconfig),
            log=log_file(cluster.name),
            base=base,
        )


def log_file(name: str) -> Path:
    """The full log of what is done to a cluster. Raises HarnessError(FOLDER_UNUSABLE, DISK_FULL)."""
    return disk.folder(kind.state_folder(name), variable=kind.STATE_VARIABLE) / "harness.log"


def attach(name: str) -> Attached:
    """The cluster that `up` made. Raises HarnessError(CLUSTER_MISSING, DOCKER_MISSING, CLUSTER_FAILED)."""
    kind.check_name(name)
    cluster = kind.find(name)
    if cluster is None:
        raise HarnessError(
            CauseCode.CLUSTER_MISSING, f"there is no running cluster {name!r}", hint="harness up"
        )
    made = services.recorded(cluster.api())
    if "services" not in made:
        raise HarnessError(
            CauseCode.CLUSTER_MISSING,
            f"the cluster {name!r} is not finished: an `up` was stopped",
            hint="harness up",
        )
    tools = supply.present_tools(made)
    if tools is None:
        raise HarnessError(
            CauseCode.CLUSTER_MISSING,
            f"the tools that cluster {name!r} was made with are not on this machine any more",
            hint="harness up",
        )
    return Attached.to(cluster, tools, made.get("base", ""))


@contextmanager
def locked(name: str, progress: Progress) -> Iterator[None]:
    """Hold a cluster for `up` or `down`: of two at the same time one does it, the other waits and says so."""
    folder = disk.folder(cache.root() / "locks", variable=cache.ROOT_VARIABLE)
    with ExitStack() as held:
        with ExitStack() as waiting:

            def tell() -> None:
                progress.note(f"another `harness` works on cluster {name}: waiting for it")
                waiting.enter_context(progress.step(f"waiting for the other `harness` on cluster {name}"))

            held.enter_context(cache.locked(folder / name, tell))
        yield
