"""What a team's own image and compose file say: versions, packages, variables, and where folders are put."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from harness.init.reading.repository_files import Place
from harness.project.places import airflow_root

ROOT = "/opt/airflow"
ASTRO_ROOT = "/usr/local/airflow"
_AIRFLOW_IMAGE = re.compile(
    r"(?:^|/)airflow:(?:slim-)?(?P<airflow>(?:1\.10|[23]\.\d+)(?:\.\w+)*)\.?(?:-python(?P<python>3\.\d+))?"
)
_ASTRO_IMAGE = re.compile(
    r"astro[^\s:]*/(?:astro-)?(?:runtime|ap-airflow)[\w-]*:|(?:^|/)astro-runtime[\w-]*:"
)
_ASTRO_RUNTIME = re.compile(r"runtime[\w-]*:(?P<airflow>3\.\d+)-\d+(?:.*python-(?P<python>3\.\d+))?")
_VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^{}]*))?\}|\$(\w+)")


@dataclass(frozen=True, order=True)
class Said:
    """Something that a file says, and where."""

    value: str
    place: Place


@dataclass
class TeamImage:
    """What the files tell. `mounts` are folders of the repository by their absolute paths in the image.

    `services` are those that compose files start beside Airflow, such as a database, and `environments` folders of
    virtual environments besides Airflow's own: no version has them. `indexes` are those that packages come from besides
    the usual one, `projects` folders of the repository that pip
    installs. `shared_memory` is how large /dev/shm of Airflow's own container is.
    """

    airflow: list[Said] = field(default_factory=list)
    python: list[Said] = field(default_factory=list)
    packages: list[Said] = field(default_factory=list)
    indexes: list[Said] = field(default_factory=list)
    system_packages: list[Said] = field(default_factory=list)
    requirements: list[Said] = field(default_factory=list)
    environment: dict[str, Said] = field(default_factory=dict)
    mounts: dict[str, str] = field(default_factory=dict)
    services: dict[str, Place] = field(default_factory=dict)
    environments: list[Said] = field(default_factory=list)
    projects: list[str] = field(default_factory=list)
    shared_memory: Said | None = None
    astro: Place | None = None

    @property
    def root(self) -> str:
        """Airflow's home in the image."""
        said = self.environment.get("AIRFLOW_HOME")
        if said is not None and not self.astro:
            with suppress(ValueError):
                return airflow_root(said.value.rstrip("/"))
        return ASTRO_ROOT if self.astro else ROOT


def is_airflow(image: str) -> bool:
    """Whether an image's name is that of Airflow, or of Astro's runtime."""
    return "airflow" in image or bool(_ASTRO_IMAGE.search(image))


def based_on(value: str, place: Place, image: TeamImage) -> None:
    """Tell `image` what the name of its base says."""
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


def substituted(text: str, variables: Mapping[str, str]) -> str:
    """A text with its `${NAME:-default}`s in place; those of unknown names become empty."""
    return _VARIABLE.sub(lambda found: variables.get(found[1] or found[3], found[2] or ""), text)
