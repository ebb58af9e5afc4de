"""What an image of the team's own holds: Python, Airflow and packages, as its own Python says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.host import cache
from harness.host.docker.client import server_architecture
from harness.image.own.docker_image import Known, run

FORMAT = 1  # raise when what is asked changes
AIRFLOW = "apache-airflow-core"
# Every Python since 3.8 runs this. It imports nothing of Airflow, and prints one line.
_WHAT_IT_HOLDS = r"""
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import site
import sys
import sysconfig


def main() -> None:
    packages, folders = {}, {}
    for distribution in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
        if name and name not in packages:  # what comes first on the import path is what counts
            packages[name] = distribution.version
            folders[name] = str(distribution.locate_file(""))
    paths = sysconfig.get_paths()
    found = folders.get("apache-airflow-core") or folders.get("apache-airflow") or paths["purelib"]
    found = os.path.abspath(found)
    home = os.environ.get("AIRFLOW_HOME", "")
    told = {
        "python": ".".join(map(str, sys.version_info[:2])),
        "executable": sys.executable,
        "packages": packages,
        "site_directory": found,
        "user_base": site.getuserbase() if found.startswith(site.getuserbase() + "/") else "",
        "migrations": migrations(pathlib.Path(found)),
        "user_id": os.getuid(),
        "libc": platform.libc_ver()[0],
        "home": home,
        "at_home": at_home(home),
    }
    print(json.dumps(told))


def migrations(folder: pathlib.Path) -> str:
    digest = hashlib.sha256()
    paths = sorted(folder.glob("airflow/**/migrations/versions/*.py"))
    for path in paths:
        digest.update(path.relative_to(folder).as_posix().encode() + b"\\0" + path.read_bytes())
    return digest.hexdigest()[:16] if paths else ""


def at_home(home: str) -> list:
    if not home or not pathlib.Path(home).is_dir():
        return []
    return sorted(
        each.name
        for each in pathlib.Path(home).iterdir()
        if not each.is_dir() or any(names for _, _, names in os.walk(each))
    )


main()
"""


_FILES_OF = r"""
import importlib.metadata, importlib.util, os, re, sys
found = set()
for distribution in importlib.metadata.distributions():
    name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
    for file in (distribution.files or ()) if name in sys.argv[1:] else ():
        path = os.path.abspath(distribution.locate_file(file))
        about = re.match(r"(.*\.(?:dist|egg)-info)/", path)
        if about:
            found.add(about[1])  # whole: an empty one would still be taken for a package, without a name
        else:
            found |= {path, importlib.util.cache_from_source(path) if path.endswith(".py") else path}
print("\n".join(sorted(path for path in found if os.path.lexists(path))))
"""


@dataclass(frozen=True)
class Contents:
    """`packages`: name -> version. `user_base`: where they lie below a user's own folder. `at_home` has files.

    `site_directory`: where its Python finds packages. `home`: AIRFLOW_HOME. `libc`: empty for other than GNU's.
    """

    python: str
    executable: str
    site_directory: str
    user_base: str
    migrations: str
    user_id: int
    libc: str
    home: str
    packages: Mapping[str, str] = field(default_factory=dict)
    at_home: tuple[str, ...] = ()

    @property
    def airflow(self) -> str | None:
        """The version of Airflow; None without any."""
        return self.packages.get(AIRFLOW) or self.packages.get("apache-airflow")


def contents_of(image: Known, *, origin: str, on_line: Callable[[str], None]) -> Contents:
    """What an image holds; asked once. Raises HarnessError(IMAGE_UNFIT) where it has no Python that can tell."""

    def ask(folder: Path) -> None:
        _check_architecture(image, origin)
        on_line("asking the image what it holds")
        asked = run(image, _WHAT_IT_HOLDS, ())
        lines = [line for line in asked.stdout.splitlines() if line.startswith("{")]
        if asked.returncode != 0 or not lines:
            raise _silent(origin, (asked.stderr or asked.stdout).strip().splitlines())
        (folder / "contents.json").write_text(lines[-1], encoding="utf-8")

    key = f"{image.content_digest.removeprefix('sha256:')[:32]}-{FORMAT}"
    folder = cache.obtain("image-contents", key, ask, on_wait=on_line)
    told = json.loads((folder / "contents.json").read_text(encoding="utf-8"))
    return Contents(**{**told, "at_home": tuple(told["at_home"])})


def _check_architecture(image: Known, told: str) -> None:
    where = server_architecture()
    if image.architecture != where:
        raise HarnessError(
            CauseCode.IMAGE_UNFIT,
            f"{told} is an image for {image.architecture}, and Docker here runs {where}",
            hint=f"docker pull --platform linux/{where} {told}",
        )


def files_of(image: Known, packages: Sequence[str]) -> tuple[str, ...]:
    """The absolute paths of all that these installed packages consist of, by their own records."""
    asked = run(image, _FILES_OF, packages)
    if asked.returncode != 0:
        raise _silent("the image", asked.stderr.strip().splitlines())
    return tuple(line for line in asked.stdout.splitlines() if line.startswith("/"))


def _silent(origin: str, lines: Sequence[str]) -> HarnessError:
    reason = lines[-1] if lines else "it said nothing"
    none = re.search(r"\"?python\"?: executable file not found", " ".join(lines))
    return HarnessError(
        CauseCode.IMAGE_UNFIT,
        f"{origin} has no program `python` on its PATH, which runs Airflow and its tasks"
        if none
        else f"{origin} can't be asked what it holds: {reason}",
        evidence=lines[-5:],
        hint="put Python with Airflow on the image's PATH, or leave [image] base and dockerfile out; "
        "an image is then made of your requirements",
    )
