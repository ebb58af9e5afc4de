"""Which frames of a traceback are the user's own."""

from __future__ import annotations

import pytest

from harness.airflow.logs.task_log import Raised
from harness.airflow.logs.tracebacks import Frame
from harness.airflow.logs.user_frames import is_users, users_frames

ROOT = "/opt/airflow"


@pytest.mark.parametrize(
    ("file", "is_theirs"),
    [
        ("/opt/airflow/dags/churn.py", True),
        ("/opt/airflow/src/churn/train.py", True),
        ("/home/me/churn/scripts/train.py", True),  # behind a link of [image]
        ("/data/features.py", True),
        ("/opt/airflow/pandas/_libs/lib.pyx", False),  # as Airflow's log has Cython's relative names
        ("/opt/airflow/pyarrow/error.pxi", False),
        ("pandas/_libs/lib.pyx", False),
        ("/usr/local/lib/python3.11/site-packages/pandas/core/frame.py", False),
        ("/usr/local/lib/python3.11/subprocess.py", False),
        ("/usr/lib/python3/dist-packages/apt.py", False),
        ("/opt/conda/lib/python3.11/json/decoder.py", False),
        ("/usr/python/lib/python3.12/runpy.py", False),
        ("/home/airflow/.local/lib/python3.12/site-packages/sklearn/base.py", False),
        ("/opt/airflow/venv/lib/python3.11/site-packages/sklearn/base.py", False),
        ("/etc/harness/control-plane/control_plane.py", False),
        ("<frozen importlib._bootstrap>", False),
        ("<string>", False),
    ],
)
def test_are_those_of_no_package(file: str, is_theirs: bool) -> None:
    assert is_users(Frame(file, 1, "f"), ROOT) is is_theirs


def test_the_innermost_comes_first_as_the_repository_has_it() -> None:
    frames = [
        Frame("/opt/airflow/dags/churn.py", 48, "process"),
        Frame("/home/me/churn/scripts/transform.py", 9, "transform"),
        Frame("/usr/local/lib/python3.11/site-packages/pandas/core/indexes/datetimes.py", 1008, "date_range"),
        Frame("/opt/airflow/pandas/_libs/tslibs/offsets.pyx", 6162, "raise_invalid_freq"),
    ]
    assert [str(frame) for frame in users_frames(Raised("ValueError", "M", tuple(frames)), ROOT)] == [
        "/home/me/churn/scripts/transform.py:9 in transform",
        "dags/churn.py:48 in process",
    ]
