"""Files of Variables as `airflow variables import` takes them, such as variables.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from harness.init.reading.image.team_image import Said, TeamImage
from harness.init.reading.repository_files import Place, RepositoryFiles

NAMES = tuple(
    f"{name}.{kind}"
    for name in ("variables", "airflow_variables", "airflow-variables")
    for kind in ("json", "yaml", "yml")
)
_NAME = re.compile(r"\w{1,200}")


def read_variables(paths: Iterable[str], image: TeamImage, files: RepositoryFiles) -> None:
    """Tell `image` which Variables these files give, as environment variables in Airflow's own spelling."""
    import yaml

    for path in paths:
        text = files.read_text(path) or ""
        try:
            data: Any = yaml.safe_load(text)  # which reads JSON too
        except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, OverflowError):
            continue
        for name, given in data.items() if isinstance(data, dict) else ():
            value = given["value"] if isinstance(given, dict) and "value" in given else given
            if isinstance(name, str) and _NAME.fullmatch(name):
                said = Said(_text(value), Place(path, _line(name, text)))
                image.environment.setdefault(f"AIRFLOW_VAR_{name.upper()}", said)


def _text(value: Any) -> str:  # noqa: ANN401
    """A value as a Variable keeps it; empty for what is no JSON."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return ""


def _line(name: str, text: str) -> int:
    before = re.split(rf"[\"']?\b{re.escape(name)}\b[\"']?\s*:", text, maxsplit=1)[0]
    return before.count("\n") + 1
