"""What a cluster that isn't ours asks of a version: where its pods go, and what their images are pulled with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.cluster import images, labels
from harness.cluster.api import KubernetesApi
from harness.cluster.place import Cluster
from harness.cluster.placement import Placement


@dataclass(frozen=True)
class Elsewhere:
    """What a context's entry in the user's own settings says, and Docker's login for the registry."""

    placement: Placement
    pull_secrets: tuple[str, ...] = ()
    pull_login: str = field(default="", repr=False)

    @classmethod
    def of(cls, cluster: Cluster) -> Elsewhere:
        """By the context's entry in the user's own settings, and Docker's logins."""
        login = images.pull_login(cluster)
        return cls(cluster.placement, tuple(images.pull_secrets(cluster, login)), login)

    def values(self) -> dict[str, Any]:
        """Values of the chart."""
        return {
            "volume": {
                "storageClass": self.placement.storage_class, "accessMode": self.placement.access_mode
            },
            "pods": {**self.placement.pods(), "onOneNode": self.placement.on_one_node},
            "imagePullSecrets": list(self.pull_secrets),
            "quota": {"hard": dict(self.placement.quota)},
        }  # fmt: skip

    def give_login(self, api: KubernetesApi, namespace: str) -> None:
        """Give a namespace the login that images are pulled with, as it is now: some last for hours."""
        images.give_login(api, namespace, self.pull_login, labels.ours(role="shared"))
