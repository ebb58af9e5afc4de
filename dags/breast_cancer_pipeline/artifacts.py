"""Files that one task hands to the next, in object storage or on a shared volume, in a folder per DAG run."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

BASE_URL_VARIABLE = "HARNESS_ARTIFACTS_URL"


def url_for(name: str, context: Mapping[str, Any]) -> str:
    """The URL of the file `name` of the DAG run in `context`.

    Plain text, since a path turned into text would lose the connection in `s3://connection@bucket/prefix`.
    Raises RuntimeError when the environment does not say where artifacts go.
    """
    base = os.environ.get(BASE_URL_VARIABLE, "").rstrip("/")
    if not base:
        raise RuntimeError(
            f"{BASE_URL_VARIABLE} is not set: where do artifacts go? Example: file:///opt/airflow/artifacts"
        )
    return f"{base}/{context['dag'].dag_id}/{context['run_id']}/{name}"


def write_frame(frame: pd.DataFrame, url: str) -> str:
    """Write `frame` as CSV without its index; returns `url`."""
    return _write(url, frame.to_csv(index=False).encode())


def read_frame(url: str) -> pd.DataFrame:
    """Read what write_frame wrote."""
    return frame_from_csv(_read(url))


def frame_from_csv(content: bytes) -> pd.DataFrame:
    """A frame from CSV, every number exactly the one that was written."""
    return pd.read_csv(io.BytesIO(content))


def write_model(model: Pipeline, url: str) -> str:
    """Write a fitted model; returns `url`."""
    import joblib

    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return _write(url, buffer.getvalue())


def read_model(url: str) -> Pipeline:
    """Read what write_model wrote. Like any pickle, only from a place that nobody else writes to."""
    import joblib

    model: Pipeline = joblib.load(io.BytesIO(_read(url)))
    return model


def _write(url: str, content: bytes) -> str:
    from airflow.sdk import ObjectStoragePath

    path = ObjectStoragePath(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
    return url


def _read(url: str) -> bytes:
    from airflow.sdk import ObjectStoragePath

    with ObjectStoragePath(url).open("rb") as file:
        content: bytes = file.read()
    return content
