"""A running cluster with all that is needed to work on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.cluster import images, place
from harness.cluster.api import KubernetesApi
from harness.cluster.existing import existing, rights
from harness.cluster.kind import kind, sourcing
from harness.cluster.kind.node_image.program import Tools
from harness.cluster.services import services
from harness.cluster.services.database import Server
from harness.cluster.services.given_server import GivenServer
from harness.cluster.services.helm import Helm
from harness.errors import CauseCode, HarnessError
from harness.host import cache, disk
from harness.image.oci import Image
from harness.progress import Progress


@dataclass(frozen=True)
class RunningCluster:
    """The cluster, its API, Helm, its PostgreSQL server, and the file that takes the full log.

    `base` is the published image under every version's, where the cluster was made from a release; else empty.
    """

    cluster: place.Cluster
    api: KubernetesApi
    helm: Helm
    server: Server
    log: Path
    base: str = ""

    @classmethod
    def to(
        cls, cluster: place.Cluster, tools: Tools, base: str = "", given: GivenServer | None = None
    ) -> RunningCluster:
        """A cluster with what speaks to it. `base`: of images, by digest; `given`: its PostgreSQL server, if any."""
        return cls(
            cluster=cluster,
            api=cluster.api(),
            helm=Helm(tools.helm, cluster.kubeconfig),
            server=Server(tools.kubectl, cluster.kubeconfig, given),
            log=log_file(cluster.name),
            base=base,
        )

    def load(self, image: Image, *, on_change: Callable[[str], None] = lambda _: None) -> int:
        """Make the cluster be able to run the image; returns the bytes that were sent. Raises what `bring` raises."""
        return images.bring(self.cluster, image, on_change=on_change)

    def name_of(self, image: Image) -> str:
        """What pods call the image by."""
        return images.name_on(self.cluster, image)


def log_file(name: str) -> Path:
    """The full log of what is done to a cluster. Raises HarnessError(FOLDER_UNUSABLE, DISK_FULL)."""
    return disk.folder(place.state_folder(name), variable=place.STATE_VARIABLE) / "harness.log"


def attach(name: str, *, to_make: bool = False) -> RunningCluster:
    """The cluster that `up` made, or made ready. `to_make`: so that versions are made on it.

    Raises HarnessError: CLUSTER_MISSING, DOCKER_MISSING, CLUSTER_FAILED; for a context USAGE where it is not allowed,
    and PERMISSION_MISSING where it does not let harness make them.
    """
    cluster = find(name)
    if cluster is not None and cluster.forwarded and to_make:
        rights.check(cluster.api(), place.context_of(name) or "", cluster.placement.namespaces)
    if cluster is None:
        raise HarnessError(
            CauseCode.CLUSTER_MISSING, f"there is no running cluster {name!r}", hint="harness up"
        )
    beside = cluster.local_registry
    if to_make and beside is not None and not beside.is_running:
        raise HarnessError(
            CauseCode.CLUSTER_MISSING,
            f"the registry of cluster {name}, {beside.host}, does not run: its container is {beside.status}",
            hint="harness up",
        )
    made = services.recorded(cluster.api())
    if "services" not in made:
        raise HarnessError(
            CauseCode.CLUSTER_MISSING,
            f"the cluster {name!r} is not finished: an `up` was stopped",
            hint="harness up",
        )
    tools = sourcing.present_tools(made)
    if tools is None:
        raise HarnessError(
            CauseCode.CLUSTER_MISSING,
            f"the tools that cluster {name!r} was made with are not on this machine any more",
            hint="harness up",
        )
    return RunningCluster.to(cluster, tools, made.get("base", ""), services.given(made))


def find(name: str) -> place.Cluster | None:
    """The cluster if it runs, ours by its name or by a context, without asking what is on it."""
    place.check_name(name)
    return kind.find(name) if place.context_of(name) is None else existing.find(name)


@contextmanager
def locked(name: str, progress: Progress) -> Iterator[None]:
    """Hold a cluster for `up` or `down`: of two at the same time one does it, the other waits and says so."""
    folder = disk.folder(cache.root() / "locks", variable=cache.ROOT_VARIABLE)
    with ExitStack() as held:
        with ExitStack() as waiting:

            def tell() -> None:
                progress.note(f"another `harness` works on cluster {name}: waiting for it")
                waiting.enter_context(progress.step(f"waiting for the other `harness` on cluster {name}"))

            held.enter_context(cache.locked(folder / place.file_name(name), tell))
        yield
