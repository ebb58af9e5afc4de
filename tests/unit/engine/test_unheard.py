"""Variables of [image.env] that a version sets itself are told, none is dropped in silence."""

from __future__ import annotations

from harness.engine.image.values import unheard


def test_what_a_version_sets_itself_is_named() -> None:
    given = ("AIRFLOW__CORE__EXECUTOR", "OMP_NUM_THREADS", "AIRFLOW_VAR_A", "AIRFLOW__CORE__MAX_MAP_LENGTH")
    assert unheard(given, mlflow=False) == ("AIRFLOW__CORE__EXECUTOR", "OMP_NUM_THREADS")


def test_the_one_setting_that_counts_is_not() -> None:
    assert unheard(["AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT", "TEAM"], mlflow=True) == ()


def test_the_address_of_mlflow_counts_where_a_version_has_no_server_of_its_own() -> None:
    assert unheard(["MLFLOW_TRACKING_URI"], mlflow=False) == ()
    assert unheard(["MLFLOW_TRACKING_URI"], mlflow=True) == ("MLFLOW_TRACKING_URI",)
