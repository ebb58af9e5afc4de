"""What uv resolved, read from the pylock.toml that it prints, for one kind of machine or both."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from harness.errors import CauseCode, HarnessError
from harness.image.lock.target import Target

WITHOUT_GPUS = {  # how a package that brings what only GPUs use is taken without it
    "torch": "a line `--extra-index-url https://download.pytorch.org/whl/cpu` takes torch without them",
    "xgboost": "`xgboost-cpu` in the place of xgboost is without them",
}
PKG_RESOURCES = "setuptools<81"  # the last that has the module pkg_resources
# Packages that import it and don't ask for it, and the first release that does without. Airflow's own image has it.
_TAKE_IT_FOR_GRANTED = {
    "great-expectations": "1",
    "mlflow": "2.22",
    "mlflow-skinny": "2.22",
    "pytorch-lightning": "2",
    "tensorflow-hub": "",
}


@dataclass(frozen=True)
class Resolved:
    """One package. `hashes` are those of its wheels; `url` is where its source lies when it has none.

    `uploaded` is when the newest of its files was published, where the index says so.
    """

    name: str
    version: str
    hashes: tuple[str, ...] = ()
    url: str = ""
    uploaded: datetime | None = None

    @property
    def is_built(self) -> bool:
        """Whether it has to be built from source."""
        return bool(self.url) and not self.url.partition("#")[0].endswith(".whl")

    def lines(self, marker: str = "") -> list[str]:
        """Its requirement with all hashes, as pip and uv take it."""
        what = f"{self.name} @ {self.url}" if self.url else f"{self.name}=={self.version}"
        first = f"{what} ; {marker}" if marker else what
        return [
            line + " \\" * (index < len(self.hashes))
            for index, line in enumerate([first, *(f"    --hash=sha256:{each}" for each in self.hashes)])
        ]


def read(
    text: str, target: Target, *, by_address: Iterable[str] = (), bound: Container[str] = ()
) -> dict[str, Resolved]:
    """The packages of a pylock.toml by name.

    `by_address` are indexes that only the inputs name: what comes from those is locked by its address, since whoever
    installs it later knows nothing of them; and so are the packages that are `bound` to an index by name.
    Raises HarnessError(DEPENDENCIES_UNRESOLVED) for a path.
    """
    indexes = {each.rstrip("/") for each in by_address}
    found: dict[str, Resolved] = {}
    for entry in tomllib.loads(text).get("packages", ()):
        name, version = canonicalize_name(entry["name"]), entry.get("version", "")
        index = str(entry.get("index", "")).rstrip("/")
        found[name] = _resolved(name, version, entry, target, by_address=name in bound or index in indexes)
    return found


def _resolved(
    name: str, version: str, entry: Mapping[str, Any], target: Target, *, by_address: bool
) -> Resolved:
    wheels, sdist = entry.get("wheels") or (), entry.get("sdist")
    times = [each["upload-time"] for each in (*wheels, *([sdist] if sdist else [])) if "upload-time" in each]
    uploaded = max(times, default=None)
    if vcs := entry.get("vcs"):
        folder = f"#subdirectory={vcs['subdirectory']}" if vcs.get("subdirectory") else ""
        url = f"{vcs['type']}+{_public(vcs.get('url', ''))}@{vcs['commit-id']}{folder}"
        return Resolved(name, version, (), url)
    if (archive := entry.get("archive")) and "url" in archive:
        return Resolved(name, version, _hashes([archive]), _public(archive["url"]))
    if wheels and not by_address:
        return Resolved(name, version, _hashes(wheels), "", uploaded)
    fitting = [each for each in wheels if target.takes_wheel(str(each.get("url", "")).rpartition("/")[2])]
    files = [each for each in (*fitting, *([sdist] if sdist else []), *wheels) if "url" in each]
    if not files:
        raise HarnessError(
            CauseCode.DEPENDENCIES_UNRESOLVED,
            f"{name} {version} is a file or folder of this machine, which no lock can hold",
            hint="name an index or a Git URL for it, or put its code into `code` under [image]",
        )
    return Resolved(name, version, _hashes(files[:1]), _public(files[0]["url"]), uploaded)


def both(first: Mapping[str, Resolved], second: Mapping[str, Resolved], markers: Sequence[str]) -> list[str]:
    """The lines of a lock for two kinds of machine, each of which `markers` names."""
    lines = []
    for name in sorted({*first, *second}):
        one, other = first.get(name), second.get(name)
        if one and other and (one.version, one.url) == (other.version, other.url):
            hashes = tuple(sorted({*one.hashes, *other.hashes}))
            lines += Resolved(name, one.version, hashes, one.url).lines()
            continue
        for each, marker in ((one, markers[0]), (other, markers[1])):
            lines += each.lines(marker) if each else []
    return lines


def without_pkg_resources(resolved: Mapping[str, Resolved]) -> list[str]:
    """The packages that import pkg_resources, where nothing brings it."""
    setuptools = resolved.get("setuptools")
    if setuptools is not None and not _is_at_least(setuptools.version, "81"):
        return []
    return [
        name
        for name, enough in _TAKE_IT_FOR_GRANTED.items()
        if name in resolved and not (enough and _is_at_least(resolved[name].version, enough))
    ]


def _is_at_least(version: str, other: str) -> bool:
    try:
        return Version(version) >= Version(other)
    except InvalidVersion:
        return True


def _hashes(files: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(sorted({str(each["hashes"]["sha256"]) for each in files}))


def _public(url: str) -> str:
    """A URL without whoever's name and password stand in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def for_gpus(names: Collection[str]) -> str:
    """What to know of a lock with packages that only a GPU of NVIDIA uses; empty where it has none."""
    found = sorted(name for name in names if name.startswith(("nvidia-", "cuda-")))
    if not found:
        return ""
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    ways = (way for name, way in WITHOUT_GPUS.items() if name in names)
    return "; ".join([f"of use on a GPU of NVIDIA only: {found[0]}{others}", *ways])
