"""What a repository gives its Airflow by itself: `.env`, airflow_settings.yaml, and the Python that it names."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

from harness.init.reading.asks import Kind
from harness.init.reading.image.team_image import Said
from harness.init.reading.repository_files import Place, RepositoryFiles

_ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=")
_MINOR = re.compile(r"3\.\d+")


@dataclass
class Given:
    """Names only, never values. `settings` are connections, Variables and pools of airflow_settings.yaml."""

    env_file: str = ""
    variables: frozenset[str] = frozenset()
    settings_file: str = ""
    settings: set[tuple[Kind, str]] = field(default_factory=set)


def given(files: RepositoryFiles, home: str) -> Given:
    """What `.env` and airflow_settings.yaml hold, those of Airflow's home first."""
    found = Given()
    for folder in dict.fromkeys((home, "")):
        prefix = f"{folder}/" if folder else ""
        text = files.read_text(f"{prefix}.env")
        if text is not None and not found.env_file and not files.tracked(f"{prefix}.env"):
            found.env_file = f"{prefix}.env"
            names = (_ASSIGNMENT.match(line) for line in text.splitlines())
            found.variables = frozenset(match[1] for match in names if match)
        text = files.read_text(f"{prefix}airflow_settings.yaml")
        if text is not None and not found.settings_file:
            found.settings_file = f"{prefix}airflow_settings.yaml"
            found.settings = _settings(text)
    return found


def python_asked(files: RepositoryFiles, home: str) -> list[Said]:
    """The versions of Python that the repository names: the exact ones, such as 3.12."""
    found = []
    for path in dict.fromkeys((f"{home}/.python-version" if home else ".python-version", ".python-version")):
        match = _MINOR.search(files.read_text(path) or "")
        if match:
            found.append(Said(match[0], Place(path, 1)))
    return found


def python_bounds(files: RepositoryFiles, home: str) -> Said | None:
    """`requires-python` of the nearest pyproject.toml, or the python that Poetry has among the dependencies."""
    for path in dict.fromkeys((f"{home}/pyproject.toml" if home else "pyproject.toml", "pyproject.toml")):
        try:
            data: dict[str, Any] = tomllib.loads(files.read_text(path) or "")
        except (ValueError, RecursionError):
            continue
        project = data.get("project")
        bounds = project.get("requires-python") if isinstance(project, dict) else None
        tool = data.get("tool")
        poetry = tool.get("poetry") if isinstance(tool, dict) else None
        named = poetry.get("dependencies") if isinstance(poetry, dict) else None
        bounds = bounds or (named.get("python") if isinstance(named, dict) else None)
        if isinstance(bounds, str):
            return Said(re.sub(r"\^(?=\s*3)", ">=", re.sub(r"~(?=\s*3)", "==", bounds)), Place(path, 0))
    return None


def _settings(text: str) -> set[tuple[Kind, str]]:
    import yaml

    try:
        data: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, OverflowError):
        return set()
    airflow = data.get("airflow") if isinstance(data, dict) else None
    tables: dict[str, tuple[Kind, str]] = {
        "connections": ("connection", "conn_id"),
        "variables": ("Variable", "variable_name"),
        "pools": ("pool", "pool_name"),
    }
    found: set[tuple[Kind, str]] = set()
    for table, (kind, key) in tables.items():
        rows = airflow.get(table) if isinstance(airflow, dict) else None
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and row.get(key):
                found.add((kind, str(row[key])))
    return found
