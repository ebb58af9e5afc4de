"""Which package an import needs, where nobody but its users knows."""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.init.reading.source import Imported

_SAME_NAME = (
    "accelerate", "bentoml", "boto3", "catboost", "cloudpickle", "dask", "datasets", "dill", "duckdb",
    "evidently", "fastapi", "flask", "gensim", "geopandas", "gradio", "httpx", "hyperopt", "imageio",
    "joblib", "jupytext", "kaggle", "kagglehub", "keras", "langchain", "librosa", "lightgbm", "lime",
    "loguru", "lxml", "matplotlib", "minio", "missingno", "mlflow", "nbclient", "nbconvert", "networkx",
    "nltk", "numba", "numpy", "onnx", "openai", "openpyxl", "optuna", "pandas", "pandera", "papermill",
    "peft", "pendulum", "plotly", "pmdarima", "polars", "prophet", "psutil", "pyarrow", "pycaret",
    "pydantic", "pymongo", "pyspark", "pytz", "redis", "requests", "river", "scipy", "seaborn", "shap",
    "sktime", "spacy", "sqlalchemy", "statsmodels", "streamlit", "tensorflow", "textblob", "tiktoken",
    "timm", "torch", "torchaudio", "torchmetrics", "torchvision", "tqdm", "transformers", "ucimlrepo",
    "uvicorn", "wandb", "xgboost", "xlrd", "yfinance",
)  # fmt: skip
# Packages by what is imported of them, where the names differ or nobody could tell that it is a package's.
PACKAGES = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cosmos": "astronomer-cosmos",
    "cv2": "opencv-python-headless",
    "dagfactory": "dag-factory",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "google.cloud.bigquery": "google-cloud-bigquery",
    "google.cloud.storage": "google-cloud-storage",
    "great_expectations": "great-expectations",
    "imblearn": "imbalanced-learn",
    "jwt": "pyjwt",
    "pkg_resources": "setuptools<81",
    "psycopg2": "psycopg2-binary",
    "sentence_transformers": "sentence-transformers",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slack_sdk": "slack-sdk",
    "umap": "umap-learn",
    "yaml": "pyyaml",
    **{name: name for name in _SAME_NAME},
}
# What each lock has: Airflow's own, and that of the providers which harness adds.
_WITH_AIRFLOW = frozenset({
    "airflow", "cryptography", "httpx", "jinja2", "kubernetes", "packaging", "pendulum", "psycopg2-binary",
    "pydantic", "pyjwt", "python-dateutil", "pyyaml", "requests", "rich", "sqlalchemy", "tabulate",
    "tenacity",
})  # fmt: skip
_PROVIDERS_WITH_AIRFLOW = frozenset(
    {"cncf-kubernetes", "common-compat", "common-io", "common-sql", "postgres", "smtp", "standard"}
)
_BROUGHT = {
    "apache-airflow-providers-amazon": ("boto3", "botocore"),
    "apache-airflow-providers-apache-kafka": ("confluent-kafka",),
    "apache-airflow-providers-apache-spark": ("pyspark",),
    "apache-airflow-providers-docker": ("docker",),
    "apache-airflow-providers-google": ("google", "google-cloud-bigquery", "google-cloud-storage"),
    "apache-airflow-providers-microsoft-azure": ("azure",),
    "apache-airflow-providers-mongo": ("pymongo",),
    "apache-airflow-providers-mysql": ("mysqldb",),
    "apache-airflow-providers-openai": ("openai",),
    "apache-airflow-providers-papermill": ("papermill", "scrapbook"),
    "apache-airflow-providers-redis": ("redis",),
    "apache-airflow-providers-slack": ("slack-sdk",),
    "apache-airflow-providers-snowflake": ("snowflake",),
    "apache-airflow-providers-ssh": ("paramiko",),
    "apache-airflow-providers-trino": ("trino",),
    "dbt-duckdb": ("duckdb",),
    "lightgbm": ("numpy", "scipy"),
    "mlflow": ("joblib", "matplotlib", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy"),
    "pandas": ("numpy",),
    "scikit-learn": ("joblib", "numpy", "scipy"),
    "seaborn": ("matplotlib", "numpy", "pandas"),
    "statsmodels": ("numpy", "pandas", "scipy"),
    "xgboost": ("numpy", "scipy"),
}


def normalized(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name.split("[", maxsplit=1)[0]).lower()


def package_of(found: Imported) -> tuple[str, bool]:
    """The package that an import needs, and whether that is sure; empty where Airflow itself brings it."""
    parts = found.module.split(".")
    if parts[0] == "airflow":
        provider = _provider(parts)
        return (f"apache-airflow-providers-{provider}", True) if provider else ("", True)
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in PACKAGES:
            return ("" if normalized(PACKAGES[name]) in _WITH_AIRFLOW else PACKAGES[name]), True
    return ("" if parts[0] in _WITH_AIRFLOW else parts[0]), False


def with_brought(names: Iterable[str]) -> set[str]:
    """These packages, and those that they need themselves and code imports as well."""
    found = set(names)
    for name in tuple(found):
        found.update(_BROUGHT.get(name, ()))
    return found


def _provider(parts: list[str]) -> str:
    if len(parts) < 3 or parts[1] != "providers":
        return ""
    two = {"apache", "common", "cncf", "microsoft", "atlassian", "dbt", "ibm"}
    name = f"{parts[2]}-{parts[3]}" if parts[2] in two and len(parts) > 3 else parts[2]
    name = name.replace("_", "-")
    return "" if name in _PROVIDERS_WITH_AIRFLOW else name
