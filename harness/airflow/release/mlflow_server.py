"""A version's own MLflow tracking server: started when a test takes its metrics from there."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from harness.airflow.release import control_plane
from harness.cluster.api import KubernetesApi
from harness.errors import CauseCode, HarnessError, refusal
from harness.host import background

_NO_MODULE = re.compile(r"No module named '?(?P<name>[\w.]+)")


def start(api: KubernetesApi, namespace: str) -> None:
    """Let the server start; nothing happens when it runs."""
    api.patch(f"/apis/apps/v1/namespaces/{namespace}/deployments/mlflow", {"spec": {"replicas": 1}})


def wait_ready(
    api: KubernetesApi, namespace: str, *, deadline_s: float, on_change: Callable[[str], None]
) -> None:
    """Return when it takes requests.

    Raises HarnessError: DEPENDENCIES_UNRESOLVED when the image has no such server, DEPLOY_FAILED with its last lines
    when it ends, DEPLOY_TIMEOUT.
    """
    until = time.monotonic() + deadline_s
    path = f"/api/v1/namespaces/{namespace}/pods"
    while True:
        background.check()
        pod = next(iter(api.list(path, labelSelector="app.kubernetes.io/component=mlflow")), None)
        found = control_plane.state(pod)
        if found is None:
            return
        statuses = (pod["status"].get("containerStatuses") or []) if pod else []
        if pod and any(status.get("restartCount") for status in statuses):
            name = pod["metadata"]["name"]
            log = api.text(f"{path}/{name}/log", container="mlflow", tailLines="15", previous="true") or ""
            raise _ended(namespace, log.splitlines())
        if time.monotonic() > until:
            message = f"MLflow in {namespace} was not ready within {deadline_s:.0f} s: {found}"
            raise control_plane.too_late(api, namespace, message)
        on_change(found)
        time.sleep(0.3)


def _ended(namespace: str, lines: list[str]) -> HarnessError:
    lacking = next((match["name"] for line in reversed(lines) if (match := _NO_MODULE.search(line))), None)
    if lacking is not None:
        return HarnessError(
            CauseCode.DEPENDENCIES_UNRESOLVED,
            f"`metrics = {{ mlflow = true }}` needs MLflow's server, and the lock has no {lacking}",
            hint="add mlflow to the requirements (mlflow-skinny has no server), make the lock again, then harness up",
            evidence=lines,
        )
    what = f"MLflow in {namespace} does not start"
    return refusal(CauseCode.DEPLOY_FAILED, what, lines, hint=f"harness logs {namespace}")
