"""What the code of a version's DAGs finds in its environment besides what its image sets."""

from __future__ import annotations

import base64
import posixpath

from harness.airflow.release.release import Release
from harness.cluster import labels
from harness.cluster.api import KubernetesApi
from harness.project.values import MLFLOW_URL

NAME = "project-secrets"  # as the chart calls it; there is none where the project gives nothing
TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"


def give_secrets(api: KubernetesApi, release: Release) -> None:
    """Make the Secret with what the project gives its code, before any of that code is there."""
    if not release.secrets:
        return
    identity = labels.ours(project=release.project, commit=release.commit[:40], role="version")
    api.create(
        f"/api/v1/namespaces/{release.namespace}/secrets",
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": NAME, "labels": identity},
            "stringData": dict(release.secrets),
        },
    )


def given(api: KubernetesApi, namespace: str) -> dict[str, str]:
    """The secrets that a version was given; what is told of it must not hold them."""
    found = api.get(f"/api/v1/namespaces/{namespace}/secrets/{NAME}")
    data = (found or {}).get("data") or {}
    return {name: base64.b64decode(value).decode(errors="replace") for name, value in data.items()}


def handed_over(release: Release) -> dict[str, str]:
    """What a control plane that stood by sets before it imports DAG files: it runs without the version's image."""
    folders = [release.root, *(posixpath.join(release.root, folder) for folder in release.python_path)]
    tracking = {TRACKING_VARIABLE: MLFLOW_URL} if release.mlflow else {}
    return dict(release.env) | tracking | {"PYTHONPATH": ":".join(folders)}
