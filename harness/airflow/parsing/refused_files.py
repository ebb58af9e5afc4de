"""DAG files that were imported, and whose DAGs Airflow's database does not take: the dag-processor ends of it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.errors import CauseCode, HarnessError

_REFUSED = re.compile(r"Failed to persist parsing result for (?P<file>.+?) in bundle ")
_DETAIL = re.compile(r"^DETAIL: +(?P<text>.+)$", re.MULTILINE)
_ERROR = re.compile(r"^[\w.]+(?:Error|Exception): (?P<text>.+)$", re.MULTILINE)
_NOT_FINITE = re.compile(r"\b(?:NaN|-?Infinity)\b")


def refused_files(log: str) -> Mapping[str, str]:
    """The files that the dag-processor's log calls so, relative to the DAGs folder, and the database's reason."""
    found = {}
    for match in _REFUSED.finditer(log):
        rest = log[match.end() :].partition("Failed to persist parsing result")[0]
        told = _DETAIL.search(rest) or _ERROR.search(rest)
        found[match["file"]] = told["text"].strip() if told else "its database refused it"
    return found


def refused(path: str, reason: str) -> HarnessError:
    """The error about the file at `path` of the repository."""
    return HarnessError(
        CauseCode.DAG_IMPORT_ERROR,
        f"{path} defines a DAG that Airflow cannot keep: {reason}",
        hint=f"let the arguments and params of tasks in {path} be finite numbers: Airflow keeps them as JSON"
        if _NOT_FINITE.search(reason)
        else f"edit {path}; harness logs shows what Airflow says of it",
    )
