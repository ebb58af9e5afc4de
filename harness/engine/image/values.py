"""A version's values of Airflow's official chart: read from its commit, and told as far as they don't count."""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.airflow.release.code_environment import TRACKING_VARIABLE
from harness.airflow.values.reading import Facts, Values, by_reason, read
from harness.cluster.services.helm import chart
from harness.image.build import Foundation
from harness.progress import Progress
from harness.project.commit import Commit
from harness.project.image_settings import ImageSettings
from harness.project.named_file import named_text
from harness.project.project import Project
from harness.project.values import THEIRS
from harness.report.provenance import RefusedValue, ValuesResult


def check_values(project: Project, commit: Commit) -> None:
    """Look whether the commit's values can be read. Raises HarnessError: CODE_NOT_FOUND, CONFIG_INVALID."""
    found = _text(project, commit)
    if found is not None:
        nothing: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
        facts = Facts(None, "", 0, frozenset(), frozenset(), {"worker": nothing, "triggerer": nothing})
        read(found[1], file=found[0], facts=facts)


def values_of(
    project: Project, commit: Commit, settings: ImageSettings, foundation: Foundation, secrets: Iterable[str]
) -> Values:
    """The commit's values as ours; empty without any. `secrets`: the variables that `[secrets]` gives.

    Raises what `check_values` raises.
    """
    found = _text(project, commit)
    if found is None:
        return Values()
    import yaml

    airflow = foundation.lock.airflow if foundation.lock else settings.airflow
    defaults = yaml.safe_load((chart("airflow") / "values.yaml").read_text(encoding="utf-8"))
    facts = Facts(
        airflow,
        settings.root,
        foundation.base.user_id,
        own_variables(mlflow=project.configuration.uses_mlflow()),
        frozenset(secrets),
        {part: defaults[part]["resources"] for part in ("worker", "triggerer")},
    )
    return read(found[1], file=found[0], facts=facts)


def own_variables(*, mlflow: bool) -> frozenset[str]:
    """The variables that the chart sets itself, by its own template; that of `mlflow` where there is a server."""
    text = (chart("airflow") / "templates/configuration.yaml").read_text(encoding="utf-8")
    found = frozenset(re.findall(r'"([A-Z][A-Z0-9_]{2,})"', text))
    return found if mlflow else found - {TRACKING_VARIABLE}


def unheard(env: Iterable[str], *, mlflow: bool) -> tuple[str, ...]:
    """The names of [image.env] that don't count, because a version, or its `mlflow` server, sets them itself."""
    return tuple(sorted((own_variables(mlflow=mlflow) - THEIRS) & set(env)))


def told(values: Values, progress: Progress) -> Values:
    """The same; what of them does not count is said, a line for each reason."""
    if not values.file:
        return values
    every = len(values.counted) + len(
        {key.partition("[")[0] for key, _ in values.refused} - set(values.counted)
    )
    progress.note(f"{values.file}: {len(values.counted)} of {every} keys count")
    for reason, keys in by_reason(values.refused).items():
        progress.note(f"    does not count: {', '.join(keys)}: {reason}")
    return values


def result_of(values: Values) -> ValuesResult | None:
    """The same for results."""
    if not values.file:
        return None
    refused = tuple(RefusedValue(key=key, reason=reason) for key, reason in values.refused)
    return ValuesResult(file=values.file, counted=values.counted, refused=refused)


def _text(project: Project, commit: Commit) -> tuple[str, str] | None:
    path = project.airflow_settings(commit).values
    if path is None:
        return None
    return path, named_text(commit, path, "[airflow] values")
