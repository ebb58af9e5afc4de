"""What the versions use now, as the kubelets measure it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from harness.cluster.api import KubernetesApi
from harness.errors import HarnessError


@dataclass(frozen=True)
class Usage:
    """CPU in cores and memory in bytes (the working set) of a namespace's pods."""

    cpu: float = 0.0
    memory_bytes: int = 0


def usage(api: KubernetesApi) -> Mapping[str, Usage]:
    """By namespace; one that no kubelet has measured yet is left out."""
    found: dict[str, Usage] = {}
    with suppress(HarnessError):
        for node in api.list("/api/v1/nodes"):
            path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"
            summary = api.get(path) or {}
            for pod in summary.get("pods") or []:
                memory = (pod.get("memory") or {}).get("workingSetBytes")
                if not memory:  # the kubelet looks every ten seconds, and lists a new pod before that
                    continue
                namespace = pod["podRef"]["namespace"]
                known = found.get(namespace, Usage())
                cores = ((pod.get("cpu") or {}).get("usageNanoCores") or 0) / 1e9
                found[namespace] = Usage(known.cpu + cores, known.memory_bytes + int(memory))
    return found
