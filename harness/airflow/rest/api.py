"""Airflow's REST API of one version, through the gateway on 127.0.0.1."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from harness.airflow.rest.dependencies import AssetQueue, Dependencies
from harness.airflow.rest.models import (
    AuditEvent,
    Dag,
    DagImportError,
    DagRun,
    Pool,
    TaskInstance,
    duration_s,
)
from harness.airflow.rest.plain_value import plain_value
from harness.airflow.rest.session import Session, checked, detail
from harness.airflow.rest.task_definitions import TaskDefinition
from harness.errors import CauseCode, HarnessError
from harness.host import background

HEALTH_INTERVAL_S = 0.3
DETAILS_S = 5.0
CONTROL_PLANE = ("metadatabase", "scheduler", "dag_processor")
WITHOUT_CODE = CONTROL_PLANE[:1]  # what is healthy before there are DAGs


class AirflowApi(Session):
    """What the harness asks of one version's Airflow."""

    def wait_healthy(
        self,
        deadline_s: float,
        components: Sequence[str] = CONTROL_PLANE,
        *,
        on_change: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Return once the api-server answers and the components are healthy; `on_change` is told which are not.

        Raises HarnessError(API_SERVER_LOST) when it never answers, HarnessError(DEPLOY_TIMEOUT) naming the
        component that is not healthy when the deadline is over.
        """
        end_s = time.monotonic() + deadline_s
        while True:
            health = self.get("monitor/health", deadline_s=max(0.0, end_s - time.monotonic()))
            states = {name: health.get(name, {}).get("status") or "not started" for name in components}
            ill = [
                f"{name.replace('_', '-')} is {state}" for name, state in states.items() if state != "healthy"
            ]
            if not ill:
                return
            if time.monotonic() > end_s:
                raise HarnessError(
                    CauseCode.DEPLOY_TIMEOUT,
                    f"after {deadline_s:.0f} s Airflow's {' and its '.join(ill)}",
                    hint="harness logs",
                )
            on_change(f"its {' and its '.join(ill)}")
            background.check()
            time.sleep(HEALTH_INTERVAL_S)

    def dag(self, dag_id: str, *, deadline_s: float | None = None) -> Dag | None:
        """The DAG, or None when no such DAG has been parsed."""
        data = self.find(f"dags/{_part(dag_id)}", deadline_s=deadline_s)
        return None if data is None or data.get("is_stale") else Dag.of(data)

    def dags(self, *, deadline_s: float | None = None) -> tuple[Dag, ...]:
        """All DAGs parsed so far, by id."""
        found = self.pages("dags", "dags", {"order_by": "dag_id"}, deadline_s)
        return tuple(Dag.of(data) for data in found)

    def dagrun_timeout_s(self, dag_id: str, *, deadline_s: float | None = DETAILS_S) -> float | None:
        """How long a run of the DAG may take by the DAG's own word; None where it says nothing or can't be asked."""
        with suppress(
            HarnessError
        ):  # Airflow fails to tell the details of a DAG whose default_args are no JSON
            data = self.find(f"dags/{_part(dag_id)}/details", deadline_s=deadline_s)
            limit = data.get("dag_run_timeout") if data else None
            return None if limit is None else duration_s(limit)
        return None

    def import_errors(self, *, deadline_s: float | None = None) -> tuple[DagImportError, ...]:
        """The DAG files that cannot be imported, by file."""
        found = self.pages("importErrors", "import_errors", {"order_by": "filename"}, deadline_s)
        return tuple(DagImportError.of(data) for data in found)

    def pause(self, dag_id: str, *, paused: bool, deadline_s: float | None = None) -> None:
        """Let the scheduler start nothing of this DAG, or let it run again."""
        self._change(f"dags/{_part(dag_id)}", deadline_s, is_paused=paused)

    def set_succeeded(
        self, dag_id: str, run_id: str, task: TaskInstance, *, deadline_s: float | None = None
    ) -> None:
        """Set a task instance's state to `success`; nothing happens where it is that already."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{_part(task.task_id)}"
        path += f"/{task.map_index}" if task.map_index >= 0 else ""
        response = self.send("PATCH", path, deadline_s=deadline_s, body={"new_state": "success"})
        if response.status_code != 409:
            checked(response)

    def dependencies(self, *, deadline_s: float | None = None) -> Dependencies:
        """Which DAG leads to which; nothing where this Airflow can't tell."""
        return Dependencies.of(self.find("/ui/dependencies", deadline_s=deadline_s) or {})

    def dag_runs(self, *, deadline_s: float | None = None) -> tuple[DagRun, ...]:
        """All runs of all DAGs, the oldest first."""
        found = self.pages("dags/~/dagRuns", "dag_runs", {"order_by": "id"}, deadline_s)
        return tuple(DagRun.of(data) for data in found)

    def asset_queue(self, dag_id: str, *, deadline_s: float | None = None) -> AssetQueue:
        """The assets that a DAG is scheduled on, and which of them have changed since its last run."""
        path = f"dags/{_part(dag_id)}"
        queued = self.find(f"{path}/assets/queuedEvents", deadline_s=deadline_s)
        events = (queued or {}).get("queued_events") or []
        if not events:
            return AssetQueue(None, frozenset())
        details = self.find(f"{path}/details", deadline_s=deadline_s) or {}
        names: set[str] = set()
        for asset_id in sorted({event["asset_id"] for event in events}):
            asset = self.find(f"assets/{asset_id}", deadline_s=deadline_s) or {}
            names |= {str(asset[key]) for key in ("name", "uri") if asset.get(key)}
        return AssetQueue(details.get("asset_expression"), frozenset(names))

    def empty_asset_queue(self, dag_id: str, *, deadline_s: float | None = None) -> None:
        """Forget which of a DAG's assets have changed."""
        self.send("DELETE", f"dags/{_part(dag_id)}/assets/queuedEvents", deadline_s=deadline_s)

    def trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Any],
        logical_date: datetime | None,
        run_id: str,
        *,
        deadline_s: float | None = None,
    ) -> DagRun:
        """Start a run. Asking again for the same `run_id` returns the run that exists.

        Raises HarnessError(CONFIG_INVALID) when the DAG's params refuse `conf`, or another run has that date;
        HarnessError(DAG_NOT_FOUND) when there is no such DAG.
        """
        date = logical_date.astimezone(UTC).isoformat() if logical_date else None
        response = self.send(
            "POST",
            f"dags/{_part(dag_id)}/dagRuns",
            deadline_s=deadline_s,
            body={"dag_run_id": run_id, "logical_date": date, "conf": dict(conf)},
        )
        if response.status_code == 409:
            if (existing := self.dag_run(dag_id, run_id)) is not None:
                return existing
            raise HarnessError(
                CauseCode.CONFIG_INVALID,
                f"another run of DAG {dag_id!r} in this version has the logical date {date}",
                hint="give each test of one DAG a logical_date of its own in harness.toml",
            )
        if response.status_code == 404:
            raise HarnessError(
                CauseCode.DAG_NOT_FOUND, f"there is no DAG {dag_id!r}", evidence=[detail(response)]
            )
        if response.is_client_error:
            said = [line for line in detail(response).splitlines() if line.strip()] or [
                response.reason_phrase
            ]
            raise HarnessError(
                CauseCode.CONFIG_INVALID,
                f"Airflow refuses to run DAG {dag_id!r}: {said[0]}",
                hint="edit the test's conf and logical_date in harness.toml",
                evidence=said[1:],
            )
        return DagRun.of(checked(response).json())

    def dag_run(self, dag_id: str, run_id: str, *, deadline_s: float | None = None) -> DagRun | None:
        """The run, or None when there is no such run."""
        data = self.find(_run_path(dag_id, run_id), deadline_s=deadline_s)
        return None if data is None else DagRun.of(data)

    def task_instances(
        self, dag_id: str, run_id: str, *, deadline_s: float | None = None
    ) -> tuple[TaskInstance, ...]:
        """All task instances of a run in their latest try, each index of mapped tasks among them."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances"
        found = self.pages(path, "task_instances", {"order_by": "id"}, deadline_s)
        return tuple(TaskInstance.of(data) for data in found)

    def task_definitions(
        self, dag_id: str, *, deadline_s: float | None = DETAILS_S
    ) -> tuple[TaskDefinition, ...]:
        """The DAG's tasks as they are written; none where Airflow can't tell, which explains less."""
        with suppress(HarnessError):
            data = self.find(f"dags/{_part(dag_id)}/tasks", deadline_s=deadline_s)
            return tuple(TaskDefinition.of(task) for task in (data or {}).get("tasks") or ())
        return ()

    def xcom(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        key: str = "return_value",
        map_index: int = -1,
        *,
        wrapped: bool = False,
        deadline_s: float | None = None,
    ) -> Any:  # noqa: ANN401  whatever the task returned
        """What a task handed over under `key`, as a Python value; None when it handed over nothing.

        Values that Airflow wraps with their class (NumPy scalars, tuples, Decimals) come without it unless `wrapped`.
        """
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{_part(task_id)}/xcomEntries/{_part(key)}"
        data = self.find(path, deadline_s=deadline_s, params={"map_index": map_index})
        return None if data is None else data["value"] if wrapped else plain_value(data["value"])

    def xcom_keys(
        self, dag_id: str, run_id: str, task_id: str, *, deadline_s: float | None = None
    ) -> tuple[str, ...]:
        """The keys under which a task handed over anything, by name."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{_part(task_id)}/xcomEntries"
        return tuple(sorted({data["key"] for data in self.pages(path, "xcom_entries", {}, deadline_s)}))

    def task_log(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        try_number: int,
        map_index: int = -1,
        *,
        deadline_s: float | None = None,
    ) -> str:
        """A try's log as lines of JSON (autopsy.parse_log reads them); empty when there is none."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{_part(task_id)}/logs/{try_number}"
        response = self.send(
            "GET",
            path,
            deadline_s=deadline_s,
            params={"map_index": map_index, "full_content": "true"},
            accept="application/x-ndjson",
        )
        return "" if response.status_code == 404 else str(checked(response).text)

    def audit_events(
        self, dag_id: str, run_id: str, *, deadline_s: float | None = None
    ) -> tuple[AuditEvent, ...]:
        """Airflow's event log of a run, oldest first."""
        params = {"dag_id": dag_id, "run_id": run_id, "order_by": "event_log_id"}
        found = self.pages("eventLogs", "event_logs", params, deadline_s)
        return tuple(AuditEvent.of(data) for data in found)

    def pools(self, *, deadline_s: float | None = None) -> tuple[Pool, ...]:
        """All pools, by name."""
        found = self.pages("pools", "pools", {"order_by": "name"}, deadline_s)
        return tuple(Pool.of(data) for data in found)

    def set_pool(
        self, name: str, slots: int, description: str = "", *, deadline_s: float | None = None
    ) -> None:
        """Make a pool, or change the one of that name."""
        body = {"name": name, "slots": slots, "description": description, "include_deferred": False}
        response = self.send("POST", "pools", deadline_s=deadline_s, body=body)
        if response.status_code == 409:
            changed = {"pool": name, **{key: body[key] for key in ("slots", "include_deferred")}}
            response = self.send(
                "PATCH",
                f"pools/{_part(name)}",
                deadline_s=deadline_s,
                params={"update_mask": "slots"},
                body=changed,
            )
        checked(response)

    def cancel(self, dag_id: str, run_id: str, *, deadline_s: float | None = None) -> None:
        """Set a run's state to failed, which stops its tasks."""
        self._change(_run_path(dag_id, run_id), deadline_s, state="failed")

    def _change(self, path: str, deadline_s: float | None, **fields: Any) -> None:  # noqa: ANN401
        """Give some fields of an object other values, and leave the rest as it is."""
        mask = {"update_mask": ",".join(fields)}
        checked(self.send("PATCH", path, deadline_s=deadline_s, params=mask, body=fields))


def _part(text: str) -> str:
    return quote(text, safe="")


def _run_path(dag_id: str, run_id: str) -> str:
    return f"dags/{_part(dag_id)}/dagRuns/{_part(run_id)}"
