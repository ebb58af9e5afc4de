"""Which package a missing module is in, and what is no missing package."""

from __future__ import annotations

import pytest

from harness.airflow.autopsy.missing_modules import changed_package, gone_in_airflow_3, missing_module
from harness.project.places import CodeFiles


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("xgboost", "xgboost"),
        ("sklearn", "scikit-learn"),
        ("cv2", "opencv-python-headless"),
        ("yaml", "PyYAML"),
        ("pkg_resources", "setuptools<81"),
        ("google.cloud.bigquery", "google-cloud-bigquery"),
        ("airflow.providers.amazon", "apache-airflow-providers-amazon"),
        ("airflow.providers.google", "apache-airflow-providers-google"),
        ("airflow.providers.cncf.kubernetes", "apache-airflow-providers-cncf-kubernetes"),
        ("airflow.providers.common.sql", "apache-airflow-providers-common-sql"),
        ("airflow.providers.openlineage", "apache-airflow-providers-openlineage"),
        ("airflow.providers.pgvector_x", "apache-airflow-providers-pgvector-x"),
    ],
)
def test_the_package_that_has_the_module_is_named(name: str, package: str) -> None:
    assert f"add {package} to the file" in missing_module(f"ModuleNotFoundError: No module named '{name}'")


def test_the_line_of_the_import_tells_which_provider_of_a_family_it_is() -> None:
    message = "ModuleNotFoundError: No module named 'airflow.providers.apache'"
    line = "    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator"
    assert "add apache-airflow-providers-apache-spark to" in missing_module(message, f"{line}\n{message}")
    assert "apache-airflow-providers-apache-…" in missing_module(message, message)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("xgboost.core", "xgboost is in the image, but has no core"),
        ("airflow.providers.amazon.aws.x", "airflow.providers.amazon.aws is in the image, but has no x"),
        ("airflow.operators.python_operator", "Airflow 3 has no airflow.operators.python_operator"),
    ],
)
def test_a_part_of_what_is_there_is_no_missing_package(name: str, words: str) -> None:
    hint = missing_module(f"No module named '{name}'")
    assert hint.startswith(words)
    assert "add " not in hint


def test_a_file_that_hides_a_package_is_named() -> None:
    said = "No module named 'torch.nn'; 'torch' is not a package"
    assert missing_module(said).startswith("a file named torch.py is found before")


def test_other_messages_have_no_such_hint() -> None:
    assert missing_module("KeyError: 'module'") == ""


def test_a_class_of_the_dag_file_itself_needs_a_module_of_its_own() -> None:
    hint = missing_module("No module named 'unusual_prefix_2f1c_train'")
    assert "a module of its own beside the DAG file" in hint


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "TypeError: DAG.__init__() got an unexpected keyword argument 'schedule_interval'",
            "take schedule in",
        ),
        ("TypeError: DAG.__init__() got an unexpected keyword argument 'concurrency'", "max_active_tasks"),
        (
            "ImportError: cannot import name 'days_ago' from 'airflow.utils.dates' (/usr/lib/x.py)",
            "pendulum.today",
        ),
        ("TypeError: Invalid arguments were: **kwargs: {'provide_context': True}", "always handed over"),
        ("TypeError: f() got an unexpected keyword argument 'colour'", ""),
        ("ImportError: cannot import name 'days_ago' from 'ours'", ""),
    ],
)
def test_what_takes_the_place_of_airflow_2s_names(message: str, words: str) -> None:
    hint = gone_in_airflow_3(message)
    assert words in hint if words else hint == ""


@pytest.mark.parametrize(
    ("name", "words"), [("operators.subdag", "a TaskGroup"), ("datasets", "Asset of airflow.sdk")]
)
def test_what_takes_the_place_of_airflow_2s_modules(name: str, words: str) -> None:
    assert words in missing_module(f"ModuleNotFoundError: No module named 'airflow.{name}'")


SITE = "/usr/local/lib/python3.11/dist-packages"


@pytest.mark.parametrize(
    ("message", "innermost", "bound"),
    [
        (
            "'M' is no longer supported for offsets. Please use 'ME'",
            "/opt/airflow/pandas/_libs/tslibs/offsets.pyx",
            "pandas<3",
        ),
        ("`np.float_` was removed in the NumPy 2.0 release.", f"{SITE}/numpy/__init__.py", "numpy<2"),
        ("module 'numpy' has no attribute 'float'", f"{SITE}/numpy/__init__.py", "numpy<2"),
        ("'DataFrame' object has no attribute 'append'", "/opt/airflow/dags/churn.py", "pandas<3"),
        (
            f"cannot import name 'plot_roc' from 'sklearn.metrics' ({SITE}/sklearn/metrics/__init__.py)",
            "x.py",
            "scikit-learn<1.9",
        ),
    ],
)
def test_what_a_newer_package_lacks_is_told_with_its_bound(message: str, innermost: str, bound: str) -> None:
    lock = "numpy==2.4.0 \\\n    --hash=sha256:0\npandas==3.0.1 \\\nscikit-learn==1.9.0 \\\n"
    code = CodeFiles(read={"harness.lock": lock}.get)
    assert f"bound it by `{bound}` in the file" in changed_package(message, innermost, code)


@pytest.mark.parametrize(
    ("message", "innermost", "lock"),
    [
        ("'NoneType' object has no attribute 'append'", f"{SITE}/pandas/x.py", "pandas==3.0.1 \\\n"),
        ("module 'churn' has no attribute 'train'", "/opt/airflow/dags/churn.py", "pandas==3.0.1 \\\n"),
        ("module 'numpy' has no attribute 'float'", f"{SITE}/numpy/__init__.py", None),
        ("the model is not good enough", f"{SITE}/pandas/x.py", "pandas==3.0.1 \\\n"),
    ],
)
def test_others_are_not(message: str, innermost: str, lock: str | None) -> None:
    assert changed_package(message, innermost, CodeFiles(read=lambda _: lock)) == ""
