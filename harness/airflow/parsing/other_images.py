"""Images that tasks ask for themselves, in place of the version's: read from the DAG as Airflow has parsed it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from harness.cluster.services.database import Server

_CONTAINERS = ("containers", "initContainers", "init_containers")


def other_images(server: Server, database: str, dag_id: str) -> Mapping[str, tuple[str, ...]]:
    """The images that a DAG's tasks name in their executor_config, each with the tasks.

    Raises HarnessError(DATABASE_FAILED).
    """
    quoted = dag_id.replace("'", "''")
    asked = f"SELECT data FROM serialized_dag WHERE dag_id = '{quoted}' ORDER BY last_updated DESC LIMIT 1;"  # noqa: S608
    told = server.query(asked, database)
    return named(told)


def named(serialized: str) -> Mapping[str, tuple[str, ...]]:
    """The same from a serialized DAG; empty where it is none, or a compressed one."""
    try:
        tasks = json.loads(serialized)["dag"]["tasks"]
    except (ValueError, KeyError, TypeError):
        return {}
    found: dict[str, list[str]] = {}
    for task in tasks:
        inner = task.get("__var", task)
        for image in _images(inner):
            found.setdefault(image, []).append(str(inner.get("task_id")))
    return {image: tuple(dict.fromkeys(names)) for image, names in found.items()}


def _images(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _images(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key in _CONTAINERS and isinstance(each, list):
                images = (one.get("image") for one in each if isinstance(one, dict))
                yield from (image for image in images if isinstance(image, str) and image)
            yield from _images(each)
