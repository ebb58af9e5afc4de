"""What runs in production: the image itself, and a file of values of Airflow's official chart."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from harness.airflow.values.official import rule_of
from harness.hints import toml_text
from harness.init.findings import Finding
from harness.init.reading.image.team_image import TeamImage
from harness.init.reading.repository_files import RepositoryFiles

LARGEST_CHARACTERS = 400_000
_NAMED = re.compile(r"(^|[-_./])values?([-_.][\w-]+)*\.ya?ml$", re.IGNORECASE)
_COPIED = re.compile(r"^(?:COPY|ADD)\s+(?!--from)(?:--\S+\s+)*(\S+)\s+\S+", re.MULTILINE)
# Keys that other charts hardly have.
_TELLING = frozenset(
    {"airflowVersion", "airflowHome", "airflowLocalSettings", "apiServer", "createUserJob", "dagProcessor", "dags",
     "defaultAirflowRepository", "defaultAirflowTag", "executor", "fernetKey", "fernetKeySecretName", "triggerer",
     "webserver", "workers"}
)  # fmt: skip
ENOUGH = 3


def values_file(files: RepositoryFiles) -> str:
    """The file of values of the official chart, that of production where there are several; empty without one."""
    found = [
        path
        for path in files.names
        if _NAMED.search(path) and path.count("/") < 6 and _is_official(files.read_text(path) or "")
    ]
    return min(
        found, key=lambda path: (not re.search(r"prod", path), path.count("/"), len(path), path), default=""
    )


def production(files: RepositoryFiles, image: TeamImage, values: str) -> Iterator[Finding]:
    """What to add to harness.toml for tests on the image that runs in production, and with what configuration."""
    said = next((each for each in image.airflow if each.value.startswith("3")), None)
    if said is not None:
        path = said.place.path
        if "dockerfile" in posixpath.basename(path).lower():
            text = "versions run on packages of your requirements: on your own image, with these in place of them"
            context = _context(files, path)
            more = f"\ncontext = {toml_text(context)}" if context else ""
            add = f"dockerfile = {toml_text(path)}{more}\nas_is = true"
            yield Finding("yours", "your own image", text, str(said.place), add=add)
    if values:
        yield Finding("found", "values", "of Airflow's official chart", values)
        yield Finding(
            "decided", "values", "count as far as they mean the same here; the rest is told", values
        )


def _context(files: RepositoryFiles, dockerfile: str) -> str:
    """The folder that a Dockerfile copies from, where it is its own; empty for the repository's root."""
    folder = posixpath.dirname(dockerfile)
    copied = _COPIED.findall(files.read_text(dockerfile) or "")
    beside = [source for source in copied if files.has(posixpath.normpath(posixpath.join(folder, source)))]
    return folder if beside and not any(files.has(posixpath.normpath(source)) for source in beside) else ""


def _is_official(text: str) -> bool:
    import yaml

    if len(text) > LARGEST_CHARACTERS:
        return False
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    if not isinstance(data, Mapping):
        return False
    keys = {str(key) for key in data}
    return len(keys & _TELLING) >= ENOUGH and all(_is_known(key, value) for key, value in data.items())


def _is_known(key: object, value: object) -> bool:
    """Whether the official chart has such a key at its top, whatever lies below."""
    path: tuple[str, ...] = (str(key),)
    while isinstance(value, Mapping) and value:
        inner, value = next(iter(value.items()))
        path = (*path, str(inner))
    return rule_of(path) is not None
