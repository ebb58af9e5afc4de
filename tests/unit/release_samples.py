"""What a version's Airflow is made from."""

from __future__ import annotations

from typing import Any

from harness.airflow.release.release import Release


def a_release(namespace: str = "churn-01234567", **values: Any) -> Release:
    """One of the project `churn`, with other values where they matter."""
    known: dict[str, Any] = {
        "namespace": namespace,
        "project": "churn",
        "commit": "a" * 40,
        "ref": "main",
        "tag": "a" * 12,
        "image": "harness.local/churn:a",
        "template": "template_0",
        "dags_folder": "dags",
        "base_url": f"http://{namespace}.localhost:1",
    }
    return Release(**known | values)
