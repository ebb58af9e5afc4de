"""Which DAG leads to which: by triggering it, or by the assets that it produces. Pure data of Airflow's API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_DAG, _SENSOR, _ALIAS, _ASSET = "dag:", "sensor:", "asset-alias:", "asset"


@dataclass(frozen=True)
class Dependencies:
    """Airflow's graph of DAGs, assets and the tasks between them: which nodes each node leads to."""

    edges: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Dependencies:
        """From what Airflow answers. A sensor only waits for what it is behind: it is left out."""
        edges: dict[str, set[str]] = {}
        for edge in data.get("edges") or []:
            source, target = str(edge["source_id"]), str(edge["target_id"])
            if not source.startswith(_SENSOR) and not target.startswith(_SENSOR):
                edges.setdefault(source, set()).add(target)
        return cls({source: frozenset(targets) for source, targets in edges.items()})

    def leads_on(self, dag_id: str) -> bool:
        """Whether the DAG triggers others or produces assets, be anybody interested in them or not."""
        return bool(self.edges.get(f"{_DAG}{dag_id}"))

    def reached_from(self, dag_id: str) -> frozenset[str]:
        """The ids of the DAGs that a run of this one can start, itself only where it leads back to itself."""
        reached: set[str] = set()
        waiting = list(self.edges.get(f"{_DAG}{dag_id}", ()))
        while waiting:
            node = waiting.pop()
            if node in reached:
                continue
            reached.add(node)
            waiting += self.edges.get(node, ())
            if node.startswith(_ALIAS):  # what it stands for is known when a task has run: any asset
                waiting += [name for name in self.edges if name.startswith(_ASSET)]
        return frozenset(node.removeprefix(_DAG) for node in reached if node.startswith(_DAG))


@dataclass(frozen=True)
class AssetQueue:
    """What a DAG that assets trigger waits for, as Airflow writes it, and the names and URIs of those that changed."""

    expression: Any
    changed: frozenset[str]

    @property
    def is_enough(self) -> bool:
        """Whether a run of the DAG is about to be made."""
        return bool(self.changed) and self._holds(self.expression)

    def _holds(self, expression: Any) -> bool:  # noqa: ANN401
        if not isinstance(expression, Mapping):
            return True  # written in a way that we don't know: rather wait for a run
        if isinstance(parts := expression.get("all"), list):
            return all(map(self._holds, parts))
        if isinstance(parts := expression.get("any"), list):
            return any(map(self._holds, parts))
        asset = expression.get("asset") or expression.get("asset_ref")
        if isinstance(asset, Mapping):
            return bool({str(value) for value in asset.values()} & self.changed)
        return True
