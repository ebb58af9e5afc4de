"""What a compose file says of Airflow: its image, variables and folders, and the services beside it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.init.reading.image.dockerfile import is_open_index, makes_airflow, pip_arguments, read_dockerfile
from harness.init.reading.image.team_image import Said, TeamImage, based_on, is_airflow, substituted
from harness.init.reading.repository_files import Place, RepositoryFiles

NAME = re.compile(r"(?:docker[-_.]?)?compose(?:[-_.][\w.-]+)?\.ya?ml", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=(?P<value>[^#\n]*)")
_EXAMPLES = (
    ".env.example",
    ".env.template",
    ".env.sample",
    ".env_example",
    "env.example",
    ".env.dist",
    ".env-dist",
)
_OF_A_PLACE = re.compile(r"\.{0,2}/?[\w./-]+(?::[\w.-]+)?")
_PLAIN = re.compile(r"(?:docker-)?compose\.ya?ml", re.IGNORECASE)


def compose_files(files: RepositoryFiles) -> list[str]:
    """The compose files: those that start without being named first, and those nearest to the root."""
    found = [path for path in files.names if NAME.fullmatch(posixpath.basename(path))]
    return sorted(
        found, key=lambda path: (path.count("/"), not _PLAIN.fullmatch(posixpath.basename(path)), path)
    )


def read_compose(path: str, image: TeamImage, files: RepositoryFiles, seen: set[str]) -> None:
    """Tell `image` what a compose file says; the Dockerfiles that it builds of are added to `seen`."""
    import yaml

    text = files.read_text(path) or ""
    if "airflow" not in text:
        return
    try:
        data: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, OverflowError):
        return
    if not isinstance(data, dict):
        return
    folder = posixpath.dirname(path)
    own = {name: said.value for name, said in env_file(posixpath.join(folder, ".env"), files)}
    places = own or _of_example(folder, files)
    services = data.get("services")
    shared = {name: table for name, table in data.items() if str(name).startswith("x-")}
    lines = text.splitlines()
    for name, table in {**shared, **(services if isinstance(services, dict) else {})}.items():
        if not isinstance(table, dict):
            continue
        built = _dockerfile(table.get("build"), posixpath.dirname(path), files)
        if _is_airflows(str(name), table, built, files):
            if built is not None and built[0] not in seen:
                seen.add(built[0])
                read_dockerfile(built[0], image, files, built[1])
            _service(path, lines, table, image, own, places)
            for file in _env_files(table.get("env_file"), posixpath.dirname(path)):
                for variable, said in env_file(file, files):
                    image.environment.setdefault(variable, said)
        elif name not in shared:
            place = _line(path, lines, f"{name}:")
            for each in (name, table.get("container_name"), table.get("hostname")):
                if isinstance(each, str):
                    image.services.setdefault(each, place)


def _is_airflows(
    name: str, table: Mapping[str, Any], built: tuple[str, str] | None, files: RepositoryFiles
) -> bool:
    """Whether a service runs Airflow, and no database or server beside it."""
    image = table.get("image")
    named = isinstance(image, str) and is_airflow(substituted(image, {}))
    if any(each.startswith("AIRFLOW__") for each, _ in _environment(table.get("environment"))):
        return True
    if built is not None:  # then its own name for what it builds says little
        return ("airflow" in name or named) and makes_airflow(files.read_text(built[0]) or "")
    return named or (not image and name.startswith("airflow"))


def _dockerfile(build: object, folder: str, files: RepositoryFiles) -> tuple[str, str] | None:
    """The Dockerfile that a service is built of, and the folder that it is built in."""
    context, name = build, "Dockerfile"
    if isinstance(build, Mapping):
        context, name = build.get("context", "."), str(build.get("dockerfile", name))
    if not isinstance(context, str):
        return None
    within = posixpath.normpath(posixpath.join(folder, substituted(context, {})))
    within = "" if within == "." else within
    found = posixpath.normpath(posixpath.join(within, name))
    path = next((each for each in files.names if each.lower() == found.lower()), None)
    return (path, within) if path else None


def env_file(path: str, files: RepositoryFiles) -> Iterator[tuple[str, Said]]:
    """The variables of a file of `NAME=value` lines that git has; what it has not is nobody's but its owner's."""
    text = files.read_text(path) if files.tracked(path) else None
    for number, line in enumerate((text or "").splitlines(), 1):
        if found := _ASSIGNMENT.match(line):
            yield found["name"], Said(found["value"].strip().strip("\"'"), Place(path, number))


def _of_example(folder: str, files: RepositoryFiles) -> dict[str, str]:
    """What the example of a `.env` says of images and folders, where git has no `.env` itself."""
    for name in _EXAMPLES:
        said = env_file(posixpath.join(folder, name), files)
        if found := {name: each.value for name, each in said if _OF_A_PLACE.fullmatch(each.value)}:
            return found
    return {}


def _env_files(value: object, folder: str) -> Iterator[str]:
    for each in value if isinstance(value, list) else [value]:
        name = each.get("path") if isinstance(each, Mapping) else each
        if isinstance(name, str):
            yield posixpath.normpath(posixpath.join(folder, substituted(name, {})))


def _service(
    path: str,
    lines: list[str],
    table: Mapping[str, Any],
    image: TeamImage,
    own: Mapping[str, str],
    places: Mapping[str, str],
) -> None:
    said = table.get("image")
    if isinstance(said, str):
        based_on(substituted(said, places), _line(path, lines, said), image)
    for name, value in _environment(table.get("environment")):
        place = _line(path, lines, name)
        if name == "_PIP_ADDITIONAL_REQUIREMENTS":
            given = list(pip_arguments(substituted(value, own)))
            image.packages += [Said(each, place) for kind, each in given if kind == "package"]
            image.indexes += [
                Said(each, place) for kind, each in given if kind == "index" and is_open_index(each)
            ]
        elif value:
            image.environment.setdefault(name, Said(substituted(value, own), place))
    size = table.get("shm_size")
    if isinstance(size, str | int):
        said_so = f"shm_size: {size}"
        place = _line(path, lines, said_so if said_so in "\n".join(lines) else "shm_size")
        image.shared_memory = image.shared_memory or Said(str(size), place)
    volumes = table.get("volumes")
    for volume in volumes if isinstance(volumes, list) else ():
        _volume(volume, posixpath.dirname(path), image, places)


def _volume(volume: object, folder: str, image: TeamImage, variables: Mapping[str, str]) -> None:
    if isinstance(volume, Mapping):
        source, target = str(volume.get("source", "")), str(volume.get("target", ""))
    else:
        parts = substituted(str(volume), variables).split(":")
        if len(parts) < 2:
            return
        source, target = parts[0], parts[1]
    if source.startswith((".", "..")) or "/" in source.strip("/"):
        host = posixpath.normpath(posixpath.join(folder, source))
        if not host.startswith(("/", "..")) and target.startswith("/"):
            image.mounts.setdefault(posixpath.normpath(target), "" if host == "." else host)


def _environment(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        yield from ((str(name), "" if given is None else str(given)) for name, given in value.items())
    elif isinstance(value, list):
        yield from ((str(each).partition("=")[0], str(each).partition("=")[2]) for each in value)


def _line(path: str, lines: list[str], text: str) -> Place:
    """Where a text stands first; YAML's reader does not tell."""
    return Place(path, next((number for number, line in enumerate(lines, 1) if text in line), 1))
