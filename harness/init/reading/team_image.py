"""What a team's own image and compose file say: versions, packages, variables, and where folders are put."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.init.reading.repository_files import Place, RepositoryFiles

ROOT = "/opt/airflow"
ASTRO_ROOT = "/usr/local/airflow"
COMPOSE = (
    "docker-compose.yml",
    "docker-compose.yaml",
    "compose.yml",
    "compose.yaml",
    "docker-compose.airflow.yml",
)
_AIRFLOW_IMAGE = re.compile(
    r"(?:^|/)(?:apache/)?airflow:(?:slim-)?(?P<airflow>\d+(?:\.\w+)*)(?:-python(?P<python>3\.\d+))?"
)
_ASTRO_IMAGE = re.compile(
    r"(?:astrocrpublic\.azurecr\.io|registry\.astronomer\.io|images\.astronomer\.cloud|quay\.io/astronomer|astro-runtime)"
)
_ASTRO_RUNTIME = re.compile(r"runtime:(?P<airflow>3\.\d+)-\d+(?:.*python-(?P<python>3\.\d+))?")
_VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^{}]*))?\}|\$(\w+)")
_PIP = re.compile(r"\b(?:pip3?|uv pip)\s+install\b")
_APT = re.compile(r"\bapt(?:-get)?\s+(?:-\S+\s+)*install\b")
_OPTIONS_WITH_VALUE = frozenset(
    {
        "-c",
        "--constraint",
        "-i",
        "--index-url",
        "--extra-index-url",
        "-f",
        "--find-links",
        "--python",
        "-t",
        "--target",
    }
)


@dataclass(frozen=True, order=True)
class Said:
    """Something that a file says, and where."""

    value: str
    place: Place


@dataclass
class TeamImage:
    """What the files tell. `mounts` are folders of the repository by their absolute paths in the image."""

    airflow: list[Said] = field(default_factory=list)
    python: list[Said] = field(default_factory=list)
    packages: list[Said] = field(default_factory=list)
    system_packages: list[Said] = field(default_factory=list)
    requirements: list[Said] = field(default_factory=list)
    environment: dict[str, Said] = field(default_factory=dict)
    mounts: dict[str, str] = field(default_factory=dict)
    astro: Place | None = None

    @property
    def root(self) -> str:
        return ASTRO_ROOT if self.astro else ROOT


def team_image(files: RepositoryFiles) -> TeamImage:
    """What Dockerfiles, compose files and `packages.txt` say."""
    image = TeamImage()
    for path in files.names:
        name = posixpath.basename(path)
        if path.count("/") > 4:
            continue
        if name == "Dockerfile" or name.lower().startswith(("dockerfile.", "airflow.dockerfile")):
            _dockerfile(path, files.read_text(path) or "", image, files)
    for path in files.named(*COMPOSE):
        _compose(path, files.read_text(path) or "", image)
    for path in files.named("packages.txt"):
        for number, line in enumerate((files.read_text(path) or "").splitlines(), 1):
            if name := line.partition("#")[0].strip():
                image.system_packages.append(Said(name, Place(path, number)))
    return image


def _dockerfile(path: str, text: str, image: TeamImage, files: RepositoryFiles) -> None:
    instructions = list(_instructions(text))
    based = [value for _, word, value in instructions if word == "FROM"]
    variables = {"AIRFLOW_VERSION": ""} | {
        name: default
        for _, word, value in instructions
        if word == "ARG" and "=" in value
        for name, default in [value.split("=", 1)]
    }
    if not any("airflow" in substituted(value, variables) or _ASTRO_IMAGE.search(value) for value in based):
        return
    folder = posixpath.dirname(path)
    workdir = ""
    for line, word, raw in instructions:
        place = Place(path, line)
        value = substituted(raw, variables)
        if word == "FROM":
            _from(value, place, image)
            workdir = image.root
        elif word == "ENV":
            image.environment |= {name: Said(given, place) for name, given in _env(value)}
        elif word == "RUN":
            _run(value, place, folder, image)
        elif word == "WORKDIR":
            workdir = posixpath.join(workdir, value)
        elif word in {"COPY", "ADD"}:
            _copy(value, folder, workdir, image, files)


def _from(value: str, place: Place, image: TeamImage) -> None:
    if _ASTRO_IMAGE.search(value):
        image.astro = image.astro or place
        found = _ASTRO_RUNTIME.search(value)
        if found is None:  # runtimes of three numbers are Airflow 2
            image.airflow.append(Said("2", place))
    else:
        found = _AIRFLOW_IMAGE.search(value.split(" ", maxsplit=1)[0])
    if found is not None:
        image.airflow.append(Said(found["airflow"], place))
        if found["python"]:
            image.python.append(Said(found["python"], place))


def _run(value: str, place: Place, folder: str, image: TeamImage) -> None:
    for command in re.split(r"&&|;|\|\|", value):
        installs = _PIP.search(command)
        if installs:
            for kind, each in pip_arguments(command[installs.end() :]):
                if kind == "file":
                    image.requirements.append(
                        Said(posixpath.normpath(posixpath.join(folder, each.lstrip("/"))), place)
                    )
                else:
                    image.packages.append(Said(each, place))
        elif system := _APT.search(command):
            names = [
                word
                for word in command[system.end() :].split()
                if re.fullmatch(r"[a-z0-9][a-z0-9+.-]*", word)
            ]
            image.system_packages += [Said(name, place) for name in names]


def pip_arguments(text: str) -> Iterator[tuple[str, str]]:
    """What `pip install` is told to install: each a `file` of requirements or a `package`."""
    try:
        words = iter(shlex.split(text))
    except ValueError:  # an open quote
        return
    for word in words:
        if word in {"-r", "--requirement"}:
            yield "file", next(words, "")
        elif word.startswith("--requirement="):
            yield "file", word.partition("=")[2]
        elif word in _OPTIONS_WITH_VALUE:
            next(words, None)
        elif re.match(r"[A-Za-z][\w.-]*(?:\[[\w,.-]*\])?\s*(?:[=<>!~].*)?$", word):
            yield "package", word


def _copy(value: str, folder: str, workdir: str, image: TeamImage, files: RepositoryFiles) -> None:
    """A folder that is copied into the image is the same there as one that is mounted."""
    if value.startswith("["):
        try:
            words = [str(word) for word in json.loads(value)]
        except (ValueError, RecursionError):
            return
    else:
        words = [word for word in value.split() if not word.startswith("--")]
    if "--from" in value or len(words) < 2:
        return
    target = posixpath.normpath(posixpath.join(workdir or ROOT, words[-1]))
    for word in words[:-1]:
        source = posixpath.normpath(posixpath.join(folder, word))
        inside = source in {"", "."} or source.startswith("..")
        if not inside and files.has(source) and not files.is_file(source):
            image.mounts.setdefault(target, source)


def _compose(path: str, text: str, image: TeamImage) -> None:
    import yaml

    if "airflow" not in text:
        return
    try:
        data: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, OverflowError):
        return
    folder = posixpath.dirname(path)
    lines = text.splitlines()
    for table in _tables(data, set()):
        for said in _texts(table.get("image")):
            if "airflow" in said:
                _from(substituted(said, {}), _line(path, lines, said), image)
        for name, value in _environment(table.get("environment")):
            place = _line(path, lines, name)
            if name == "_PIP_ADDITIONAL_REQUIREMENTS":
                packages = (each for kind, each in pip_arguments(substituted(value, {})) if kind == "package")
                image.packages += [Said(each, place) for each in packages]
            elif value:
                image.environment.setdefault(name, Said(substituted(value, {}), place))
        for volume in table.get("volumes") or () if isinstance(table.get("volumes"), list) else ():
            _volume(volume, folder, image)


def _volume(volume: object, folder: str, image: TeamImage) -> None:
    if isinstance(volume, Mapping):
        source, target = str(volume.get("source", "")), str(volume.get("target", ""))
    else:
        parts = substituted(str(volume), {}).split(":")
        if len(parts) < 2:
            return
        source, target = parts[0], parts[1]
    if source.startswith((".", "..")) or "/" in source.strip("/"):
        host = posixpath.normpath(posixpath.join(folder, source))
        if not host.startswith(("/", "..")) and target.startswith("/"):
            image.mounts.setdefault(posixpath.normpath(target), "" if host == "." else host)


def substituted(text: str, variables: Mapping[str, str]) -> str:
    """A text with its `${NAME:-default}`s in place; those of unknown names become empty."""
    return _VARIABLE.sub(lambda found: variables.get(found[1] or found[3], found[2] or ""), text)


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, word and rest of each instruction of a Dockerfile, continued lines joined."""
    started, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        started = started or number
        if line.rstrip().endswith("\\"):
            parts.append(line.rstrip()[:-1])
            continue
        whole = " ".join([*parts, line]).strip()
        word, _, rest = whole.partition(" ")
        if word:
            yield started, word.upper(), rest.strip()
        started, parts = 0, []


def _env(value: str) -> Iterator[tuple[str, str]]:
    """`A=1 B="2"` or the old form `A 1`."""
    name, _, rest = value.partition(" ")
    if "=" not in name:
        yield name, rest.strip()
        return
    try:
        words = shlex.split(value)
    except ValueError:
        return
    yield from ((word.partition("=")[0], word.partition("=")[2]) for word in words if "=" in word)


def _environment(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        yield from ((str(name), "" if given is None else str(given)) for name, given in value.items())
    elif isinstance(value, list):
        yield from ((str(each).partition("=")[0], str(each).partition("=")[2]) for each in value)


def _tables(data: object, seen: set[int]) -> Iterator[Mapping[Any, Any]]:
    """Every table in a document, each once: YAML's anchors may make circles."""
    if id(data) in seen:
        return
    if isinstance(data, Mapping):
        seen.add(id(data))
        yield data
        for inner in data.values():
            yield from _tables(inner, seen)
    elif isinstance(data, list):
        seen.add(id(data))
        for inner in data:
            yield from _tables(inner, seen)


def _texts(value: object) -> Iterable[str]:
    return (value,) if isinstance(value, str) else ()


def _line(path: str, lines: list[str], text: str) -> Place:
    """Where a text stands first; YAML's reader does not tell."""
    return Place(path, next((number for number, line in enumerate(lines, 1) if text in line), 1))
