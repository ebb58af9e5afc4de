"""One version's namespace and Airflow: made, awaited with a reason, and removed only when it is ours."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles import Clock, Kubernetes
from release_samples import a_release

from harness.airflow.release import release, removal
from harness.cluster.services.database import Credentials
from harness.cluster.services.helm import Helm
from harness.errors import CauseCode, HarnessError

SPACE = "churn-01234567"
PATH = f"/api/v1/namespaces/{SPACE}"
PODS = f"{PATH}/pods"
WANTED = a_release(SPACE, commit="a" * 64, ref="feature/größer")


OURS = {"metadata": {"labels": {"harness.local/created-by": "harness"}}}


class Server:
    """PostgreSQL that remembers which databases were made and dropped."""

    def __init__(self) -> None:
        self.created: list[tuple[str, str]] = []
        self.dropped: list[str] = []

    def create(self, database: str, template: str) -> Credentials:
        self.created.append((database, template))
        return Credentials(database, database, "data-base-pass")

    def drop(self, database: str) -> None:
        self.dropped.append(database)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(removal, "time", clock)
    return clock


class TestMaking:
    def test_namespace(self) -> None:
        api = Kubernetes()
        release.create_namespace(api, WANTED)
        (made,) = api.requests
        marks, notes = made.body["metadata"]["labels"], made.body["metadata"]["annotations"]
        assert marks["harness.local/created-by"] == "harness"
        assert all(len(value) <= 63 for value in marks.values())
        assert notes["harness.local/ref"] == "feature/größer"

    def test_secrets_are_new_each_time_and_shown_nowhere(self) -> None:
        api, server = Kubernetes(), Server()
        logins = [release.prepare(api, WANTED, server) for _ in range(2)]
        assert server.created[0] == ("v_churn_01234567", "template_0")
        one, two = (each.body["stringData"] for each in api.asked("POST", f"{PATH}/secrets"))
        for name in ("fernet_key", "jwt_secret", "api_secret_key", "passwords.json"):
            assert one[name] != two[name]
        assert len(base64.urlsafe_b64decode(one["fernet_key"])) == 32
        assert logins[0].password in one["passwords.json"]
        assert logins[0].password not in repr(logins[0])

    def test_login_is_found_again(self) -> None:
        passwords = base64.b64encode(json.dumps({"harness": "pass"}).encode()).decode()
        api = Kubernetes({("GET", f"{PATH}/secrets/airflow"): {"data": {"passwords.json": passwords}}})
        assert release.login_of(api, SPACE) == release.Login("harness", "pass")

    def test_login_of_nothing(self) -> None:
        with pytest.raises(HarnessError, match="no version") as caught:
            release.login_of(Kubernetes(), SPACE)
        assert caught.value.cause is CauseCode.USAGE


class TestValues:
    """What Helm is given."""

    @staticmethod
    def given(tmp_path: Path, **changes: object) -> dict[str, Any]:
        class Installing(Helm):
            def install(self, release: str, chart: Path, namespace: str, values: Mapping[str, Any]) -> None:
                asked.update(values)

        asked: dict[str, Any] = {}
        release.install(Installing(tmp_path, tmp_path), replace(WANTED, **changes))  # type: ignore[arg-type]
        return asked

    def test_of_the_images_variables_those_that_versions_have_a_default_for(self, tmp_path: Path) -> None:
        env = {"OMP_NUM_THREADS": "4", "TEAM": "churn", "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "20"}
        given = self.given(tmp_path, env=env)
        assert given["environment"] == {"OMP_NUM_THREADS": "4"}
        assert given["dagProcessor"] == {"importTimeoutSeconds": 20.0}
        assert "environment" not in self.given(tmp_path, env={"TEAM": "churn"})

    def test_a_server_of_mlflow_has_its_own_name_and_those_that_code_has_of_it(self, tmp_path: Path) -> None:
        addresses = ("http://mlflow:5001", "http://tracking:80", "http://tracking:5000")
        given = self.given(tmp_path, mlflow=True, mlflow_addresses=addresses)
        assert given["mlflow"]["services"] == [
            {"name": "mlflow", "ports": [5000, 5001]},
            {"name": "tracking", "ports": [80, 5000]},
        ]
        assert self.given(tmp_path, mlflow=True)["mlflow"]["services"] == [
            {"name": "mlflow", "ports": [5000]}
        ]
        assert "mlflow" not in self.given(tmp_path)

    def test_those_of_the_official_charts_values_count_before_the_images(self, tmp_path: Path) -> None:
        env = {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4"}
        values = {"environment": {"OMP_NUM_THREADS": "2", "TEAM": "churn"}}
        given = self.given(tmp_path, env=env, values=values)
        assert given["environment"] == {"MKL_NUM_THREADS": "4", "OMP_NUM_THREADS": "2", "TEAM": "churn"}
        assert values == {"environment": {"OMP_NUM_THREADS": "2", "TEAM": "churn"}}


class TestRemoving:
    def test_ours(self, clock: Clock) -> None:
        gone = Kubernetes()
        server, answers = Server(), [OURS, OURS, None]
        gone.answers["GET", PATH] = answers
        assert release.remove(gone, server, SPACE) is True
        assert PATH in [each.path for each in gone.asked("DELETE")]
        assert server.dropped == ["v_churn_01234567"]

    @pytest.mark.parametrize("wait", [True, False])
    def test_claims_go_first_where_somebody_waits(self, clock: Clock, *, wait: bool) -> None:
        gone = Kubernetes({("GET", PATH): [OURS, None]})
        release.remove(gone, Server(), SPACE, wait=wait)
        paths = [each.path for each in gone.asked("DELETE")]
        assert (f"{PATH}/persistentvolumeclaims" in paths) is wait
        assert paths[-1] == PATH

    @pytest.mark.parametrize("marks", [{}, {"harness.local/created-by": "somebody"}])
    def test_not_what_is_not_ours(self, clock: Clock, marks: dict[str, str]) -> None:
        api, server = Kubernetes({("GET", PATH): {"metadata": {"labels": marks}}}), Server()
        with pytest.raises(HarnessError, match="was not made by harness") as caught:
            release.remove(api, server, SPACE)
        assert caught.value.cause is CauseCode.USAGE
        assert api.asked("DELETE") == []
        assert server.dropped == []

    def test_nothing(self, clock: Clock) -> None:
        server = Server()
        assert release.remove(Kubernetes(), server, SPACE) is False
        assert server.dropped == ["v_churn_01234567"]  # what a killed client may have left

    def test_one_that_does_not_go(self, clock: Clock) -> None:
        conditions = [
            {"status": "False", "message": "all is well with this"},
            {"status": "True", "message": "finalizers remain"},
        ]
        stuck, told = {**OURS, "status": {"conditions": conditions}}, list[str]()
        with pytest.raises(HarnessError, match="not gone after 5 s") as caught:
            release.remove(
                Kubernetes({("GET", PATH): stuck}), Server(), SPACE, deadline_s=5, on_change=told.append
            )
        assert caught.value.cause is CauseCode.CLUSTER_FAILED
        assert caught.value.message.endswith(": finalizers remain")
        assert told[:2] == ["its database", "finalizers remain"]
        assert caught.value.evidence == ("finalizers remain",)
        assert 5 <= sum(clock.slept) < 6
