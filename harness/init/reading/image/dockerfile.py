"""What a Dockerfile of Airflow's says: its base, packages, variables, and the folders that it copies."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from harness.init.reading.image.team_image import ROOT, Said, TeamImage, based_on, is_airflow, substituted
from harness.init.reading.repository_files import Place, RepositoryFiles
from harness.project import dockerfile_text

_PIP = re.compile(r"\b(?:pip3?|uv pip)\s+install\b")
_APT = re.compile(r"\bapt(?:-get)?\s+(?:-\S+\s+)*install\b")
_OPTIONS_WITH_VALUE = frozenset({"-c", "--constraint", "-f", "--find-links", "--python", "-t", "--target"})
_OPEN = re.compile(r"https?://[\w.-]+(?::\d+)?/[\w./+-]*")
_INDEX = re.compile(r"(?:-i|--(?:extra-)?index-url)(?:=(?P<url>\S*))?")


# Into an environment of its own: `source x/bin/activate`, `x/bin/pip install`.
_ENTERS = re.compile(r"(?:source|\.)\s+(?P<path>\S+)/bin/activate\b")
_OF_ENVIRONMENT = re.compile(r"(?P<path>\S*env\S*)/bin/(?:python3?\s+-m\s+)?pip3?\s+install\b")
_AIRFLOW = re.compile(r"apache-airflow(?:-core)?(?:\[[^\]]*\])?(?:==(?P<version>\d[\w.]*))?(?![\w-])")
_PYTHON_IMAGE = re.compile(r"(?:docker\.io/)?(?:library/)?python:(?P<version>3\.\d+)")
_PROJECTS = ("pyproject.toml", "setup.py", "setup.cfg")
_SYNCS = re.compile(r"\b(uv|poetry|pdm)\s+(?:sync|export|install)\b")


@dataclass
class _Stage:
    """What begins with FROM: its base, with the lines that follow."""

    line: int
    base: str
    instructions: list[tuple[int, str, str]] = field(default_factory=list)


def read_dockerfile(path: str, image: TeamImage, files: RepositoryFiles, context: str | None = None) -> None:
    """Tell `image` what the stages of a Dockerfile say that end in Airflow's image; nothing where none does.

    `context` is the folder that it is built in, as a compose file names it; its own where that is not known.
    """
    text = files.read_text(path) or ""
    instructions = list(dockerfile_text.instructions(text))
    variables = {"AIRFLOW_VERSION": ""} | {
        name: default.strip("\"'")
        for _, word, value in instructions
        if word == "ARG" and "=" in value
        for name, default in [value.split("=", 1)]
    }
    folder = posixpath.dirname(path) if context is None else context
    build = _Build(path, folder, image, files)
    for stage in _last(_stages(instructions, variables)):
        if is_airflow(stage.base):
            based_on(stage.base, Place(path, stage.line), image)
        elif python := _PYTHON_IMAGE.match(stage.base):
            image.python.append(Said(python["version"], Place(path, stage.line)))
        build.workdir = build.workdir or image.root
        for line, word, raw in stage.instructions:
            build.follow(Place(path, line), word, substituted(raw, variables))


def _stages(instructions: Iterable[tuple[int, str, str]], variables: Mapping[str, str]) -> dict[str, _Stage]:
    """The stages by their names, in order."""
    found: dict[str, _Stage] = {}
    for line, word, value in instructions:
        if word == "FROM":
            base, name = dockerfile_text.base_and_stage(substituted(value, variables))
            stage = found[name or str(len(found))] = _Stage(line, base)
        elif found:
            stage.instructions.append((line, word, value))
    return found


def _last(stages: dict[str, _Stage]) -> list[_Stage]:
    """The stages that the last image of Airflow's is made by, its base first; also of one that installs Airflow."""
    chains = []
    for name in reversed(stages):
        chain = [stages[name]]
        while chain[0].base in stages and stages[chain[0].base] not in chain:
            chain.insert(0, stages[chain[0].base])
        chains.append(chain)
    official = (chain for chain in chains if is_airflow(chain[0].base))
    others = (chain for chain in chains if any(_installs_airflow(stage) for stage in chain))
    return next(official, None) or next(others, [])


def makes_airflow(text: str) -> bool:
    """Whether a Dockerfile ends in an image of Airflow's, or installs Airflow into another."""
    return bool(_last(_stages(dockerfile_text.instructions(text), {})))


def _installs_airflow(stage: _Stage) -> bool:
    return any(
        _AIRFLOW.match(each)
        for _, word, value in stage.instructions
        if word == "RUN"
        for command in re.split(r"&&|;|\|\|", value)
        if (found := _PIP.search(command)) is not None
        for kind, each in pip_arguments(command[found.end() :])
        if kind == "package"
    )


@dataclass
class _Build:
    """What is known while the lines of a Dockerfile are followed. `copied` are files by where they are put."""

    path: str
    folder: str
    image: TeamImage
    files: RepositoryFiles
    workdir: str = ""
    copied: dict[str, str] = field(default_factory=dict)

    def follow(self, place: Place, word: str, value: str) -> None:
        if word == "ENV":
            self.image.environment |= {name: Said(given, place) for name, given in _env(value)}
        elif word == "RUN":
            self._run(value, place)
        elif word == "WORKDIR":
            self.workdir = posixpath.join(self.workdir, value)
        elif word in {"COPY", "ADD"}:
            self._copy(value)

    def _run(self, value: str, place: Place) -> None:
        own = ""  # the virtual environment that a shell is in
        for command in re.split(r"&&|;|\|\|", value):
            if entered := _ENTERS.search(command):
                own = entered["path"]
            elif re.search(r"\bdeactivate\b", command):
                own = ""
            installs = _PIP.search(command)
            tool = _SYNCS.search(command)
            if installs:
                aside = _OF_ENVIRONMENT.search(command[: installs.end()])
                if folder := aside["path"] if aside else own:
                    self.image.environments.append(Said(folder, place))
                    continue
                for kind, each in pip_arguments(command[installs.end() :]):
                    self._install(kind, each, place)
            elif tool:
                lock = "uv.lock" if tool[1] == "uv" else f"{tool[1]}.lock"
                self.image.requirements += [Said(path, place) for path in self._sources(lock)]
            elif system := _APT.search(command):
                names = (
                    word
                    for word in command[system.end() :].split()
                    if re.fullmatch(r"[a-z0-9][a-z0-9+.-]*", word)
                )
                self.image.system_packages += [Said(name, place) for name in names]

    def _install(self, kind: str, each: str, place: Place) -> None:
        """What pip is told to install, or where to look for it."""
        if kind == "package":
            self.image.packages.append(Said(each, place))
            if (airflow := _AIRFLOW.match(each)) and airflow["version"]:
                self.image.airflow.append(Said(airflow["version"], place))
        elif kind == "folder":
            self._project(each, place)
        elif kind == "index":
            self.image.indexes += [Said(each, place)] if is_open_index(each) else []
        else:
            self.image.requirements += [Said(path, place) for path in self._sources(each)]

    def _project(self, written: str, place: Place) -> None:
        """A folder that pip installs: its package can be imported, and its pyproject.toml says what it needs."""
        in_image = posixpath.normpath(posixpath.join(self.workdir or "/", written))
        copied = (
            posixpath.join(source, posixpath.relpath(in_image, target))
            for target, source in self.image.mounts.items()
            if f"{in_image}/".startswith(f"{target}/")
        )
        beside = (
            posixpath.join(each, written.lstrip("/"))
            for each in (self.folder, posixpath.dirname(self.path), "")
        )
        for folder in map(posixpath.normpath, (*copied, *beside)):
            within = "" if folder == "." else folder
            if any(self.files.is_file(posixpath.join(within, name)) for name in _PROJECTS):
                self.image.projects.append(within)
                found = posixpath.join(within, "pyproject.toml")
                self.image.requirements += [Said(found, place)] if self.files.is_file(found) else []
                return
        project = posixpath.join(written, "pyproject.toml")  # whose folder is put together in the image
        self.image.requirements += [Said(path, place) for path in self._sources(project)]

    def _sources(self, written: str) -> list[str]:
        """The file of the repository that a path in the image is."""
        in_image = posixpath.normpath(posixpath.join(self.workdir or "/", written))
        name = posixpath.basename(in_image)
        likely = (
            self.copied.get(in_image, ""),
            *(
                posixpath.normpath(posixpath.join(place, each))
                for place in dict.fromkeys((self.folder, posixpath.dirname(self.path), ""))
                for each in (written.lstrip("/"), name)
            ),
        )
        return [path for path in likely if path and self.files.is_file(path)][:1]

    def _copy(self, value: str) -> None:
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
        into = words[-1].endswith("/") or words[-1] == "." or len(words) > 2
        target = posixpath.normpath(posixpath.join(self.workdir or ROOT, words[-1]))
        for word in words[:-1]:
            for place in dict.fromkeys((self.folder, posixpath.dirname(self.path), "")):
                source = posixpath.normpath(posixpath.join(place, word.lstrip("/")))
                if source in {"", "."} or source.startswith("..") or not self.files.has(source):
                    continue
                if self.files.is_file(source):
                    name = posixpath.join(target, posixpath.basename(source)) if into else target
                    self.copied.setdefault(name, source)
                else:
                    self.image.mounts.setdefault(target, source)
                break


def is_open_index(url: str) -> bool:
    """Whether it is an index besides the usual one, and nobody's login stands in it."""
    return bool(_OPEN.fullmatch(url)) and not url.rstrip("/").endswith("pypi.org/simple")


def pip_arguments(text: str) -> Iterator[tuple[str, str]]:
    """What `pip install` is told to install: a `file` of requirements, a project's `folder` or a `package`.

    Or the `index` that it asks.
    """
    try:
        words = iter(shlex.split(text))
    except ValueError:  # an open quote
        return
    for word in words:
        if word in {"-r", "--requirement"}:
            yield "file", next(words, "")
        elif word.startswith("--requirement="):
            yield "file", word.partition("=")[2]
        elif word in {"-e", "--editable"}:
            yield "folder", next(words, "")
        elif index := _INDEX.fullmatch(word):
            yield "index", index["url"] or next(words, "")
        elif word in _OPTIONS_WITH_VALUE:
            next(words, None)
        elif word.startswith((".", "/")) and not word.endswith((".whl", ".gz", ".zip")):
            yield "folder", word.partition("[")[0]
        elif re.match(r"[A-Za-z][\w.-]*(?:\[[\w,.-]*\])?\s*(?:[=<>!~].*)?$", word):
            yield "package", word


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
