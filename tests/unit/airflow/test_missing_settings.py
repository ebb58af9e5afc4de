"""What is told about a connection, a Variable or an environment variable that is not there."""

from __future__ import annotations

import pytest

from harness.airflow.autopsy.missing_settings import missing_setting


@pytest.mark.parametrize(
    ("kind", "message", "name"),
    [
        ("AirflowNotFoundException", "The conn_id `warehouse` isn't defined", "AIRFLOW_CONN_WAREHOUSE"),
        (
            "airflow.sdk.exceptions.AirflowRuntimeError",
            "VARIABLE_NOT_FOUND: {'message': 'Variable feature_bucket not found'}",
            "AIRFLOW_VAR_FEATURE_BUCKET",
        ),
        ("KeyError", "'Variable threshold does not exist'", "AIRFLOW_VAR_THRESHOLD"),
        ("KeyError", "'MLFLOW_TRACKING_URI'", "MLFLOW_TRACKING_URI"),
        ("NoRegionError", "You must specify a region.", "AWS_DEFAULT_REGION"),
        (
            "OpenAIError",
            "The api_key client option must be set either by passing api_key to the client or by setting the "
            "OPENAI_API_KEY environment variable",
            "OPENAI_API_KEY",
        ),
        ("ValueError", "DATABASE_URL is not set", "DATABASE_URL"),
        ("RuntimeError", "Missing required environment variable: FEATURE_STORE_URL", "FEATURE_STORE_URL"),
        ("EnvironmentError", "Please set `SLACK_WEBHOOK_URL`", "SLACK_WEBHOOK_URL"),
        ("ValueError", "Missing API_TOKEN in environment", "API_TOKEN"),
        (
            "UsageError",
            "api_key not configured (no-tty). call wandb.login(key=[your_api_key])",
            "WANDB_API_KEY",
        ),
    ],
)
def test_the_variable_that_gives_it_is_named(kind: str, message: str, name: str) -> None:
    hint = missing_setting(kind, message)
    assert f'add `from_env = ["{name}"]` below [secrets] in harness.toml, then export {name}=' in hint
    assert (f'{name} = "…" below [image.env]' in hint) is not any(word in name for word in ("KEY", "TOKEN"))


def test_a_login_of_several_variables_names_them_all() -> None:
    hint = missing_setting("NoCredentialsError", "Unable to locate credentials")
    assert '`from_env = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]` below [secrets]' in hint


def test_a_name_that_no_shell_takes_goes_into_airflows_own_file() -> None:
    hint = missing_setting("AirflowNotFoundException", "The conn_id `ware-house` isn't defined")
    assert 'add `airflow_settings = "airflow_settings.yaml"` below [secrets]' in hint


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("KeyError", "'target'"),
        ("ValueError", "'MLFLOW_TRACKING_URI'"),
        ("KeyError", "0"),
        ("ValueError", "column CUSTOMER_ID is missing from the index"),
        ("ValueError", "X is missing"),
        ("KeyError", "'HARNESS_ARTIFACTS_URL'"),
    ],
)
def test_others_are_none(kind: str, message: str) -> None:
    assert missing_setting(kind, message) == ""
