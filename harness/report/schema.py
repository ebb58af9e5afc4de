"""JSON schemas of harness.toml, for editors, and of the result, for programs that read it."""

from __future__ import annotations

from typing import Any, cast

from harness.project.configuration import Configuration
from harness.report.model import Result

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def configuration_schema() -> dict[str, Any]:
    """The schema of harness.toml, and of [tool.harness] in pyproject.toml.

    What only a whole file can be judged by, such as two tests that ask for one run, is left to the commands.
    """
    schema = cast("dict[str, Any]", _closed(Configuration.model_json_schema()))
    return {"$schema": DIALECT, **schema, "title": "harness.toml"}


def result_schema() -> dict[str, Any]:
    """The schema of what `harness test --json` writes: schema 1, which only grows."""
    return {
        "$schema": DIALECT,
        **Result.model_json_schema(mode="serialization"),
        "title": "Result of harness test",
    }


def _closed(value: object) -> object:
    """`value` whose tables with names of a pattern take no other names, as the settings don't."""
    if isinstance(value, list):
        return [_closed(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: _closed(each) for key, each in value.items()}
    return {"additionalProperties": False, **found} if "patternProperties" in found else found
