"""The versions in the locks of uv, Poetry and PDM, and in pylock.toml (PEP 751)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from harness.errors import CauseCode, HarnessError
from harness.image.lock import requirements_text
from harness.image.lock.target import Target

_USUAL = frozenset({"", "pypi.org", "pypi.python.org"})


@dataclass(frozen=True)
class Package:
    """One package at its version; `url` where it is no index that has it, `index` where it is another than PyPI."""

    name: str
    version: str
    url: str
    index: str

    @property
    def line(self) -> str:
        return f"{self.name} @ {self.url}" if self.url else f"{self.name}=={self.version}"


@dataclass(frozen=True)
class Root:
    """What a project itself asks for; the version stands in its lock."""

    name: str
    line: str


def packages(kind: str, data: Mapping[str, Any], target: Target) -> list[Package]:
    """What a lock of that kind holds for the target, once each."""
    read = {"uv.lock": _of_uv, "poetry.lock": _of_poetry, "pdm.lock": _of_pdm, "pylock.toml": _of_pylock}[
        kind
    ]
    listed = data.get("packages" if kind == "pylock.toml" else "package")
    found: dict[str, Package | None] = {}
    for entry in _tables(listed):
        package = read(entry, target)
        if package is not None:
            known = found.setdefault(package.name, package)
            if known is not None and known != package:
                found[package.name] = None  # several that all count: the resolver chooses
    return [each for each in found.values() if each is not None]


def folders(kind: str, data: Mapping[str, Any]) -> dict[str, tuple[Root, ...]]:
    """What the repository's own projects need which a lock has as folders, such as members of a workspace.

    No index is asked for these: a stranger's package may have the same name.
    """
    found: dict[str, tuple[Root, ...]] = {}
    for entry in _tables(data.get("package")):
        source = _table(entry.get("source"))
        if (
            {"editable", "virtual", "directory", "path"} & set(source)
            or source.get("type") in {"directory", "file"}
            or (kind == "pdm.lock" and "path" in entry)
        ):
            found[canonicalize_name(str(entry.get("name", "")))] = tuple(_needs(entry.get("dependencies")))
    return found


def _needs(listed: object) -> Iterator[Root]:
    """What an entry of a lock depends on: tables of uv's, texts of PDM's, or a table by name of Poetry's."""
    if isinstance(listed, Mapping):
        listed = [{"name": name, **_table(asked)} for name, asked in listed.items()]
    for each in _list(listed):
        wanted = requirements_text.requirement(each) if isinstance(each, str) else None
        table = _table(each)
        if wanted is not None:
            table = {"name": wanted.name, "extra": sorted(wanted.extras), "marker": wanted.marker}
        if not table.get("name") or table.get("optional"):
            continue
        name = canonicalize_name(str(table["name"]))
        extras = _list(table.get("extra")) or _list(table.get("extras"))
        marker = table.get("marker") or table.get("markers")
        shown = f"[{','.join(map(str, extras))}]" if extras else ""
        yield Root(name, f"{name}{shown}" + (f" ; {marker}" if marker else ""))


def without_folders(asked: Iterable[Root], own: Mapping[str, Sequence[Root]]) -> list[Root]:
    """What is asked for, with what the repository's own projects need in the place of these."""
    found: dict[str, Root] = {}
    seen: set[str] = set()
    waiting = list(asked)
    while waiting:
        root = waiting.pop(0)
        if root.name not in own:
            found.setdefault(root.line, root)
        elif root.name not in seen:
            seen.add(root.name)
            waiting += own[root.name]
    return list(found.values())


def roots(kind: str, project: Mapping[str, Any], origin: str) -> Iterator[Root]:
    """What pyproject.toml asks for. Raises HarnessError(DEPENDENCIES_UNRESOLVED) where it asks for nothing."""
    found = False
    for text in _list(_table(project.get("project")).get("dependencies")):
        wanted = requirements_text.requirement(str(text))
        if wanted is not None:
            found = True
            extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
            marker = f" ; {wanted.marker}" if wanted.marker else ""
            named = canonicalize_name(wanted.name)
            yield Root(named, f"{named}{extras}{marker}")
    poetry = _table(_table(_table(project.get("tool")).get("poetry")).get("dependencies"))
    if kind == "poetry.lock":
        for name, asked in poetry.items():
            if canonicalize_name(name) == "python":
                continue
            each = _table(asked[0] if isinstance(asked, list) and asked else asked)
            if each.get("optional"):
                continue
            found = True
            extras = f"[{','.join(each['extras'])}]" if each.get("extras") else ""
            marker = f" ; {each['markers']}" if each.get("markers") else ""
            yield Root(canonicalize_name(name), f"{canonicalize_name(name)}{extras}{marker}")
    if not found:
        raise HarnessError(
            CauseCode.DEPENDENCIES_UNRESOLVED,
            f"{origin} asks for no package: there is nothing of {kind} to lock",
            hint=f"edit {origin}: `dependencies` stand under [project]",
        )


def _of_uv(entry: Mapping[str, Any], target: Target) -> Package | None:
    source = _table(entry.get("source"))
    markers = _list(entry.get("resolution-markers"))
    if markers and not any(target.takes(str(each)) for each in markers):
        return None
    if "git" in source:
        address, _, commit = str(source["git"]).partition("#")
        address, _, query = address.partition("?")
        folder = next((each for each in query.split("&") if each.startswith("subdirectory=")), "")
        return _package(entry, f"git+{address}@{commit}" + (f"#{folder}" if folder else ""))
    if "url" in source:
        return _package(entry, str(source["url"]))
    if "registry" not in source or "version" not in entry:  # the project itself, and folders beside it
        return None
    return _package(entry, index=str(source["registry"]))


def _of_poetry(entry: Mapping[str, Any], target: Target) -> Package | None:
    if not target.takes_python(str(entry.get("python-versions", ""))):
        return None
    markers = entry.get("markers")
    if isinstance(markers, str) and not target.takes(markers):
        return None
    source = _table(entry.get("source"))
    if source.get("type") == "git":
        folder = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
        return _package(entry, f"git+{source['url']}@{source['resolved_reference']}{folder}")
    if source.get("type") == "url":
        return _package(entry, str(source["url"]))
    index = str(source.get("url", "")) if source.get("type") == "legacy" else ""
    return None if source.get("type") in {"directory", "file"} else _package(entry, index=index)


def _of_pdm(entry: Mapping[str, Any], target: Target) -> Package | None:
    if not target.takes_python(str(entry.get("requires_python", ""))):
        return None
    if isinstance(entry.get("marker"), str) and not target.takes(entry["marker"]):
        return None
    if "git" in entry:
        folder = f"#subdirectory={entry['subdirectory']}" if entry.get("subdirectory") else ""
        return _package(entry, f"git+{entry['git']}@{entry.get('revision', '')}{folder}")
    if "url" in entry:
        return _package(entry, str(entry["url"]))
    return None if "path" in entry else _package(entry)


def _of_pylock(entry: Mapping[str, Any], target: Target) -> Package | None:
    if not target.takes(str(entry.get("marker", ""))):
        return None
    if not target.takes_python(str(entry.get("requires-python", ""))):
        return None
    vcs, archive = _table(entry.get("vcs")), _table(entry.get("archive"))
    if vcs.get("type") == "git" and "url" in vcs:
        folder = f"#subdirectory={vcs['subdirectory']}" if vcs.get("subdirectory") else ""
        return _package(entry, f"git+{vcs['url']}@{vcs['commit-id']}{folder}")
    if "url" in archive:
        return _package(entry, str(archive["url"]))
    return _package(entry, index=str(entry.get("index", ""))) if "version" in entry else None


def of_indexes(found: Sequence[Package], names: Mapping[str, str]) -> str:
    """A pyproject.toml that asks for each of these packages from its own index, as uv reads it."""
    addresses = dict.fromkeys(each.index for each in found)
    called = {url: names.get(url.rstrip("/"), f"index-{number}") for number, url in enumerate(addresses, 1)}
    lines = ["[project]", 'name = "indexes"', 'version = "0"']
    lines.append(f"dependencies = {json.dumps([each.line for each in found])}")
    for url, name in called.items():
        lines += [
            "[[tool.uv.index]]",
            f"name = {json.dumps(name)}",
            f"url = {json.dumps(url)}",
            "explicit = true",
        ]
    lines.append("[tool.uv.sources]")
    lines += [f"{each.name} = {{ index = {json.dumps(called[each.index])} }}" for each in found]
    return "\n".join(lines) + "\n"


def _package(entry: Mapping[str, Any], url: str = "", index: str = "") -> Package:
    elsewhere = "" if urlsplit(index).netloc in _USUAL else index
    return Package(canonicalize_name(str(entry["name"])), str(entry.get("version", "")), url, elsewhere)


def _tables(value: object) -> Iterator[Mapping[str, Any]]:
    for each in _list(value):
        if isinstance(each, Mapping) and "name" in each:
            yield each


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
