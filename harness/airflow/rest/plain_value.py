"""What a task handed over, as plain Python."""

from __future__ import annotations

from typing import Any


def plain_value(value: Any) -> Any:  # noqa: ANN401
    """A value without the classes that Airflow's serialisation wraps it in."""
    if isinstance(value, dict):
        if "__classname__" in value and "__data__" in value:
            return plain_value(value["__data__"])
        return {key: plain_value(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain_value(entry) for entry in value]
    return value
