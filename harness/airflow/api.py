"""Airflow's REST API of one version, through the gateway on 127.0.0.1."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from harness.airflow.models import AuditEvent, Dag, DagImportError, DagRun, TaskInstance
from harness.errors import CauseCode, HarnessError

if TYPE_CHECKING:
    import httpx

PAGE_SIZE = 100  # Airflow's own upper limit
DEFAULT_DEADLINE_S = 60.0
REQUEST_TIMEOUT_S = 30.0
HEALTH_INTERVAL_S = 0.3
MAX_PAUSE_S = 2.0
_TRANSIENT_STATUS = frozenset({429, 500, 502, 503, 504})
_COMPONENTS = ("metadatabase", "scheduler", "dag_processor")


class _NotNow(Exception):  # noqa: N818  a state that passes, not an error
    """The api-server did not answer, or answered that it cannot now."""


class AirflowApi:
    """A client of one version's api-server. Threads may share it.

    Each call retries what passes (refused connections, a gateway that finds nobody, a busy server) until its
    `deadline_s` (seconds) is over, then raises HarnessError(API_SERVER_LOST).
    """

    def __init__(
        self,
        base_url: str,
        host_header: str,
        username: str,
        password: str,
        *,
        deadline_s: float = DEFAULT_DEADLINE_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`base_url` is where to connect (http://127.0.0.1:PORT); `host_header` chooses the version."""
        import httpx

        self._client = httpx.Client(
            base_url=base_url,
            headers={"Host": host_header} if host_header else {},
            timeout=httpx.Timeout(REQUEST_TIMEOUT_S, connect=5.0),
            trust_env=False,  # a proxy for the internet must not get requests to 127.0.0.1
            transport=transport,
        )
        self._login = {"username": username, "password": password}
        self._deadline_s = deadline_s
        self._token: str | None = None
        self._token_lock = threading.Lock()

    def __enter__(self) -> AirflowApi:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def wait_healthy(self, deadline_s: float) -> None:
        """Return once the api-server answers and the database, scheduler and dag-processor are healthy.

        Raises HarnessError(API_SERVER_LOST) when it never answers, HarnessError(DEPLOY_TIMEOUT) naming the
        component that is not healthy when the deadline is over.
        """
        end_s = time.monotonic() + deadline_s
        while True:
            health = self._get("monitor/health", deadline_s=max(0.0, end_s - time.monotonic()))
            states = {name: health.get(name, {}).get("status") or "not started" for name in _COMPONENTS}
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
            time.sleep(HEALTH_INTERVAL_S)

    def dag(self, dag_id: str, *, deadline_s: float | None = None) -> Dag | None:
        """The DAG, or None when no such DAG has been parsed."""
        data = self._find(f"dags/{_part(dag_id)}", deadline_s=deadline_s)
        return None if data is None or data.get("is_stale") else Dag.of(data)

    def dags(self, *, deadline_s: float | None = None) -> tuple[Dag, ...]:
        """All DAGs parsed so far, by id."""
        found = self._pages("dags", "dags", {"order_by": "dag_id"}, deadline_s)
        return tuple(Dag.of(data) for data in found)

    def import_errors(self, *, deadline_s: float | None = None) -> tuple[DagImportError, ...]:
        """The DAG files that cannot be imported, by file."""
        found = self._pages("importErrors", "import_errors", {"order_by": "filename"}, deadline_s)
        return tuple(DagImportError.of(data) for data in found)

    def unpause(self, dag_id: str, *, deadline_s: float | None = None) -> None:
        """Let the scheduler run this DAG."""
        self._json(
            "PATCH",
            f"dags/{_part(dag_id)}",
            deadline_s=deadline_s,
            params={"update_mask": "is_paused"},
            body={"is_paused": False},
        )

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
        response = self._send(
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
                CauseCode.DAG_NOT_FOUND, f"there is no DAG {dag_id!r}", evidence=[_detail(response)]
            )
        if response.is_client_error:
            raise HarnessError(
                CauseCode.CONFIG_INVALID,
                f"Airflow refuses to run DAG {dag_id!r}: {_detail(response)}",
                hint="edit the test's conf and logical_date in harness.toml",
            )
        return DagRun.of(_checked(response).json())

    def dag_run(self, dag_id: str, run_id: str, *, deadline_s: float | None = None) -> DagRun | None:
        """The run, or None when there is no such run."""
        data = self._find(_run_path(dag_id, run_id), deadline_s=deadline_s)
        return None if data is None else DagRun.of(data)

    def task_instances(
        self, dag_id: str, run_id: str, *, deadline_s: float | None = None
    ) -> tuple[TaskInstance, ...]:
        """All task instances of a run in their latest try, each index of mapped tasks among them."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances"
        found = self._pages(path, "task_instances", {"order_by": "id"}, deadline_s)
        return tuple(TaskInstance.of(data) for data in found)

    def xcom(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        key: str = "return_value",
        map_index: int = -1,
        *,
        deadline_s: float | None = None,
    ) -> Any:  # noqa: ANN401  whatever the task returned
        """What a task handed over under `key`, as a Python value; None when it handed over nothing.

        Values that Airflow wraps with their class (NumPy scalars, tuples, Decimals) come without it.
        """
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{_part(task_id)}/xcomEntries/{_part(key)}"
        data = self._find(path, deadline_s=deadline_s, params={"map_index": map_index})
        return None if data is None else plain_value(data["value"])

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
        response = self._send(
            "GET",
            path,
            deadline_s=deadline_s,
            params={"map_index": map_index, "full_content": "true"},
            accept="application/x-ndjson",
        )
        return "" if response.status_code == 404 else str(_checked(response).text)

    def audit_events(
        self, dag_id: str, run_id: str, *, deadline_s: float | None = None
    ) -> tuple[AuditEvent, ...]:
        """Airflow's event log of a run, oldest first."""
        params = {"dag_id": dag_id, "run_id": run_id, "order_by": "event_log_id"}
        found = self._pages("eventLogs", "event_logs", params, deadline_s)
        return tuple(AuditEvent.of(data) for data in found)

    def cancel(self, dag_id: str, run_id: str, *, deadline_s: float | None = None) -> None:
        """Set a run's state to failed, which stops its tasks."""
        self._json(
            "PATCH",
            _run_path(dag_id, run_id),
            deadline_s=deadline_s,
            params={"update_mask": "state"},
            body={"state": "failed"},
        )

    def _get(self, path: str, *, deadline_s: float | None = None) -> dict[str, Any]:
        return self._json("GET", path, deadline_s=deadline_s)

    def _find(
        self, path: str, *, deadline_s: float | None, params: Mapping[str, str | int] | None = None
    ) -> dict[str, Any] | None:
        response = self._send("GET", path, deadline_s=deadline_s, params=params)
        return None if response.status_code == 404 else _object(_checked(response))

    def _json(
        self,
        method: str,
        path: str,
        *,
        deadline_s: float | None,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return _object(_checked(self._send(method, path, deadline_s=deadline_s, params=params, body=body)))

    def _pages(
        self, path: str, key: str, params: Mapping[str, str | int], deadline_s: float | None
    ) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page = self._json(
                "GET", path, deadline_s=deadline_s, params={**params, "limit": PAGE_SIZE, "offset": offset}
            )
            entries = page[key]
            yield from entries
            offset += len(entries)
            if not entries or offset >= (page.get("total_entries") or 0):
                return

    def _send(
        self,
        method: str,
        path: str,
        *,
        deadline_s: float | None,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        accept: str = "application/json",
    ) -> httpx.Response:
        limit_s = self._deadline_s if deadline_s is None else deadline_s
        end_s = time.monotonic() + limit_s
        pause_s = 0.1
        while True:
            try:
                return self._once(method, path, params, body, accept)
            except _NotNow as error:
                if time.monotonic() + pause_s > end_s:
                    raise HarnessError(
                        CauseCode.API_SERVER_LOST,
                        f"Airflow's api-server did not answer for {limit_s:.0f} s: {error}",
                        hint="harness logs",
                    ) from error
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, MAX_PAUSE_S)

    def _once(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int] | None,
        body: Mapping[str, Any] | None,
        accept: str,
    ) -> httpx.Response:
        def attempt(token: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}", "Accept": accept}
            return self._exchange(method, f"/api/v2/{path}", params=params, json=body, headers=headers)

        token = self._authenticated(stale=None)
        response = attempt(token)
        if response.status_code == 401:
            response = attempt(self._authenticated(stale=token))
        return response

    def _authenticated(self, stale: str | None) -> str:
        with self._token_lock:
            if self._token is None or self._token == stale:
                response = self._exchange("POST", "/auth/token", json=self._login)
                if response.status_code in {400, 401}:
                    raise HarnessError(
                        CauseCode.DEPLOY_FAILED,
                        f"Airflow refuses the version's own user: {_detail(response)}",
                        hint="harness down, then run the command again",
                    )
                self._token = str(_object(_checked(response))["access_token"])
            return self._token

    def _exchange(self, method: str, url: str, **options: Any) -> httpx.Response:  # noqa: ANN401
        import httpx

        try:
            response = self._client.request(method, url, **options)
        except httpx.TransportError as error:
            raise _NotNow(str(error) or type(error).__name__) from error
        if response.status_code in _TRANSIENT_STATUS:
            raise _NotNow(f"HTTP {response.status_code} {_detail(response)}".rstrip())
        if response.status_code == 404 and not _is_airflow(response):
            raise _NotNow("the gateway does not know this version yet")
        return response


def plain_value(value: Any) -> Any:  # noqa: ANN401
    """A value without the classes that Airflow's serialisation wraps it in."""
    if isinstance(value, dict):
        if "__classname__" in value and "__data__" in value:
            return plain_value(value["__data__"])
        return {key: plain_value(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain_value(entry) for entry in value]
    return value


def _part(text: str) -> str:
    return quote(text, safe="")


def _run_path(dag_id: str, run_id: str) -> str:
    return f"dags/{_part(dag_id)}/dagRuns/{_part(run_id)}"


def _is_airflow(response: httpx.Response) -> bool:
    """Whether Airflow said it, not a proxy in front of it."""
    kind = str(response.headers.get("content-type", ""))
    return kind.startswith(("application/json", "application/x-ndjson"))


def _detail(response: httpx.Response) -> str:
    try:
        data = response.json()
    except ValueError:
        return response.text.strip()[:200]
    detail = data.get("detail", data) if isinstance(data, dict) else data
    return detail if isinstance(detail, str) else str(detail)


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    raise HarnessError(
        CauseCode.INTERNAL,
        f"Airflow answered {response.status_code} to {response.request.method} "
        f"{response.request.url.path}: {_detail(response)}",
    )


def _object(response: httpx.Response) -> dict[str, Any]:
    data = response.json()
    if not isinstance(data, dict):
        raise HarnessError(
            CauseCode.INTERNAL, f"Airflow answered no JSON object to {response.request.url.path}"
        )
    return data
