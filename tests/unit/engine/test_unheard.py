"""Variables of [image.env] that a version sets itself are told, none is dropped in silence."""

from __future__ import annotations

from harness.engine.image.values import unheard


def test_what_a_version_sets_itself_is_named() -> None:
    given = (
        "AIRFLOW__CORE__EXECUTOR",
        "HARNESS_ARTIFACTS_URL",
        "AIRFLOW_VAR_A",
        "AIRFLOW__CORE__MAX_MAP_LENGTH",
    )
    assert unheard(given, mlflow=False) == ("AIRFLOW__CORE__EXECUTOR", "HARNESS_ARTIFACTS_URL")


def test_settings_that_count_are_not() -> None:
    counting = (
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT",
        "AIRFLOW__CORE__PARALLELISM",
        "OMP_NUM_THREADS",
        "TEAM",
    )
    assert unheard(counting, mlflow=True) == ()


def test_the_address_of_mlflow_counts_where_a_version_has_no_server_of_its_own() -> None:
    assert unheard(["MLFLOW_TRACKING_URI"], mlflow=False) == ()
    assert unheard(["MLFLOW_TRACKING_URI"], mlflow=True) == ("MLFLOW_TRACKING_URI",)
