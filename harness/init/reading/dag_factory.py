"""DAGs that dag-factory makes from YAML: their ids, their tasks, and what they say that Airflow 3 has not."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.init.reading.constants import dotted, text_of
from harness.init.reading.dags import Dag
from harness.init.reading.repository_files import Place, RepositoryFiles
from harness.init.reading.source import Module, imports, keyword
from harness.init.reading.tasks import Task

_MAKERS = frozenset({"DagFactory", "load_yaml_dags"})
_NO_DAG = frozenset({"default", "task_groups"})  # keys of a file that are no DAG's id
_DEFAULTS = frozenset({"defaults.yml", "defaults.yaml"})
Locate = Callable[[str], str | None]


@dataclass(frozen=True)
class YamlDags:
    """The DAGs of a module's YAML files; `reasons` say by id why they can't run, `named` are paths in the files."""

    dags: tuple[Dag, ...]
    reasons: Mapping[str, tuple[str, ...]]
    named: tuple[str, ...]


def yaml_dags(module: Module, files: RepositoryFiles, locate: Locate, dags_folder: str) -> YamlDags:
    """What a module makes by dag-factory; nothing where it does not use it."""
    found: list[Dag] = []
    reasons: dict[str, tuple[str, ...]] = {}
    named: list[str] = []
    if any(each.module.split(".")[0] == "dagfactory" for each in imports(module)):
        for path in dict.fromkeys(_sources(module, files, locate, dags_folder)):
            text = files.read_text(path) or ""
            data = _loaded(text)
            lines = text.splitlines()
            default = data.get("default")
            for dag_id, table in data.items():
                if dag_id in _NO_DAG or not isinstance(table, dict):
                    continue
                dag = _dag(
                    str(dag_id), {**(default if isinstance(default, dict) else {}), **table}, path, lines
                )
                found.append(dag)
                reasons[dag.dag_id] = tuple(_reasons(path, lines))
            named += [each for each in _texts(data) if "/" in each]
    return YamlDags(tuple(found), reasons, tuple(dict.fromkeys(named)))


def _sources(module: Module, files: RepositoryFiles, locate: Locate, dags_folder: str) -> Iterator[str]:
    """The YAML files that a module's calls of dag-factory read."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or dotted(node.func).rpartition(".")[2] not in _MAKERS:
            continue
        own = dotted(node.func).endswith("DagFactory")
        given = keyword(node, "config_filepath") or (node.args[0] if own and node.args else None)
        if given is not None:
            path = locate(text_of(given, module.constants) or "")
            if path and files.is_file(path):
                yield path
        elif not own and keyword(node, "config_dict") is None:
            folder = text_of(keyword(node, "dags_folder"), module.constants)
            within = locate(folder) if folder else dags_folder
            names = files.below(within) if within is not None else ()
            yield from (
                name
                for name in names
                if name.endswith((".yml", ".yaml")) and posixpath.basename(name) not in _DEFAULTS
            )


def _dag(dag_id: str, table: Mapping[str, Any], path: str, lines: list[str]) -> Dag:
    place = _line(path, lines, f"{dag_id}:")
    schedule = table.get("schedule", table.get("schedule_interval"))
    listed = table.get("tasks")
    named = list(listed.items()) if isinstance(listed, dict) else []
    if isinstance(listed, list):
        named = [(str(each.get("task_id", "")), each) for each in listed if isinstance(each, dict)]
    tasks = tuple(
        Task(str(name), place, str(each.get("operator", "")).rpartition(".")[2])
        for name, each in named
        if isinstance(each, dict) and name
    )
    return Dag(dag_id, place, schedule if isinstance(schedule, str) else "", tasks)


def _reasons(path: str, lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if line.strip().startswith("schedule_interval:"):
            yield f"{Place(path, number)}: Airflow 3 has no schedule_interval of a DAG: use schedule"


def _loaded(text: str) -> dict[Any, Any]:
    import yaml

    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, OverflowError):
        return {}
    return data if isinstance(data, dict) else {}


def _texts(data: object, depth: int = 0) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list) and depth < 10:
        for inner in data.values() if isinstance(data, dict) else data:
            yield from _texts(inner, depth + 1)


def _line(path: str, lines: list[str], start: str) -> Place:
    """The line that begins so; YAML's reader does not tell."""
    return Place(path, next((number for number, line in enumerate(lines, 1) if line.startswith(start)), 1))
