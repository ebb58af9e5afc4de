"""A DAG's tasks as they are written, from Airflow's API: what runs after what, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TaskDefinition:
    """One task of a DAG. `downstream`: the ids of the tasks that come right after it."""

    task_id: str
    operator: str = ""
    trigger_rule: str = "all_success"
    downstream: frozenset[str] = frozenset()
    is_mapped: bool = False
    has_execution_timeout: bool = False

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> TaskDefinition:
        return cls(
            task_id=data["task_id"],
            operator=data.get("operator_name") or "",
            trigger_rule=data.get("trigger_rule") or "all_success",
            downstream=frozenset(data.get("downstream_task_ids") or ()),
            is_mapped=bool(data.get("is_mapped")),
            has_execution_timeout=data.get("execution_timeout") is not None,
        )
