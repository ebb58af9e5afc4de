"""DAGs that are broken, each in its own way, and what a user should be told of it."""

from __future__ import annotations

from .chains import CHAINS
from .failing import TASKS
from .numbers import NUMBERS, XCOM_BACKEND
from .parsing import ENDLESS_IMPORT, NOT_KEPT, PARSING
from .pods import NOT_STARTED, PODS
from .waiting import DEADLINES

HEADS = {  # what the configuration of a group begins with
    "local_settings": '[image]\ncode = ["dags", "config"]\n',
    "xcom_backend": """\
[image.env]
AIRFLOW__CORE__XCOM_BACKEND = "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend"
AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH = "file:///opt/airflow/artifacts/xcom"
AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD = "1000"
""",
}
EACH = {  # what takes longest comes first, as four run at a time
    "pods": PODS,
    "not_started": NOT_STARTED,
    "tasks": TASKS,
    "deadlines": DEADLINES,
    "chains": CHAINS,
    "numbers": NUMBERS,
    "parsing": PARSING,
    "endless": ENDLESS_IMPORT,
    "not_kept": NOT_KEPT,
    "xcom_backend": XCOM_BACKEND,
}
GROUPS = {name: tuple(case for case in cases if not case.slow) for name, cases in EACH.items()}
SLOW = {
    f"{name}-slow": found
    for name, cases in EACH.items()
    if (found := tuple(case for case in cases if case.slow))
}
