"""What a version's code is given in secret: who gets it, and that nobody else does."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from doubles import Kubernetes, refusal
from release_samples import a_release

from harness.airflow.logs.redaction import Redactor, secret_values
from harness.airflow.release import code_environment
from harness.cluster.services import kept_results

CHART = Path(__file__).parents[3] / "charts" / "airflow"
SECRETS = "/api/v1/namespaces/churn-01234567/secrets"


def test_the_chart_means_the_same_secret() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["codesSecretName"] == code_environment.NAME


def test_nothing_is_made_for_a_project_that_gives_nothing() -> None:
    api = Kubernetes()
    code_environment.give_secrets(api, a_release())
    assert api.requests == []


def test_they_are_in_a_secret_of_the_versions_own_and_nowhere_else() -> None:
    api = Kubernetes()
    release = a_release(secrets={"OPENAI_API_KEY": "s3cret-value"})
    code_environment.give_secrets(api, release)
    (made,) = api.asked("POST", SECRETS)
    assert made.body["stringData"] == {"OPENAI_API_KEY": "s3cret-value"}
    assert "s3cret" not in json.dumps(made.body["metadata"])
    assert "s3cret" not in repr(release)
    assert "s3cret" not in json.dumps(code_environment.handed_over(release))


def test_what_a_control_plane_that_stood_by_is_handed() -> None:
    release = a_release(env={"A": "1"}, mlflow=True, root="/usr/local/airflow", python_path=("src", "/app"))
    assert code_environment.handed_over(release) == {
        "A": "1",
        "MLFLOW_TRACKING_URI": code_environment.MLFLOW_URL,
        "PYTHONPATH": "/usr/local/airflow:/usr/local/airflow/src:/app",
    }


def test_what_was_given_can_be_asked_for() -> None:
    data = {"A": base64.b64encode("größe".encode()).decode()}
    api = Kubernetes({("GET", f"{SECRETS}/project-secrets"): {"data": data}})
    assert code_environment.given(api, "churn-01234567") == {"A": "größe"}
    assert code_environment.given(Kubernetes(), "churn-01234567") == {}


class TestKeyOfResults:
    PATH = "/api/v1/namespaces/harness-system/secrets"

    def test_it_is_made_once(self) -> None:
        made: list[Any] = []

        class Cluster(Kubernetes):
            def request(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
                if method == "POST":
                    made.append(body["stringData"]["key"])
                    return body
                if made:
                    return {"data": {"key": base64.b64encode(made[0].encode()).decode()}}
                return super().request(method, path, body, **options)

        api = Cluster()
        assert kept_results.key(api) == kept_results.key(api) == made[0].encode()
        assert len(made) == 1
        assert len(made[0]) == 64

    def test_another_client_was_first(self) -> None:
        found = {"data": {"key": base64.b64encode(b"theirs").decode()}}
        api = Kubernetes(
            {
                ("GET", f"{self.PATH}/kept-results"): [refusal(404, "GET", self.PATH), found],
                ("POST", self.PATH): refusal(409, "POST", self.PATH),
            }
        )
        assert kept_results.key(api) == b"theirs"


class TestMasking:
    URI = "postgresql://reader:p%40ss-word@db.example.com/x?sslpassword=inner-secret&mode=require"

    @pytest.mark.parametrize(
        ("name", "value", "texts"),
        [
            ("OPENAI_API_KEY", "sk-abcdefgh", ["the key is sk-abcdefgh", "sk-abcdefgh"]),
            ("DB_PASSWORD", "correcthorse", ["said correcthorse"]),
            ("ENDPOINT", "https://a.example/x", ["at https://a.example/x"]),
            ("AIRFLOW_CONN_W", URI, [URI, "password p@ss-word", "p%40ss-word", "inner-secret"]),
            (
                "AIRFLOW_CONN_W",
                json.dumps({"password": "pass-word", "extra": json.dumps({"api_key": "key-of-extra"})}),
                ["pass-word", "key-of-extra"],
            ),
            ("PEM", "-----BEGIN X-----\nabc+def/123\n-----END X-----\n", ["abc+def/123"]),
            ("QUOTED", 'a"b"cdefgh', ['a"b"cdefgh', 'a\\"b\\"cdefgh']),
        ],
    )
    def test_the_value_and_what_is_in_it(self, name: str, value: str, texts: list[str]) -> None:
        redactor = Redactor(secret_values({name: value}))
        for text in texts:
            assert "***" in redactor.known(text)
            assert text not in redactor.known(text)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("LOG_LEVEL", "WARNING"),
            ("HOME_DIR", "/opt/airflow"),
            ("PORT", "5432"),
            ("EMPTY", ""),
            ("ENV", "development"),
        ],
    )
    def test_ordinary_words_stay(self, name: str, value: str) -> None:
        assert secret_values({name: value}) == set()


class TestInATask:
    @pytest.fixture
    def site(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """The chart's sitecustomize.py, which replaces a function of Python's own as it is imported."""
        monkeypatch.setattr(signal, "signal", signal.signal)
        spec = importlib.util.spec_from_file_location("site_of_tasks", CHART / "files" / "sitecustomize.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def test_each_file_is_a_variable(
        self, site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "..2026").mkdir()
        (tmp_path / "..data").symlink_to("..2026")
        (tmp_path / "..2026" / "A").write_text("of the Secret\n")
        (tmp_path / "A").symlink_to("..data/A")
        (tmp_path / "AIRFLOW_CONN_WARE-HOUSE").write_text("{}")
        (tmp_path / "AIRFLOW_HOME").write_text("/elsewhere")
        found = {"A": "of the image", "HARNESS_VARIABLES": "AIRFLOW_HOME,HOME"}
        monkeypatch.setattr(os, "environ", found)
        site.set_variables(str(tmp_path))
        del found["HARNESS_VARIABLES"]
        assert found == {"A": "of the Secret\n", "AIRFLOW_CONN_WARE-HOUSE": "{}"}

    def test_without_a_folder_nothing_happens(
        self, site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "environ", {"A": "1"})
        site.set_variables(str(tmp_path / "none"))
        assert os.environ == {"A": "1"}
