"""Packages compiled by the image's own Python: sources go in and bytecode comes out through pipes.

Nothing of this machine is mounted: the daemon may be another user, in a sandbox, or in a virtual machine.
"""

from __future__ import annotations

import shlex
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from harness.errors import CauseCode, refusal
from harness.host import process
from harness.image import tar
from harness.image.base import debian as base_image
from harness.image.layer import CHUNK_BYTES
from harness.image.oci import BaseImage

UNCOMPILED = r"/tests?/"  # packages' own tests: a quarter of the bytecode, and no task imports them
# Reads a tar of modules from stdin, and writes one of their bytecode to stdout. compileall ends with 1 when any file is
# no valid Python, as templates in some packages are.
_PROGRAM = """
import os, subprocess, sys, tarfile
folder, uncompiled = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
names = []
with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as sources:
    for member in sources:
        names.append(member.name)
        sources.extract(member, folder)
argv = [sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-x", uncompiled]
subprocess.run([*argv, folder], stdout=sys.stderr, cwd="/")
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as compiled:
    for name in names:
        parent, _, module = name.rpartition("/")
        path = os.path.join(parent, "__pycache__", f"{module[:-3]}.{sys.implementation.cache_tag}.pyc")
        if os.path.exists(os.path.join(folder, path)):
            compiled.add(os.path.join(folder, path), path)
"""


def compile_packages(packages: Path, base: BaseImage, log: Path) -> None:
    """Put the bytecode of each module in `packages` beside it. Raises HarnessError(BUILD_FAILED, DISK_FULL)."""
    compiled = packages.with_name("bytecode.tar")
    argv = [
        "docker", "run", "--rm", "--interactive", "--network", "none", "--user", "0:0",
        "--env", "PYTHONHASHSEED=0", "--entrypoint", "python3", base_image.in_docker(base),
        "-c", _PROGRAM, f"/{base.site_directory}", UNCOMPILED,
    ]  # fmt: skip
    done = process.run_bytes(argv, stdin=_sources(packages), output=compiled)
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"$ docker run {argv[-5]} python3 -m compileall\n{done.stderr}")
    lines = done.stderr.splitlines()
    try:
        if done.returncode == 0:
            _take(compiled, packages)
    except tarfile.TarError as error:  # cut off
        lines.append(str(error))
    finally:
        compiled.unlink(missing_ok=True)
    if any(_modules(packages)) and not any(packages.rglob("__pycache__/*.pyc")):
        raise refusal(
            CauseCode.BUILD_FAILED,
            "the packages can't be compiled in the base image",
            lines,
            hint=f"less {shlex.quote(str(log))}",
            hint_when_full="docker system df",
        )


def _sources(packages: Path) -> Iterator[bytes]:
    """A tar of all modules."""
    for path in _modules(packages):
        size_bytes = path.stat().st_size
        name = path.relative_to(packages).as_posix()
        yield tar.header(name, tar.FILE, mode=0o644, size_bytes=size_bytes)
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
        yield tar.padding(size_bytes)
    yield tar.END


def _modules(packages: Path) -> list[Path]:
    return [path for path in sorted(packages.rglob("*.py")) if path.is_file() and not path.is_symlink()]


def _take(compiled: Path, packages: Path) -> None:
    """Unpack bytecode, and nothing else."""
    with tarfile.open(compiled) as archive:
        for member in archive:
            target = packages / member.name
            inside = target.parent.name == "__pycache__" and ".." not in target.parts
            content = archive.extractfile(member) if inside and member.isreg() else None
            if content is None or not target.parent.parent.is_dir():
                continue
            target.parent.mkdir(exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(content, file)
            target.chmod(0o644)
