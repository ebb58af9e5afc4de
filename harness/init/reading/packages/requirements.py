"""Which packages a repository names, in which of its files, and which of them its code imports."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.init.reading.packages.imported import normalized
from harness.init.reading.packages.requirement_lines import UTF_16, Unfit, unfit
from harness.init.reading.repository_files import Place, RepositoryFiles

LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml")
REQUIREMENTS = ("requirements.txt", "requirements.in", "requirements-airflow.txt", "airflow-requirements.txt")
_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_PINNED = re.compile(
    r"^\s*apache-airflow(?:-core)?(?:\[[^\]]*\])?\s*(?P<how>==|~=|>=|<|<=)\s*(?P<version>\d[\w.*]*)", re.I
)
_OPTION = re.compile(r"-{1,2}[A-Za-z]")
_INCLUDE = re.compile(r"^\s*(?:-r|--requirement)[\s=]+(\S+)")


@dataclass(frozen=True)
class Dependencies:
    """The file that names the packages, empty where none does. `names` are what it and its includes ask for.

    `locked` tells whether it holds versions of everything, so that nothing can be added; `airflow` is the version
    that it asks for, with its place; `unfit` are lines that no lock can be made of, and `lines` do without them.
    """

    path: str = ""
    locked: bool = False
    names: frozenset[str] = frozenset()
    airflow: tuple[str, Place] | None = None
    lines: tuple[str, ...] = field(default=(), repr=False)
    unfit: tuple[Unfit, ...] = ()
    utf_16: bool = False


def dependencies_of(files: RepositoryFiles, dags_folder: str, home: str, told: Iterable[str]) -> Dependencies:
    """What fits the DAGs best: a lock, else the file that their image installs, else the nearest one.

    `home` is Airflow's home in the repository, `told` the requirements files that a Dockerfile installs.
    """
    folders = list(dict.fromkeys([dags_folder, home, *_parents(home)]))
    in_order = [
        *(path for path in _in(folders, ["requirements.lock"]) if "--hash=" in (files.read_text(path) or "")),
        *told,
        *_in(folders, LOCKS),
        *_in(folders, REQUIREMENTS),
        *_in(folders, ["pyproject.toml"]),
        *(name for name in files.named(*REQUIREMENTS) if name.count("/") <= 2),
        *(name for name in files.below("requirements") if name.endswith((".txt", ".in"))),
    ]
    for path in in_order:
        plain = path.isprintable() and not path.startswith("-") and "\\" not in path
        text = files.read_text(path) if plain and files.is_file(path) else None
        if text is not None:
            found = _read(path, text, files)
            if found is not None:
                return found
    return Dependencies()


def _read(path: str, text: str, files: RepositoryFiles) -> Dependencies | None:
    name = posixpath.basename(path)
    if name.endswith(".toml") or name in LOCKS:
        try:
            data: dict[str, Any] = tomllib.loads(text)
        except (ValueError, RecursionError):
            return None
        return _project(path, data) if name == "pyproject.toml" else _lock(path, data)
    wrong = {
        each.place: each for place, line in _lines(path, text, files, set()) if (each := unfit(line, place))
    }
    read = ((place, line, wrong.get(place)) for place, line in _lines(path, text, files, set()))
    lines = [
        (place, each.instead if each else line) for place, line, each in read if not each or each.instead
    ]
    names = frozenset(normalized(match[1]) for _, line in lines if (match := _NAME.match(line)))
    pinned = ((_PINNED.match(line), place) for place, line in lines)
    airflow = next(
        ((match["version"], place) for match, place in pinned if match and match["how"] in {"==", "~="}), None
    )
    return Dependencies(
        path,
        "--hash=" in text,
        names,
        airflow,
        tuple(line for _, line in lines),
        tuple(wrong.values()),
        text.startswith(UTF_16),
    )


def _lines(path: str, text: str, files: RepositoryFiles, seen: set[str]) -> Iterator[tuple[Place, str]]:
    seen.add(path)
    for number, line in enumerate(text.removeprefix(UTF_16).splitlines(), 1):
        plain = line.partition(" #")[0].strip()
        include = _INCLUDE.match(plain)
        if include:
            inner = posixpath.normpath(posixpath.join(posixpath.dirname(path), include[1]))
            inner_text = None if inner in seen or len(seen) > 20 else files.read_text(inner)
            yield from _lines(inner, inner_text, files, seen) if inner_text is not None else ()
        elif plain and not plain.startswith("#") and not _OPTION.match(plain):
            yield Place(path, number), plain


def _lock(path: str, data: dict[str, Any]) -> Dependencies:
    listed = data.get("package") or data.get("packages") or []
    versions = {
        normalized(str(each["name"])): str(each.get("version", ""))
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict) and "name" in each
    }
    airflow = versions.get("apache-airflow-core") or versions.get("apache-airflow")
    said = (airflow, Place(path, 0)) if airflow else None
    return Dependencies(path, True, frozenset(versions), said)


def _project(path: str, data: dict[str, Any]) -> Dependencies | None:
    """What pyproject.toml asks for; None where it asks for nothing."""
    project, tool = data.get("project"), data.get("tool")
    listed = project.get("dependencies") if isinstance(project, dict) else None
    poetry = tool.get("poetry") if isinstance(tool, dict) else None
    named = poetry.get("dependencies") if isinstance(poetry, dict) else None
    if isinstance(listed, list) and listed:
        lines = [str(each) for each in listed]
        place = path
    elif isinstance(named, dict):
        lines = [_of_poetry(name, wanted) for name, wanted in named.items() if name.lower() != "python"]
        place = ""  # such a table is poetry's own: its lines are copied
    else:
        return None
    names = frozenset(normalized(match[1]) for line in lines if (match := _NAME.match(line)))
    pinned = (_PINNED.match(line) for line in lines)
    airflow = next(
        ((match["version"], Place(path, 0)) for match in pinned if match and match["how"] in {"==", "~="}),
        None,
    )
    return Dependencies(place, False, names, airflow, tuple(lines))


def _of_poetry(name: str, wanted: object) -> str:
    """A line of poetry's as pip writes it: `^1.2` is at least that."""
    version = wanted.get("version", "") if isinstance(wanted, dict) else wanted
    text = str(version).strip()
    if re.fullmatch(r"\d[\w.]*", text):
        return f"{name}=={text}"
    found = re.fullmatch(r"[~^](\d[\w.]*)", text)
    if found:
        return f"{name}>={found[1]}"
    return f"{name}{text}" if re.fullmatch(r"[<>=!~][\w.,<>=!~ *]*", text) else name


def _in(folders: Iterable[str], names: Iterable[str]) -> Iterator[str]:
    names = list(names)
    return (posixpath.join(folder, name) for folder in folders for name in names)


def _parents(folder: str) -> Iterator[str]:
    while folder:
        folder = posixpath.dirname(folder)
        yield folder
