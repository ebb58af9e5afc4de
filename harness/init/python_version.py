"""The Python of a version's image, from what the repository asks for."""

from __future__ import annotations

import re

from harness.errors import HarnessError
from harness.image.base.debian import check_python
from harness.init.findings import Finding
from harness.init.reading.given import python_asked, python_bounds
from harness.init.reading.image.team_image import TeamImage
from harness.init.reading.repository_files import RepositoryFiles
from harness.project.configuration import ImageSettings


def python_version(
    files: RepositoryFiles, home: str, image: TeamImage
) -> tuple[str, list[str], list[Finding]]:
    """The Python of the image, why none fits, and what is said of it."""
    default = str(ImageSettings.model_fields["python"].default)
    asked = [*python_asked(files, home), *image.python]
    bounds = python_bounds(files, home)
    wanted = asked[0].value if asked else default
    findings = []
    try:
        check_python(wanted)
    except HarnessError:
        place = str(asked[0].place)
        text = f"{default}, in place of {wanted}: the nearest that is built"
        findings.append(Finding("decided", "Python", text, place))
        wanted = default
    if bounds is not None and not _allowed(wanted, bounds.value):
        return "", [f"{bounds.place} asks for Python {bounds.value}, and versions have {wanted}"], findings
    if wanted != default:
        findings.append(Finding("found", "Python", wanted, str(asked[0].place)))
    return ("" if wanted == default else wanted), [], findings


def _allowed(python: str, bounds: str) -> bool:
    """Whether `requires-python` lets a minor version be; what can't be read lets all."""
    minor = int(python.split(".")[1])
    for how, number in re.findall(r"(>=|>|<=|<|==|~=)\s*3\.(\d+)", bounds):
        asked = int(number)
        wrong = {
            ">=": minor < asked, "~=": minor < asked, ">": minor < asked,
            "<": minor >= asked, "<=": minor > asked, "==": minor != asked,
        }  # fmt: skip
        if wrong[how]:
            return False
    return True
