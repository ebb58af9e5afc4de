"""What a lock's inputs ask for, whichever of the known files they are."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.errors import CauseCode, HarnessError
from harness.image.lock import locked_projects, requirements_text
from harness.image.lock.inputs import PROJECT, SETTINGS, Inputs
from harness.image.lock.target import Target

AIRFLOW = ("apache-airflow-core", "apache-airflow")
PROVIDERS = ("apache-airflow-providers-cncf-kubernetes", "apache-airflow-providers-postgres")
OLDEST = 3


@dataclass(frozen=True)
class Wanted:
    """What is to be resolved.

    `texts` are requirements files by their path, as uv reads them; `requirements` and `constraints` are further lines.
    `pinned` are the packages whose version the inputs fix, `named` those that they ask for. `airflow` is Airflow's
    version where it is fixed. `bound` are the packages that only one index is asked for.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    pinned: Mapping[str, str] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    bound: frozenset[str] = frozenset()
    airflow: str = ""

    @property
    def added(self) -> tuple[str, ...]:
        """What runs need besides, and the inputs do not ask for."""
        return tuple(name for name in PROVIDERS if name not in self.named)


def wanted(inputs: Inputs, target: Target) -> Wanted:
    """What the inputs ask for. Raises HarnessError(DEPENDENCIES_UNRESOLVED) for what can't be understood."""
    if inputs.kind == "requirements":
        found = _of_requirements(inputs)
    elif inputs.kind == PROJECT:
        found = _of_project(inputs)
    else:
        found = _of_locked(inputs, target)
    airflow = inputs.airflow or found.airflow
    if airflow and int(re.match(r"[0-9]*", airflow)[0] or OLDEST) < OLDEST:  # type: ignore[index]
        raise HarnessError(
            CauseCode.DEPENDENCIES_UNRESOLVED,
            f"{inputs.source} asks for Airflow {airflow}: versions run on Airflow {OLDEST}.0 or later",
            hint="ruff check --select AIR30 dags: what must change for Airflow 3",
        )
    core = f"{AIRFLOW[0]}=={airflow}" if airflow else AIRFLOW[0]
    return Wanted(
        texts=found.texts,
        files=found.files,
        requirements=(*found.requirements, core, *_providers(airflow)),
        constraints=found.constraints,
        pinned=found.pinned,
        named=found.named,
        bound=found.bound,
        airflow=airflow,
    )


def _providers(airflow: str) -> tuple[str, ...]:
    """What runs need besides. The Kubernetes provider that was new with Airflow 3.0.0 and 3.0.1 gives each pod a
    container of an image of its own, which no version has: the next one takes its place."""
    kubernetes, postgres = PROVIDERS
    return f"{kubernetes}>=10.5" + (",<10.6" if airflow in {"3.0.0", "3.0.1"} else ""), postgres


def _of_requirements(inputs: Inputs) -> Wanted:
    """The files themselves, but for Airflow's own constraints, which are looked after apart."""
    texts: dict[str, str] = {}
    pinned: dict[str, str] = {}
    named: set[str] = set()
    airflow = of_constraints = ""
    for path in inputs.files:
        if path.endswith(SETTINGS):
            continue
        text = inputs.text(path)
        kept = text.splitlines()
        for line in requirements_text.lines(text):
            if line.kind == "constraint":
                version = requirements_text.airflow_of_constraints(line.value)
                if version is not None:
                    of_constraints = version
                    kept[line.number - 1] = ""
            found = requirements_text.requirement(line.value) if line.kind == "requirement" else None
            if found is None:
                continue
            name, version = requirements_text.name_of(found), requirements_text.exact_version(found)
            if path not in inputs.constraints:
                named.add(name)
            if version is not None:
                pinned[name] = version
                airflow = version if name in AIRFLOW else airflow
        texts[path] = "\n".join(kept) + "\n"
    return Wanted(
        texts=texts,
        files=(inputs.source,),
        pinned=pinned,
        named=frozenset(named),
        airflow=airflow or of_constraints,
    )


def _of_project(inputs: Inputs) -> Wanted:
    """pyproject.toml itself: uv reads it, with its own table."""
    text = inputs.text(inputs.source)
    dependencies = project_dependencies(_toml(inputs, inputs.source), inputs.source)
    return Wanted(
        texts={inputs.source: text},
        files=(inputs.source,),
        pinned=dict(_pins(dependencies)),
        named=frozenset(canonicalize_name(each.name) for each in dependencies),
        bound=frozenset(_bound(_toml(inputs, inputs.source))),
        airflow=_airflow(dict(_pins(dependencies))),
    )


def _of_locked(inputs: Inputs, target: Target) -> Wanted:
    """What a project asks for, at the versions of its lock."""
    locked = locked_projects.packages(inputs.kind, _toml(inputs, inputs.source), target)
    usual = {"", *(each.index for each in locked if each.name in AIRFLOW)}  # a mirror that has everything
    elsewhere = [each for each in locked if each.index not in usual]
    texts: dict[str, str] = {}
    if elsewhere:
        path = inputs.beside(f".harness-indexes/{PROJECT}")
        texts[path] = locked_projects.of_indexes(elsewhere, _indexes(inputs))
    if inputs.kind == "pylock.toml":
        asked = [each.line for each in locked]
        named = {each.name for each in locked}
    else:
        project = inputs.beside(PROJECT)
        own = locked_projects.folders(inputs.kind, _toml(inputs, inputs.source))
        roots = locked_projects.without_folders(
            locked_projects.roots(inputs.kind, _toml(inputs, project), project), own
        )
        at = {each.name: each for each in locked if each.url}
        asked = [at[root.name].line if root.name in at else root.line for root in roots]
        asked += [each.line for each in locked if each.url and each.name not in {root.name for root in roots}]
        named = {root.name for root in roots}
    versions = {each.name: each.version for each in locked if not each.url}
    return Wanted(
        texts=texts,
        files=tuple(texts),
        bound=frozenset(each.name for each in elsewhere),
        requirements=tuple(asked),
        constraints=tuple(f"{name}=={version}" for name, version in sorted(versions.items())),
        pinned=versions,
        named=frozenset(named),
        airflow=_airflow(versions),
    )


def _bound(project: Mapping[str, Any]) -> Iterator[str]:
    """The packages that uv's own table gives an index to."""
    sources = ((project.get("tool") or {}).get("uv") or {}).get("sources") or {}
    for name, source in sources.items():
        listed = source if isinstance(source, list) else [source]
        if any(isinstance(each, dict) and "index" in each for each in listed):
            yield canonicalize_name(name)


def _indexes(inputs: Inputs) -> dict[str, str]:
    """The names that a project gives to indexes, by their addresses: a login may be kept under such a name."""
    path = inputs.beside(PROJECT)
    tools = _toml(inputs, path).get("tool", {}) if path in inputs.files else {}
    listed = [
        *(tools.get("uv") or {}).get("index", ()),
        *(tools.get("poetry") or {}).get("source", ()),
        *(tools.get("pdm") or {}).get("source", ()),
    ]
    return {
        str(each["url"]).rstrip("/"): str(each["name"])
        for each in listed
        if isinstance(each, dict) and "url" in each and "name" in each
    }


def project_dependencies(data: Mapping[str, Any], origin: str) -> list[Requirement]:
    """[project] dependencies. Raises HarnessError(DEPENDENCIES_UNRESOLVED) where there are none to read."""
    project = data.get("project")
    listed = project.get("dependencies") if isinstance(project, Mapping) else None
    if not isinstance(listed, list):
        beside = "poetry.lock" if "poetry" in (data.get("tool") or {}) else "requirements.txt"
        raise HarnessError(
            CauseCode.DEPENDENCIES_UNRESOLVED,
            f"{origin} has no list of dependencies under [project]",
            hint=f'set requirements = "{beside}" under [image] in harness.toml',
        )
    return [each for each in map(requirements_text.requirement, map(str, listed)) if each is not None]


def _pins(dependencies: list[Requirement]) -> Iterator[tuple[str, str]]:
    for each in dependencies:
        version = requirements_text.exact_version(each)
        if version is not None:
            yield canonicalize_name(each.name), version


def _airflow(versions: Mapping[str, str]) -> str:
    return next((versions[name] for name in AIRFLOW if name in versions), "")


def _toml(inputs: Inputs, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(inputs.text(path))
    except ValueError as error:
        raise HarnessError(
            CauseCode.DEPENDENCIES_UNRESOLVED, f"{path} is no valid TOML: {error}", hint=f"edit {path}"
        ) from error
