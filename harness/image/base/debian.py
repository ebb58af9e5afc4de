"""The base of every version's image: Debian with Python, from packages alone; and any base given to Docker."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness import versions
from harness.errors import CauseCode, HarnessError, refusal
from harness.host import process, scratch
from harness.host.docker.client import ASKING_S
from harness.host.process import ProgramError
from harness.host.sources.debian import RootfsRecipe, built, rootfs
from harness.host.sources.packages import packages
from harness.image.layer import CHUNK_BYTES, Layer
from harness.image.oci import BaseImage, assemble, docker_archive

USER_ID = 50000  # as in Airflow's own images; its group is root's
REPOSITORY = "harness.local/base"
IMPORTING_S = 600.0
_NO_PACKAGE = re.compile(
    r"(?:Unable to locate package|Package|no installation candidate:?) '?(?P<name>[a-z0-9][a-z0-9+.-]+)"
)

PACKAGES = ("ca-certificates", "libgomp1", "netbase", "python3", "python3-venv", "tzdata")
# What packages are built from source with; it never gets into an image of a version.
BUILD_PACKAGES = ("build-essential", "git", "pkg-config", "python3-dev")
COMMANDS = (
    'ln -s python3 "$1"/usr/bin/python',
    f"""echo 'airflow:x:{USER_ID}:0:airflow:/home/airflow:/bin/bash' >> "$1"/etc/passwd""",
    'mkdir "$1"/home/airflow && chmod 2775 "$1"/home/airflow && chown 50000:0 "$1"/home/airflow',
)


def recipe(python: str, extra: Sequence[str] = (), *, name: str = "python") -> RootfsRecipe:
    """The base with that Python and further Debian packages."""
    packages = (*PACKAGES, *sorted(set(extra) - set(PACKAGES)))
    return RootfsRecipe(
        name=name, packages=packages, commands=COMMANDS, suite=versions.DEBIAN_OF_PYTHON[python]
    )


def package_base(
    python: str, *, extra: Sequence[str] = (), on_line: Callable[[str], None], log: Path
) -> BaseImage:
    """Debian's own Python as a base, with further Debian packages.

    Raises what `check_python` raises, HarnessError: CONFIG_INVALID for a package that Debian lacks, BUILD_FAILED.
    """
    check_python(python)
    try:
        return _of(rootfs(recipe(python, extra), on_line=on_line, log=log), python)
    except ProgramError as error:
        raise _not_made(error, python, extra) from error


def toolchain(python: str, *, extra: Sequence[str], on_line: Callable[[str], None], log: Path) -> BaseImage:
    """The same with what compiles packages that have no wheel. Raises what `package_base` raises."""
    check_python(python)
    wanted = recipe(python, (*BUILD_PACKAGES, *extra), name="python-build")
    try:
        return _of(rootfs(wanted, on_line=on_line, log=log), python)
    except ProgramError as error:
        raise _not_made(error, python, extra) from error


def built_base(python: str, *, extra: Sequence[str] = ()) -> BaseImage | None:
    """The base that `package_base` gives if it was built before, else None."""
    if python not in versions.DEBIAN_OF_PYTHON:
        return None
    tar = built(recipe(python, extra))
    return _of(tar, python) if tar is not None else None


def _not_made(error: ProgramError, python: str, extra: Sequence[str]) -> HarnessError:
    """Why a root file system could not be made: often a package that Debian does not have."""
    said = error.completed.stdout + error.completed.stderr
    suite = versions.DEBIAN_OF_PYTHON[python]
    for line in said.splitlines():
        found = _NO_PACKAGE.search(line)
        if found and found["name"] in extra:
            return HarnessError(
                CauseCode.CONFIG_INVALID,
                f"[image] system_packages: Debian ({suite}) has no package {found['name']}",
                hint=f"apt-cache search {found['name']}",
                evidence=(line,),
            )
    return error


def base_packages(base: BaseImage) -> Mapping[str, str]:
    """Name -> version of the base's Debian packages; empty where it has none."""
    return next((found for layer in reversed(base.layers) if (found := packages(layer.path))), {})


def _of(tar: Path, python: str) -> BaseImage:
    layer = measured_layer(tar)
    return BaseImage(
        layers=(layer,),
        digest=layer.digest,
        site_directory=f"usr/local/lib/python{python}/dist-packages",
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
    )


def check_python(python: str) -> None:
    """Raises HarnessError(CONFIG_INVALID) for a Python that Debian does not have."""
    if python not in versions.DEBIAN_OF_PYTHON:
        known = " and ".join(versions.DEBIAN_OF_PYTHON)
        raise HarnessError(
            CauseCode.CONFIG_INVALID,
            f"[image] python = {python!r}: there are images with Python {known} only, as Debian has them",
            hint=" or ".join(f'python = "{each}"' for each in versions.DEBIAN_OF_PYTHON) + " in harness.toml",
        )


def measured_layer(tar: Path) -> Layer:
    """An existing tar as a layer; its digest is kept beside it, since reading it takes longer than all else."""
    record = tar.with_suffix(".digest.json")
    size_bytes = tar.stat().st_size
    if record.exists():
        known = json.loads(record.read_text(encoding="utf-8"))
        if known["size_bytes"] == size_bytes:
            return Layer(tar, known["digest"], size_bytes)
    digest = hashlib.sha256()
    with tar.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    layer = Layer(tar, f"sha256:{digest.hexdigest()}", size_bytes)
    with scratch.folder(tar.parent) as folder:  # several versions may measure it at once
        partial = folder / record.name
        partial.write_text(json.dumps({"digest": layer.digest, "size_bytes": size_bytes}), encoding="utf-8")
        partial.replace(record)
    return layer


def in_docker(base: BaseImage) -> str:
    """The name under which Docker has a base, for commands that must run in it. Raises BUILD_FAILED."""
    tag = base.digest.removeprefix("sha256:")[:12]
    name = f"{REPOSITORY}:{tag}"
    asked = ["docker", "image", "inspect", "--format", "{{.Id}}", name]
    if process.run(asked, check=False, timeout_s=ASKING_S).returncode == 0:
        return name
    if len(base.layers) == 1:
        argv = ["docker", "import", str(base.layers[0].path), name]
        process.run(argv, cause=CauseCode.BUILD_FAILED, hint="docker info", timeout_s=IMPORTING_S)
        return name
    platform = f"linux/{base.architecture}"
    image = assemble(
        base, [], name=REPOSITORY, tag=tag, platform=platform, env={}, user="", workdir="/", labels={}
    )
    loaded = process.run_bytes(
        ["docker", "load", "--quiet"], stdin=docker_archive(image), timeout_s=IMPORTING_S
    )
    if loaded.returncode != 0:
        raise refusal(
            CauseCode.BUILD_FAILED,
            "Docker did not take the base image",
            loaded.stderr,
            hint="docker info",
            hint_when_full="docker system df",
        )
    return name
