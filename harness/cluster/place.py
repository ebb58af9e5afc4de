"""Which cluster is meant, where its files lie on this machine, and how it is reached."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from harness.cluster import placement
from harness.cluster.placement import Placement
from harness.errors import CauseCode, HarnessError
from harness.hints import CONTEXT_MARK, DEFAULT_CLUSTER

if TYPE_CHECKING:
    from harness.cluster.api import KubernetesApi
    from harness.image.registry.address import LocalRegistry, Registry

SHARED = "harness-system"  # the namespace of what versions share
STATE_VARIABLE = "HARNESS_STATE_DIR"
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,48}[a-z0-9])?")
CONTEXT = re.compile(r"[^\s\x00-\x1f\x7f-\x9f-][^\s\x00-\x1f\x7f-\x9f]{0,252}")


@dataclass(frozen=True)
class Cluster:
    """A running cluster: our kubeconfig file for it, its node containers, the gateway's port on 127.0.0.1.

    `forwarded`: nothing listens at that port unless a port-forward is held. `registry`: images go through it, to a
    cluster elsewhere, and nothing of Docker's is used for it: there are no node containers. `database_variable`: the
    environment variable with the URL of the PostgreSQL server that it is given; it makes one of its own otherwise.
    `local_registry`: one beside a kind cluster, from which its nodes are given images.
    """

    name: str
    kubeconfig: Path
    nodes: tuple[str, ...]
    gateway_port: int
    forwarded: bool = False
    placement: Placement = placement.KIND
    registry: Registry | None = None
    database_variable: str = ""
    local_registry: LocalRegistry | None = None

    def api(self) -> KubernetesApi:
        """Its Kubernetes, in which given namespaces stand for new ones where it makes none."""
        if self.placement.namespaces:
            from harness.cluster.existing.given_namespaces import GivenNamespaces

            return GivenNamespaces(self.kubeconfig, self.placement.namespaces, SHARED)
        from harness.cluster.api import KubernetesApi

        return KubernetesApi(self.kubeconfig)


def check_name(name: str) -> str:
    """The name itself; raises HarnessError(USAGE) for one that kind would refuse, or that can't be a context's."""
    context = context_of(name)
    if context is not None:
        if not CONTEXT.fullmatch(context):
            raise HarnessError(
                CauseCode.USAGE,
                f"{context!r} is no name of a context",
                hint="kubectl config get-contexts --output name",
            )
    elif not NAME.fullmatch(name):
        raise HarnessError(
            CauseCode.USAGE,
            f"{name!r} is no name of a cluster: use lower-case letters, digits, '-' and '.', 50 at most",
            hint=f"harness up --name {DEFAULT_CLUSTER}",
        )
    return name


def context_of(name: str) -> str | None:
    """The context of `@CONTEXT`, a cluster that isn't ours; None for one of ours."""
    return name.removeprefix(CONTEXT_MARK) if name.startswith(CONTEXT_MARK) else None


def file_name(name: str) -> str:
    """A cluster's name as that of a file: a context's may hold anything."""
    context = context_of(name)
    if context is None:
        return name
    readable = re.sub(r"[^a-z0-9]+", "-", context.lower())[:40].strip("-")
    return f"{CONTEXT_MARK}{readable}-{hashlib.sha256(context.encode()).hexdigest()[:8]}"


def state_folder(name: str) -> Path:
    """Where the kubeconfig and the log of a cluster lie; gone with the cluster."""
    root = os.environ.get(STATE_VARIABLE)
    base = Path(root) if root else platformdirs.user_state_path("airflow-harness")
    return base / "clusters" / file_name(name)


def keep_kubeconfig(name: str, content: str) -> Path:
    """Put a cluster's kubeconfig in place, private and whole; returns where."""
    kept = state_folder(name) / "kubeconfig"
    partial = kept.with_suffix(f".{os.getpid()}")  # several commands may do so at once
    partial.touch(mode=0o600)
    partial.write_text(content, encoding="utf-8")
    partial.replace(kept)
    return kept


def remove_state(name: str) -> bool:
    """Remove the folder of a cluster with all that is in it; False when there was none."""
    folder = state_folder(name)
    was_there = folder.exists()
    while folder.exists():
        with contextlib.suppress(FileNotFoundError):  # another command removes it too
            shutil.rmtree(folder)
    remove_empty_folders(name)
    return was_there


def remove_empty_folders(name: str) -> None:
    """Leave no folder of a cluster that holds nothing, nor those above it."""
    folder = state_folder(name)
    for each in (folder, folder.parent, folder.parent.parent):
        with contextlib.suppress(OSError):  # files are there, or it was given to us
            each.rmdir()
