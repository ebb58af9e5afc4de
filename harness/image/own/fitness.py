"""What a version's Airflow needs that an image of the team's own lacks: said before anything is deployed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from harness.errors import CauseCode, HarnessError
from harness.image.own.contents import Contents
from harness.project.image_settings import ImageSettings

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
OLDEST_AIRFLOW = (3, 0)
# What runs tasks, and what speaks to the database; any of each row does.
NEEDED = (
    ("apache-airflow-providers-cncf-kubernetes", "the KubernetesExecutor, which starts the tasks"),
    ("psycopg2-binary|psycopg2", "PostgreSQL's driver for Airflow's scheduler"),
    ("asyncpg", "PostgreSQL's driver for Airflow's API server"),
)
PROVIDES = {
    "apache-airflow-providers-cncf-kubernetes": "apache-airflow-providers-cncf-kubernetes",
    "psycopg2-binary|psycopg2": "apache-airflow-providers-postgres",
    "asyncpg": "apache-airflow-providers-postgres",
}


def check_fit(settings: ImageSettings, contents: Contents, *, origin: str) -> None:
    """Raises HarnessError(IMAGE_UNFIT) with all that the image lacks, and where to add it."""
    problems = list(_problems(settings, contents))
    if not problems:
        return
    missing = list(dict.fromkeys(_missing(contents.packages))) if settings.as_is else []
    where = settings.dockerfile or "a Dockerfile that begins FROM it"
    hint = f"edit {where}, or [image] in harness.toml"
    if missing:
        airflow = f" 'apache-airflow=={contents.airflow}'" if contents.airflow else ""
        hint = (
            f"add to {where}: RUN pip install {' '.join(missing)}{airflow}; or name your requirements in place of "
            "as_is = true, and harness adds them"
        )
    one = len(problems) == 1
    raise HarnessError(
        CauseCode.IMAGE_UNFIT,
        f"{origin} can't run a version: {problems[0]}"
        if one
        else f"{origin} can't run a version, for {len(problems)} reasons: {problems[0]}",
        evidence=() if one else problems,
        hint=hint,
    )


def _problems(settings: ImageSettings, contents: Contents) -> Iterator[str]:
    if contents.python not in PYTHONS:
        yield f"its Python is {contents.python}, and Airflow 3 runs on {PYTHONS[0]} to {PYTHONS[-1]}"
    if "python" in settings.model_fields_set and settings.python != contents.python:
        yield f"its Python is {contents.python}, and [image] python says {settings.python}"
    if contents.libc != "glibc":
        yield "it stands on another C library than glibc (Alpine's, for instance), for which locks have no packages"
    if not settings.as_is:
        return
    airflow = contents.airflow
    if airflow is None:
        yield "it has no Airflow"
    elif _minor(airflow) < OLDEST_AIRFLOW:
        yield f"its Airflow is {airflow}, and 3.0 is the oldest that harness runs"
    elif settings.airflow is not None and _minor(settings.airflow) != _minor(airflow):
        yield f"its Airflow is {airflow}, and [image] airflow says {settings.airflow}"
    for names, purpose in NEEDED:
        if not any(name in contents.packages for name in names.split("|")):
            yield f"it lacks {names.split('|')[0]}: {purpose}"


def _missing(packages: Mapping[str, str]) -> Iterator[str]:
    for names, _ in NEEDED:
        if not any(name in packages for name in names.split("|")):
            yield PROVIDES[names]


def _minor(version: str) -> tuple[int, int]:
    numbers = [int(each) for each in re.findall(r"\d+", version)[:2]]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (0, 0)
