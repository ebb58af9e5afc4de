"""Metrics and parameters of the last run that a DAG run logged to its version's MLflow server."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from harness.airflow.rest.models import DagRun
from harness.airflow.run.reported import Reported
from harness.errors import CauseCode, HarnessError
from harness.project.values import MLFLOW_URL

MOST_PARAMETERS = 200
# Prints MLflow's own account of the runs that were started since, the last one first.
_ASK = """
import json, sys, urllib.request
server, since_ms = sys.argv[1:]
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

def ask(path, body):
    request = urllib.request.Request(
        f"{server}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with direct.open(request, timeout=60) as answer:
        return json.load(answer)

ids = [each["experiment_id"] for each in ask("experiments/search", {"max_results": 1000}).get("experiments", [])]
body = {
    "experiment_ids": ids,
    "filter": f"attributes.start_time >= {since_ms}",
    "order_by": ["attributes.start_time DESC"],
    "max_results": 1000,
}
print(json.dumps(ask("runs/search", body).get("runs", []) if ids else []))
"""


def last(execute: Callable[[Sequence[str]], str], run: DagRun) -> Reported:
    """The metrics of the MLflow run that was started last during a DAG run, and its parameters.

    A run inside another one (a fold, a trial) counts only when no other has metrics. `execute` runs a program in the
    version's control plane and returns what it prints. Raises HarnessError(METRICS_MISSING) when no run has metrics.
    """
    since = run.queued_at or run.started_at
    since_ms = int(since.timestamp() * 1000) if since else 0
    said = execute(("python", "-c", _ASK, MLFLOW_URL, str(since_ms)))
    runs: list[dict[str, Any]] = json.loads(said.splitlines()[-1])
    logged = [each for each in runs if _pairs(each, "metrics")]
    outer = [each for each in logged if "mlflow.parentRunId" not in _pairs(each, "tags")]
    chosen = next(iter(outer or logged), None)
    if chosen is None:
        what = f"{len(runs)} runs to MLflow, and no metric in any of them" if runs else "no run to MLflow"
        raise HarnessError(
            CauseCode.METRICS_MISSING,
            f"the DAG logged {what}",
            hint="log with mlflow.start_run() and mlflow.log_metric(), and leave the tracking URI to "
            "MLFLOW_TRACKING_URI, which each version sets to its own server",
        )
    name = chosen["info"].get("run_name") or chosen["info"]["run_id"]
    parameters = dict(sorted(_pairs(chosen, "params").items())[:MOST_PARAMETERS])
    return Reported(
        _pairs(chosen, "metrics"),
        f"MLflow's run {name} has",
        {key: str(value) for key, value in parameters.items()},
    )


def _pairs(run: dict[str, Any], kind: str) -> dict[str, Any]:
    return {each["key"]: each.get("value") for each in run.get("data", {}).get(kind) or []}
