"""A lock file, looked at before uv is asked: whether it can be installed at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.errors import CauseCode, HarnessError

HINT = "harness lock"
NEEDED = ("apache-airflow-core", "apache-airflow-providers-cncf-kubernetes")
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[^\]]*\])?\s*(?P<rest>.*)")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FILE = re.compile(r"@\s*https?://")
_COMMIT = re.compile(r"@\s*git\+[^\s;]+@[0-9a-f]{40}(#[^\s;]*)?")
_VERSION = re.compile(  # https://packaging.python.org/en/latest/specifications/version-specifiers/
    r"v?([0-9]+!)?[0-9]+(\.[0-9]+)*([-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?[0-9]*)?"
    r"(-[0-9]+|[-_.]?(post|rev|r)[-_.]?[0-9]*)?([-_.]?dev[-_.]?[0-9]*)?(\+[a-z0-9]+([-_.][a-z0-9]+)*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Pin:
    """A requirement that stays the same: `version` is empty for a URL."""

    name: str
    version: str
    everywhere: bool

    @property
    def release(self) -> str:
        """The version, alike for `1`, `v1` and `1.0`."""
        return re.sub(r"(\.0+)+$", "", self.version.lower().removeprefix("v"))


def check_lock(lock: bytes, origin: str) -> None:
    """Raises HarnessError(DEPENDENCIES_UNRESOLVED) unless each requirement has one exact version and hashes."""
    hint = HINT
    try:
        text = lock.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise HarnessError(
            CauseCode.DEPENDENCIES_UNRESOLVED, f"{origin} is no UTF-8 text", hint=hint
        ) from error
    problems = []
    names = set()
    pinned: dict[str, _Pin] = {}
    for requirement in requirements(text):
        pin = _pin(requirement)
        if isinstance(pin, str):
            problems.append(pin)
            continue
        names.add(pin.name)
        other = pinned.setdefault(pin.name, pin) if pin.everywhere and pin.version else pin
        if other.release != pin.release:
            problems.append(
                f"{_shown(requirement)}: {pin.name}=={other.version} is there too, and neither has a marker"
            )
    if problems:
        count = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise HarnessError(
            CauseCode.DEPENDENCIES_UNRESOLVED,
            f"{origin} is no hashed lock file: {problems[0]}{count}",
            evidence=problems[:10] if len(problems) > 1 else (),
            hint=hint,
        )
    if missing := [name for name in NEEDED if name not in names]:
        raise HarnessError(
            CauseCode.DEPENDENCIES_UNRESOLVED,
            f"{origin} does not lock {' and '.join(missing)}, without which no task runs on Kubernetes",
            hint=hint,
        )


def requirements(text: str) -> Iterator[str]:
    """A lock's requirements, each on one line with its hashes."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        requirement = line.split(" #")[0].strip()
        if requirement and not requirement.startswith("#"):
            yield requirement


def _pin(requirement: str) -> _Pin | str:
    """What a requirement pins, or what is wrong with it."""
    match = _REQUIREMENT.fullmatch(requirement)
    if requirement.startswith("-") or match is None or _ADDRESS.match(requirement):
        return f"{_shown(requirement)}: options, paths and URLs can't be locked"
    name = match["name"].lower().replace("_", "-").replace(".", "-")
    wanted, *hashes = re.split(r"\s--hash=", match["rest"])
    specifier, _, marker = wanted.partition(";")
    specifier = specifier.strip().removeprefix("(").removesuffix(")").strip()
    version = ""
    problem = ""
    if specifier.startswith("@"):
        if not _FILE.match(specifier) and not _COMMIT.fullmatch(specifier):
            problem = f"{_shown(requirement)}: only a file's URL (https://…) and a Git commit stay the same"
    elif not specifier.startswith("=="):
        problem = f"{match['name']}: no exact version (==)"
    else:
        version = specifier.removeprefix("==").removeprefix("=").strip()
        if not _VERSION.fullmatch(version):
            problem = f"{_shown(requirement)}: {version!r} is no exact version"
    if not problem and not hashes and not _COMMIT.fullmatch(specifier):  # a commit's id is Git's own hash
        problem = f"{match['name']}: no --hash"
    return problem or _Pin(name, version, everywhere=not marker)


def _shown(requirement: str) -> str:
    return requirement.partition(" --hash=")[0].strip()[:60]
