"""A values file of the official chart, read: what of it counts, as values of our chart, and why the rest does not."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.airflow.values.official import SET_BY_HARNESS, TEMPLATED, UNKNOWN, Way, rule_of
from harness.airflow.values.pod_template import taken_apart
from harness.airflow.values.work import Work, document
from harness.errors import CauseCode, HarnessError

LARGEST_BYTES = 1 << 20
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Facts:
    """What the values are compared with, and what the version has from elsewhere.

    `own`: the variables that harness sets itself. `secrets`: the variables that `[secrets]` gives. `defaults`: the
    resources of task pods and of the triggerer.
    """

    airflow: str | None
    root: str
    user_id: int
    own: frozenset[str]
    secrets: frozenset[str]
    defaults: Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Values:
    """What became of a values file: `chart` values of ours, the keys that `counted`, and the others, with why."""

    file: str = ""
    chart: Mapping[str, Any] = field(default_factory=dict)
    counted: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def fingerprint(self) -> str:
        """A digest of what counts; empty where nothing does."""
        text = json.dumps(self.chart, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16] if self.chart else ""


def read(text: str, *, file: str, facts: Facts) -> Values:
    """The values of a file. Raises HarnessError(CONFIG_INVALID) for what is no YAML with a table at its top."""
    data = _parsed(text, file)
    work = Work(facts.own, facts.secrets, facts.defaults)
    steps: Mapping[Way | str, int] = {
        Way.CONFIG_MAPS: 0,
        Way.VOLUMES: 1,
        Way.TASK_VOLUMES: 1,
        Way.POD_TEMPLATE: 2,
    }
    leaves = [(path, value, rule_of(path)) for path, value in _leaves(data, ())]
    # What others refer to comes first.
    ordered = sorted(leaves, key=lambda leaf: steps.get(leaf[2].meaning, 3) if leaf[2] else 3)
    for path, value, rule in ordered:
        key = ".".join(path)
        if rule is None:
            work.refuse(key, UNKNOWN)
        elif not isinstance(rule.meaning, Way):
            work.refuse(key, rule.meaning)
        elif problem := _compared(rule.meaning, value, facts):
            work.refuse(key, problem)
        else:
            _count(work, rule.meaning, path, value)
    order = {".".join(path): number for number, (path, _, _) in enumerate(leaves)}
    return Values(
        file,
        work.chart(facts.root),
        tuple(sorted(work.counted, key=lambda key: order.get(key, len(order)))),
        tuple(
            sorted(
                dict.fromkeys(work.refused), key=lambda each: order.get(each[0].partition("[")[0], len(order))
            )
        ),
    )


def _parsed(text: str, file: str) -> Mapping[str, Any]:
    problem = f"it has more than {LARGEST_BYTES >> 20} MiB" if len(text.encode()) > LARGEST_BYTES else ""
    data = None
    try:
        data = None if problem else document(text)
    except ValueError as error:
        problem = " ".join(str(error).split()) or "it is no YAML"
    if data is not None and not isinstance(data, dict):
        problem = "at its top is no table of values"
    if problem:
        raise HarnessError(
            CauseCode.CONFIG_INVALID,
            f"[airflow] values: {file} can't be read: {problem}",
            hint=f"helm template airflow apache-airflow/airflow --values {shlex.quote(file)}",
        )
    return data if isinstance(data, dict) else {}


def _leaves(
    data: Mapping[Any, Any], above: tuple[str, ...], depth: int = 0
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value that is no table, and every empty table, by its path."""
    for key, value in data.items():
        path = (*above, str(key))
        whole = path[0] == "extraConfigMaps" and len(path) == 2
        if isinstance(value, Mapping) and value and not whole and depth < 50:
            yield from _leaves(value, path, depth + 1)
        else:
            yield path, value


def _compared(way: Way, value: object, facts: Facts) -> str:
    """What is told of a value that must agree with what there is; empty where it does."""
    text = "" if value is None else str(value)
    if way is Way.EXECUTOR and "KubernetesExecutor" not in text:
        return (
            f"tasks run on the KubernetesExecutor here, in a pod each: what is {text}'s alone is not tested"
        )
    if way is Way.HOME and text.rstrip("/") not in {"", facts.root}:
        return f'the code lies below {facts.root} here: root = "{text}" under [image] in harness.toml'
    if way is Way.USER and text not in {"", str(facts.user_id)}:
        return f"pods run as {facts.user_id}, which the image says"
    if way is Way.AIRFLOW and facts.airflow and text not in {"", facts.airflow}:
        return f"the image has Airflow {facts.airflow}"
    return ""


def _count(work: Work, way: Way, path: tuple[str, ...], value: object) -> None:
    """Take a value over; what it refers to was taken over before."""
    key = ".".join(path)
    if value in (None, "", [], {}) and way is not Way.CONFIG:
        work.counted.append(key)  # the official chart's own empty default: nothing to do
        return
    if way is Way.CONFIG:
        _config(work, path, value)
        return
    takes: Mapping[Way, Callable[[], bool]] = {
        Way.ENVIRONMENT: lambda: work.variables(key, value, work.environment),
        Way.TASK_ENVIRONMENT: lambda: work.variables(key, value, work.task_environment),
        Way.ENVIRONMENT_FROM: lambda: work.variables_from(key, value),
        Way.CONFIG_MAPS: lambda: work.config_map(key, path[-1], value),
        Way.VOLUMES: lambda: work.volumes(key, value, everywhere=True),
        Way.TASK_VOLUMES: lambda: work.volumes(key, value, everywhere=False),
        Way.MOUNTS: lambda: work.mounts(key, value, everywhere=True),
        Way.TASK_MOUNTS: lambda: work.mounts(key, value, everywhere=False),
        Way.TASK_RESOURCES: lambda: work.resource("worker", path[-2:], value),
        Way.TRIGGERER_RESOURCES: lambda: work.resource("triggerer", path[-2:], value),
        Way.SIDECARS: lambda: work.containers(key, value, "sidecars"),
        Way.INIT_CONTAINERS: lambda: work.containers(key, value, "initContainers"),
        Way.ANNOTATIONS: lambda: work.metadata(key, "annotations", path[-1], value),
        Way.LABELS: lambda: work.metadata(key, "labels", path[-1], value),
        Way.LOCAL_SETTINGS: lambda: work.local_settings(key, value),
        Way.POD_TEMPLATE: lambda: taken_apart(work, key, value),
    }
    if takes.get(way, lambda: True)():
        work.counted.append(key)


def _config(work: Work, path: tuple[str, ...], value: object) -> None:
    key, (section, option) = ".".join(path), path[1:]
    name = f"AIRFLOW__{section}__{option}".upper().replace(".", "_").replace("-", "_")
    text = "" if value is None else str(value)
    if isinstance(value, list | dict) or not _VARIABLE.fullmatch(name):
        work.refuse(key, "it is no single setting")
    elif "{{" in text:
        work.refuse(key, TEMPLATED)
    elif name in work.own:
        work.refuse(key, SET_BY_HARNESS)
    else:
        work.environment[name] = text
        work.counted.append(key)


def by_reason(refused: Iterable[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    """The keys of each reason, in the file's order."""
    found: dict[str, list[str]] = {}
    for key, reason in refused:
        found.setdefault(reason, []).append(key)
    return {reason: tuple(keys) for reason, keys in found.items()}
