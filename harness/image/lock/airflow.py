"""What Airflow itself was released with: its own constraints, else the packages of that day."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from packaging.requirements import Requirement

from harness.errors import HarnessError
from harness.host.sources import download, mirrors
from harness.image.lock.requirements_text import lines, name_of, requirement
from harness.image.lock.resolve import Question, resolve
from harness.image.lock.target import Target

# Where Airflow publishes, for each release and Python, what its own tests and images ran with.
CONSTRAINTS = (
    "https://raw.githubusercontent.com/apache/airflow/constraints-{airflow}/constraints-{python}.txt"
)
CONNECT_S = 5.0
MARGIN = timedelta(days=2)  # a release's packages are uploaded one after the other
_CORE = "apache-airflow-core"


def released(
    version: str, target: Target, question: Question, *, on_line: Callable[[str], None], log: Path | None
) -> datetime | None:
    """When that version of Airflow was uploaded; None where the index does not say.

    Raises what `resolve` raises, such as for a version that there is not.
    """
    alone = replace(
        question, files=(), lines=(f"{_CORE}=={version}",), constraints=(), as_of=None, alone=True
    )
    on_line(f"asking when Airflow {version} was released")
    found = resolve(alone, target, on_line=lambda _: None, log=log).get(_CORE)
    return found.uploaded if found else None


def as_of_release(uploaded: datetime) -> datetime:
    """The midnight after which a release's packages were all there."""
    return (uploaded.astimezone(UTC) + MARGIN).replace(hour=0, minute=0, second=0, microsecond=0)


def constraints(version: str, python: str) -> tuple[str, ...] | None:
    """Airflow's own constraints; None where they can't be had: no network, no such release or Python."""
    import httpx2

    url = mirrors.load().url(CONSTRAINTS.format(airflow=version, python=python))
    try:
        with download.client() as http:
            answer = http.get(url, timeout=httpx2.Timeout(20.0, connect=CONNECT_S))
    except (httpx2.HTTPError, HarnessError):
        return None
    if not answer.is_success or not re.search(r"^apache-airflow(-core)?==", answer.text, re.MULTILINE):
        return None
    return tuple(line.value for line in lines(answer.text) if line.kind == "requirement")


def without(found: tuple[str, ...], names: frozenset[str]) -> tuple[str, ...]:
    """Constraints but for packages whose version is fixed otherwise."""
    parsed: list[Requirement | None] = [requirement(each) for each in found]
    return tuple(
        text for text, each in zip(found, parsed, strict=True) if each and name_of(each) not in names
    )
