"""Values of our chart while they come together from a team's, with what did not count on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from harness.airflow.values import pods
from harness.airflow.values.official import SECRETS, SET_BY_HARNESS, TEMPLATED
from harness.project.values import THEIRS

LOCAL_SETTINGS = "airflow-local-settings"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RELEASE = re.compile(r"\{\{-?\s*\.Release\.Name\s*-?\}\}")


def document(text: str) -> object:
    """What a YAML document holds. Raises ValueError for what is none, also where the library fails by another error."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(str(error)) from error


class Work:
    """What was taken over so far. Its methods answer whether the key counts, and tell what of it does not."""

    def __init__(
        self,
        own: frozenset[str],
        secrets: frozenset[str],
        defaults: Mapping[str, Mapping[str, Mapping[str, Any]]],
    ) -> None:
        self.own = own - THEIRS
        self.secrets = secrets
        self.defaults = defaults
        self.counted: list[str] = []
        self.refused: list[tuple[str, str]] = []
        self.environment: dict[str, str] = {}
        self.task_environment: dict[str, str] = {}
        self.config_maps: dict[str, dict[str, str]] = {}
        self.parts: dict[str, dict[str, list[Any]]] = {"all": {}, "worker": {}}
        self.resources: dict[str, dict[str, dict[str, Any]]] = {}
        self.about: dict[str, dict[str, str]] = {}

    def refuse(self, key: str, reason: str) -> bool:
        """Tell why a key does not count."""
        self.refused.append((key, reason))
        return False

    def variables(self, key: str, given: object, where: dict[str, str]) -> bool:
        """Variables with values; those from Secrets count where `[secrets]` gives them."""
        entries = self.listed(key, given)
        if entries is None:
            return False
        before = len(self.refused)
        for entry in entries:
            name, value = str(entry.get("name") or ""), entry.get("value")
            each = f"{key}[{name}]"
            if not _VARIABLE.fullmatch(name):
                self.refuse(each, "it is no variable's name")
            elif name in self.own:
                self.refuse(each, SET_BY_HARNESS)
            elif entry.get("valueFrom") is not None:
                if name not in self.secrets:
                    self.refuse(each, f'{SECRETS}: from_env = ["{name}"]')
            elif "{{" in (text := _plain(value)):
                self.refuse(each, TEMPLATED)
            else:
                where[name] = text
        return len(self.refused) - before < len(entries)

    def variables_from(self, key: str, given: object) -> bool:
        """Variables of ConfigMaps that the values themselves make."""
        entries = self.listed(key, given)
        if entries is None:
            return False
        counts = False
        for entry in entries:
            about = entry.get("configMapRef") or entry.get("secretRef") or {}
            name = _plain(about.get("name"))
            data = self.config_maps.get(name) if "configMapRef" in entry else None
            if data is None:
                reason = (
                    SECRETS if "secretRef" in entry else f"there is no ConfigMap {name} in `extraConfigMaps`"
                )
                self.refuse(f"{key}[{name}]", reason)
                continue
            prefix = str(entry.get("prefix") or "")
            listed = [{"name": f"{prefix}{variable}", "value": text} for variable, text in data.items()]
            counts |= self.variables(f"{key}[{name}]", listed, self.environment)
        return counts

    def config_map(self, key: str, name: str, given: object) -> bool:
        """A ConfigMap with its data, which the official chart takes as text."""
        plain = _plain(name)
        data = given.get("data") if isinstance(given, Mapping) else None
        if isinstance(data, str):
            try:
                data = document(_plain(data))
            except ValueError:
                return self.refuse(key, TEMPLATED if "{{" in _plain(data) else "its data is no YAML")
        if not isinstance(data, Mapping) or not _NAME.fullmatch(plain):
            return self.refuse(
                key, TEMPLATED if "{{" in plain else "it has no data, or no name that Kubernetes takes"
            )
        texts = {str(each): _plain(value) for each, value in data.items()}
        if any("{{" in text for text in texts.values()):
            return self.refuse(key, TEMPLATED)
        self.config_maps[plain] = texts
        return True

    def volumes(self, key: str, given: object, *, everywhere: bool) -> bool:
        """Volumes that a version's namespace can have."""
        return self._each(
            key, given, "volumes", everywhere, lambda one: pods.volume_problem(one, self.config_maps)
        )

    def mounts(self, key: str, given: object, *, everywhere: bool) -> bool:
        """Mounts of volumes that count."""
        known = self.known_volumes(everywhere=everywhere)
        return self._each(key, given, "volumeMounts", everywhere, lambda one: pods.mount_problem(one, known))

    def known_volumes(self, *, everywhere: bool = False) -> list[Any]:
        """The volumes that count so far, of all pods or of task pods."""
        scopes = ("all",) if everywhere else ("all", "worker")
        return [volume for scope in scopes for volume in self.parts[scope].get("volumes", ())]

    def containers(self, key: str, given: object, kind: str) -> bool:
        """Further containers of task pods."""
        entries = self.listed(key, given)
        if entries is None:
            return False
        told: list[tuple[str, str]] = []
        made = [pods.container(entry, key, self.known_volumes(), told) for entry in entries]
        self.refused += told
        kept = [each for each in made if each is not None]
        self.parts["worker"].setdefault(kind, []).extend(kept)
        return bool(kept)

    def resource(self, part: str, path: tuple[str, ...], value: object) -> bool:
        """One request or limit."""
        kind, name = path if len(path) == 2 else ("", "")
        key = f"{'workers' if part == 'worker' else part}.resources.{kind}.{name}"
        if kind == "limits" and name == "cpu":
            return self.refuse(key, pods.CPU_LIMIT)
        if kind not in {"requests", "limits"}:
            return self.refuse(key, "it is neither a request nor a limit")
        try:
            pods.resources({kind: {name: value}}, self.defaults[part])
        except ValueError as error:
            return self.refuse(key, str(error))
        self.resources.setdefault(part, {}).setdefault(kind, {})[name] = value
        return True

    def metadata(self, key: str, kind: str, name: str, value: object) -> bool:
        """A label or annotation of task pods."""
        text = _plain(value)
        if "{{" in text or isinstance(value, list | dict):
            return self.refuse(key, TEMPLATED)
        if name.startswith(("harness.local/", "app.kubernetes.io/", "pod-security.")):
            return self.refuse(key, SET_BY_HARNESS)
        self.about.setdefault(kind, {})[name] = text
        return True

    def local_settings(self, key: str, value: object) -> bool:
        """Python that Airflow imports as it starts."""
        text = str(value)
        if "{{" in text:
            return self.refuse(key, TEMPLATED)
        self.config_maps[LOCAL_SETTINGS] = {"airflow_local_settings.py": text}
        return True

    def listed(self, key: str, given: object) -> list[Mapping[str, Any]] | None:
        """A list of tables, which may be given as text with YAML in it."""
        if isinstance(given, str):
            try:
                given = document(_plain(given))
            except ValueError:
                self.refuse(key, TEMPLATED if "{{" in _plain(given) else "it is no YAML")
                return None
        if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
            self.refuse(key, "it is no list of tables")
            return None
        return given

    def chart(self, root: str) -> dict[str, Any]:
        """All of it as values of our chart; empty where nothing was taken over."""
        found: dict[str, Any] = {}
        for name, taken in (("environment", self.environment), ("configMaps", self.config_maps)):
            if taken:
                found[name] = taken
        found |= {kind: each for kind, each in self.parts["all"].items() if each}
        if LOCAL_SETTINGS in self.config_maps:
            found["volumes"] = [
                *found.get("volumes", ()),
                {"name": LOCAL_SETTINGS, "configMap": {"name": LOCAL_SETTINGS}},
            ]
            mount = {"name": LOCAL_SETTINGS, "subPath": "airflow_local_settings.py", "readOnly": True}
            path = {"mountPath": f"{root}/config/airflow_local_settings.py"}
            found["volumeMounts"] = [*found.get("volumeMounts", ()), mount | path]
        worker: dict[str, Any] = {kind: each for kind, each in self.parts["worker"].items() if each}
        worker |= {kind: each for kind, each in self.about.items() if each}
        if self.task_environment:
            worker["environment"] = self.task_environment
        if worker:
            found["worker"] = worker
        for part, given in self.resources.items():
            found[part] = found.get(part, {}) | {"resources": pods.resources(given, self.defaults[part])}
        return found

    def _each(
        self,
        key: str,
        given: object,
        kind: str,
        everywhere: bool,
        problem_of: Callable[[Mapping[str, Any]], str],
    ) -> bool:
        entries = self.listed(key, given)
        if entries is None:
            return False
        counts = False
        for entry in entries:
            one: dict[str, Any] = {str(each): _named(value) for each, value in entry.items()}
            if problem := problem_of(one):
                self.refuse(f"{key}[{one.get('name')}]", problem)
            else:
                self.parts["all" if everywhere else "worker"].setdefault(kind, []).append(one)
                counts = True
        return counts


def _plain(value: object) -> str:
    """A text with the release's name in place of its template, as Kubernetes writes numbers and truth."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _RELEASE.sub("airflow", "" if value is None else str(value))


def _named(value: object) -> object:
    if isinstance(value, str):
        return _plain(value)
    return {key: _named(each) for key, each in value.items()} if isinstance(value, dict) else value
