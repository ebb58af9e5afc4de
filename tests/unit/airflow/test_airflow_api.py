"""The client of Airflow's REST API, against answers as Airflow 3.3.2 gives them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.airflow.rest import api as api_module
from harness.airflow.rest.api import AirflowApi
from harness.airflow.rest.models import DagImportError, Pool
from harness.airflow.rest.plain_value import plain_value
from harness.errors import CauseCode, HarnessError

Handler = Callable[[httpx2.Request], httpx2.Response]

USERS = {"harness": "secret"}
RUN = {
    "dag_run_id": "harness-1",
    "dag_id": "good",
    "logical_date": "2026-01-01T00:00:00Z",
    "queued_at": "2026-11-22T19:42:48.953009Z",
    "start_date": None,
    "end_date": None,
    "state": "queued",
}


class Airflow:
    """An api-server double: a token endpoint, and what a test adds."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[httpx2.Request] = []
        self.logins = 0
        self.valid = ""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if request.url.path == "/auth/token":
            if json.loads(request.content) != {"username": "harness", "password": USERS["harness"]}:
                return httpx2.Response(401, json={"detail": "Invalid credentials"})
            self.logins += 1
            self.valid = f"token-{self.logins}"
            return httpx2.Response(201, json={"access_token": self.valid})
        if request.headers["Authorization"] != f"Bearer {self.valid}":
            return httpx2.Response(401, json={"detail": "Invalid JWT token"})
        return self.handler(request)

    def client(self, password: str = USERS["harness"], deadline_s: float = 5.0) -> AirflowApi:
        return AirflowApi(
            "http://127.0.0.1:8080",
            "demo-1a2b3c4d.localhost:8080",
            "harness",
            password,
            deadline_s=deadline_s,
            transport=httpx2.MockTransport(self),
        )


@pytest.fixture(autouse=True)
def time_flies(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only moves when the client sleeps; the seconds it slept."""
    slept: list[float] = []
    monkeypatch.setattr(api_module.time, "monotonic", lambda: sum(slept))
    monkeypatch.setattr(api_module.time, "sleep", slept.append)
    return slept


def answer(data: object, status: int = 200) -> Handler:
    return lambda _: httpx2.Response(status, json=data)


def test_sends_the_versions_host_and_logs_in_once() -> None:
    airflow = Airflow(answer({"dags": [], "total_entries": 0}))
    client = airflow.client()
    assert client.dags() == client.dags() == ()
    assert {request.headers["Host"] for request in airflow.requests} == {"demo-1a2b3c4d.localhost:8080"}
    assert {request.url.host for request in airflow.requests} == {"127.0.0.1"}
    assert airflow.logins == 1


def test_renews_a_token_that_expired() -> None:
    airflow = Airflow(answer({"dags": [], "total_entries": 0}))
    client = airflow.client()
    client.dags()
    airflow.valid = "expired on the server"
    client.dags()
    assert airflow.logins == 2


def test_refused_user_is_no_reason_to_retry(time_flies: list[float]) -> None:
    with pytest.raises(HarnessError, match="Invalid credentials") as caught:
        Airflow(answer({})).client(password="wrong").dags()
    assert caught.value.cause is CauseCode.DEPLOY_FAILED
    assert time_flies == []


@pytest.mark.parametrize(
    "trouble",
    [
        httpx2.Response(503, text="no endpoints"),
        httpx2.Response(502),
        httpx2.Response(500, json={"detail": "the database is restarting"}),
        httpx2.Response(404, text="no such version"),
        httpx2.ConnectError("connection refused"),
        httpx2.ReadTimeout("timed out"),
    ],
    ids=str,
)
def test_waits_for_what_passes(trouble: httpx2.Response | Exception, time_flies: list[float]) -> None:
    left = [trouble] * 3

    def handler(_: httpx2.Request) -> httpx2.Response:
        if left:
            found = left.pop()
            if isinstance(found, Exception):
                raise found
            return found
        return httpx2.Response(200, json={"dags": [], "total_entries": 0})

    assert Airflow(handler).client().dags() == ()
    assert len(time_flies) == 3


def test_gives_up_at_the_calls_deadline(time_flies: list[float]) -> None:
    def refuse(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("connection refused")

    with pytest.raises(HarnessError, match="did not answer for 3 s: connection refused") as caught:
        Airflow(refuse).client(deadline_s=60).dag("good", deadline_s=3)
    assert caught.value.cause is CauseCode.API_SERVER_LOST
    assert 1 < sum(time_flies) <= 3


def test_an_absent_dag_is_none() -> None:
    airflow = Airflow(answer({"detail": "The Dag with ID: `a/b` was not found"}, 404))
    assert airflow.client().dag("a/b") is None
    assert airflow.requests[-1].url.raw_path == b"/api/v2/dags/a%2Fb"


@pytest.mark.parametrize(
    ("told", "limit_s"),
    [("PT15S", 15.0), ("PT1M30.5S", 90.5), ("P1DT2H", 93600.0), (None, None)],
)
def test_the_dags_own_limit_for_a_run(told: str | None, limit_s: float | None) -> None:
    airflow = Airflow(answer({"dag_id": "a", "dag_run_timeout": told}))
    assert airflow.client().dagrun_timeout_s("a") == limit_s
    assert airflow.requests[-1].url.path == "/api/v2/dags/a/details"


def test_a_dag_whose_details_airflow_cannot_tell_has_no_known_limit() -> None:
    assert Airflow(answer({"detail": "not serializable"}, 500)).client().dagrun_timeout_s("a") is None


def test_reads_pools() -> None:
    pools = [{"name": "default_pool", "slots": 128, "description": "Default pool", "open_slots": 128}]
    airflow = Airflow(answer({"pools": pools, "total_entries": 1}))
    assert airflow.client().pools() == (Pool("default_pool", 128),)
    assert airflow.requests[-1].url.path == "/api/v2/pools"


def test_reads_the_keys_of_what_a_task_handed_over() -> None:
    entries = [{"key": key, "map_index": -1, "task_id": "fit"} for key in ("score", "return_value")]
    airflow = Airflow(answer({"xcom_entries": entries, "total_entries": 2}))
    assert airflow.client().xcom_keys("good", "harness-1", "fit") == ("return_value", "score")
    path = airflow.requests[-1].url.path
    assert path == "/api/v2/dags/good/dagRuns/harness-1/taskInstances/fit/xcomEntries"


@given(total=st.integers(0, 350))
def test_reads_every_page(total: int) -> None:
    def page(request: httpx2.Request) -> httpx2.Response:
        offset, limit = int(request.url.params["offset"]), int(request.url.params["limit"])
        tasks = [
            {"task_id": f"t{index}", "map_index": index, "state": None, "try_number": 0, "max_tries": 0}
            for index in range(offset, min(offset + min(limit, 100), total))
        ]
        return httpx2.Response(200, json={"task_instances": tasks, "total_entries": total})

    found = Airflow(page).client().task_instances("good", "harness-1")
    assert [task.map_index for task in found] == list(range(total))


def test_triggers_with_the_date_in_utc() -> None:
    airflow = Airflow(answer(RUN))
    date = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    run = airflow.client().trigger("good", {"seed": 7}, date, "harness-1")
    assert json.loads(airflow.requests[-1].content) == {
        "dag_run_id": "harness-1",
        "logical_date": "2026-01-01T00:00:00+00:00",
        "conf": {"seed": 7},
    }
    assert (run.run_id, run.state, run.ended) == ("harness-1", "queued", False)
    assert run.queued_at == datetime(2026, 11, 22, 19, 42, 48, 953009, tzinfo=UTC)


def test_triggering_twice_is_one_run() -> None:
    """The first answer may be lost on the way: the second try finds the run."""

    def handler(request: httpx2.Request) -> httpx2.Response:
        exists = request.method == "GET"
        return httpx2.Response(200, json=RUN) if exists else httpx2.Response(409, json={"detail": "exists"})

    assert Airflow(handler).client().trigger("good", {}, None, "harness-1").run_id == "harness-1"


def test_a_date_that_is_taken_is_the_users_to_solve() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(404 if request.method == "GET" else 409, json={"detail": "no"})

    with pytest.raises(HarnessError, match="has the logical date 2026-01-01") as caught:
        Airflow(handler).client().trigger("good", {}, datetime(2026, 1, 1, tzinfo=UTC), "harness-2")
    assert caught.value.cause is CauseCode.CONFIG_INVALID


def test_params_that_refuse_the_conf_are_the_configurations_fault() -> None:
    handler = answer({"detail": "Invalid input for param seed: 'x' is not of type 'integer'"}, 400)
    with pytest.raises(HarnessError, match="param seed") as caught:
        Airflow(handler).client().trigger("good", {"seed": "x"}, None, "harness-1")
    assert caught.value.cause is CauseCode.CONFIG_INVALID


def test_other_refusals_say_what_was_asked() -> None:
    with pytest.raises(HarnessError, match=r"403 to PATCH /api/v2/dags/good: Forbidden") as caught:
        Airflow(answer({"detail": "Forbidden"}, 403)).client().pause("good", paused=False)
    assert caught.value.cause is CauseCode.INTERNAL


def test_xcom_comes_without_wrapping_classes() -> None:
    value = {
        "accuracy": {"__classname__": "numpy.float64", "__version__": 1, "__data__": 0.93},
        "shape": {"__classname__": "builtins.tuple", "__version__": 1, "__data__": [1, {"n": 2}]},
    }
    client = Airflow(answer({"key": "return_value", "value": value})).client()
    assert client.xcom("good", "harness-1", "evaluate") == {"accuracy": 0.93, "shape": [1, {"n": 2}]}
    absent = Airflow(answer({"detail": "XCom entry not found"}, 404)).client()
    assert absent.xcom("good", "harness-1", "evaluate") is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda key: key[:2] != "__"), inner),
    max_leaves=20,
)


@given(json_values)
def test_plain_values_stay_as_they_are(value: object) -> None:
    assert plain_value(value) == value


def test_log_is_asked_for_as_lines_of_json() -> None:
    airflow = Airflow(lambda _: httpx2.Response(200, text='{"event":"a"}\n{"event":"b"}\n'))
    log = airflow.client().task_log("good", "harness-1", "train", 2, map_index=3)
    assert log.splitlines() == ['{"event":"a"}', '{"event":"b"}']
    request = airflow.requests[-1]
    assert request.url.path == "/api/v2/dags/good/dagRuns/harness-1/taskInstances/train/logs/2"
    assert request.url.params["map_index"] == "3"
    assert request.headers["Accept"] == "application/x-ndjson"


def health(**states: str | None) -> dict[str, dict[str, str | None]]:
    components = {
        "metadatabase": "healthy",
        "scheduler": "healthy",
        "dag_processor": "healthy",
        "triggerer": None,
    }
    return {name: {"status": state} for name, state in (components | states).items()}


def test_healthy_once_every_component_is(time_flies: list[float]) -> None:
    answers = [health(scheduler=None), health(dag_processor="unhealthy"), health()]
    Airflow(lambda _: httpx2.Response(200, json=answers.pop(0))).client().wait_healthy(60)
    assert answers == []
    assert len(time_flies) == 2


def test_names_the_component_that_is_not_healthy() -> None:
    client = Airflow(answer(health(scheduler="unhealthy"))).client()
    with pytest.raises(HarnessError, match="scheduler is unhealthy") as caught:
        client.wait_healthy(2)
    assert caught.value.cause is CauseCode.DEPLOY_TIMEOUT


def test_import_error_tells_file_line_and_exception() -> None:
    error = DagImportError(
        "team/broken.py",
        "Traceback (most recent call last):\n"
        '  File "/usr/lib/airflow/importers/python_importer.py", line 238, in parse\n'
        "    loader.exec_module(new_module)\n"
        '  File "/opt/airflow/dags/team/broken.py", line 9, in <module>\n'
        "    from team.model import fit\n"
        '  File "/opt/airflow/dags/team/model.py", line 3, in <module>\n'
        "    import skleran\n"
        "ModuleNotFoundError: No module named 'skleran'\n",
    )
    assert error.place == "team/broken.py:9"
    assert error.message == "ModuleNotFoundError: No module named 'skleran'"


@pytest.mark.parametrize(
    ("trace", "place", "message"),
    [
        (
            'Traceback (most recent call last):\n  File "<frozen importlib._bootstrap>", line 241, in f\n'
            '  File "/opt/airflow/dags/syntax.py", line 3\n    def x(:\n          ^\n'
            "SyntaxError: invalid syntax\n",
            "syntax.py:3",
            "SyntaxError: invalid syntax",
        ),
        ("AirflowException: two DAGs have the id a", "syntax.py", "AirflowException: two DAGs have the id a"),
        ("", "syntax.py", "import failed"),
    ],
)
def test_import_errors_of_other_shapes(trace: str, place: str, message: str) -> None:
    error = DagImportError("syntax.py", trace)
    assert (error.place, error.message) == (place, message)


@given(st.text(), st.text())
def test_any_import_error_has_one_line(file: str, trace: str) -> None:
    error = DagImportError(file, trace)
    assert len(error.message.splitlines()) <= 1
    assert error.place.startswith(file)
