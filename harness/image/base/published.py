"""Published images, fixed by their digests: the base of versions, and what the shared services run in."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from harness.errors import CauseCode, HarnessError
from harness.host import cache, process
from harness.host.sources.pins import Reference
from harness.image import tar
from harness.image.base import debian as base_image
from harness.image.base.registry import pull
from harness.image.layer import WHITEOUT, Layer
from harness.image.oci import BaseImage, Image, assemble

FORMAT = 3  # raise when what is recorded of an image changes
DOMAIN = "harness.local"
# What a published Python brings for installing packages: code that a lock does not name must not be found by tasks, nor
# lie below what a lock does name.
_INSTALLERS = re.compile(
    r"usr/local/(lib/python3\.\d+/(site|dist)-packages/[^/]+|bin/(pip|wheel|easy_install)[^/]*)"
)
_ASK_PYTHON = "import site, sys; print('%d.%d' % sys.version_info[:2], site.getsitepackages()[0])"


def published_base(
    reference: Reference, python: str, architecture: str, *, on_line: Callable[[str], None]
) -> BaseImage:
    """A published image with Python as a base, with the user that versions run as put on top.

    Raises what `pull` raises, and HarnessError(CONFIG_INVALID) when its Python is another than `python`.
    """
    with_user = _pulled(reference, architecture, on_line, user=True)
    there, site_directory = _python_of(with_user, on_line)
    if there != python:
        raise HarnessError(
            CauseCode.CONFIG_INVALID,
            f"[image] python = {python!r}: the base image {reference.repository} has Python {there}",
            hint=f'set python = "{there}" in harness.toml',
        )
    return BaseImage(
        layers=with_user.layers,
        digest=with_user.digest,
        site_directory=site_directory,
        env=with_user.env,
        architecture=architecture,
    )


def built_base(reference: Reference, python: str, architecture: str) -> BaseImage | None:
    """The base that `published_base` gives if it was fetched before, else None; nobody is asked."""
    recorded = cache.entry("published", _key(reference, architecture, user=True))
    if not cache.used(recorded):
        return None
    base = _read(recorded, architecture)
    is_whole = all(layer.path.is_file() for layer in base.layers)
    if not is_whole or not cache.used(cache.entry("python-of", _python_key(base))):
        return None
    return published_base(reference, python, architecture, on_line=lambda _: None)


def service_image(reference: Reference, architecture: str, *, on_line: Callable[[str], None]) -> Image:
    """A published image under a name of ours, ready to be sent to a node. Raises what `pull` raises."""
    pulled = _pulled(reference, architecture, on_line, user=False)
    return assemble(
        pulled,
        [],
        name=f"{DOMAIN}/{posixpath.basename(reference.repository)}",
        tag=pulled.digest.removeprefix("sha256:")[:12],
        platform=f"linux/{architecture}",
        env={},
        user="",
        workdir="/",
        labels={},
    )


def _pulled(
    reference: Reference, architecture: str, on_line: Callable[[str], None], *, user: bool
) -> BaseImage:
    """The image from the cache's record of it, else from its registry."""
    key = _key(reference, architecture, user=user)
    store = _store()

    def make(folder: Path) -> None:
        pulled = pull(reference, architecture, store, on_line=on_line)
        layers = [*pulled.layers, _user_layer(pulled.layers, store)] if user else pulled.layers
        settings = pulled.config.get("config") or {}
        record = {
            "digest": pulled.digest,
            "layers": [[layer.digest, layer.size_bytes] for layer in layers],
            "env": dict(each.split("=", 1) for each in settings.get("Env") or []),
            "entrypoint": settings.get("Entrypoint") or [],
            "command": settings.get("Cmd") or [],
        }
        (folder / "image.json").write_text(json.dumps(record), encoding="utf-8")

    base = _read(cache.obtain("published", key, make, on_wait=on_line), architecture)
    if not all(cache.used(layer.path) for layer in base.layers):  # the store was emptied since
        cache.discard("published", key)
        return _pulled(reference, architecture, on_line, user=user)
    return base


def _key(reference: Reference, architecture: str, *, user: bool) -> str:
    inputs = [FORMAT, reference.digest, architecture, user]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:32]


def _store() -> Path:
    return cache.root() / "layers"


def _read(folder: Path, architecture: str) -> BaseImage:
    record = json.loads((folder / "image.json").read_text(encoding="utf-8"))
    return BaseImage(
        layers=tuple(
            Layer(_store() / f"{digest.removeprefix('sha256:')}.tar", digest, size_bytes)
            for digest, size_bytes in record["layers"]
        ),
        digest=record["digest"],
        site_directory="",
        env=record["env"],
        entrypoint=tuple(record["entrypoint"]),
        command=tuple(record["command"]),
        architecture=architecture,
    )


def _python_of(base: BaseImage, on_line: Callable[[str], None]) -> tuple[str, str]:
    """The version of the base's own Python and where it finds packages, as it says itself; asked once."""

    def make(folder: Path) -> None:
        on_line("giving the base image to Docker, and asking it for its Python")
        argv = ["docker", "run", "--rm", "--network", "none", base_image.in_docker(base)]
        said = process.run([*argv, "python3", "-c", _ASK_PYTHON], cause=CauseCode.IMAGE_NOT_STARTABLE)
        (folder / "python").write_text(said.stdout.strip(), encoding="utf-8")

    folder = cache.obtain("python-of", _python_key(base), make, on_wait=on_line)
    said = (folder / "python").read_text(encoding="utf-8")
    version, _, directory = said.partition(" ")
    return version, directory.strip("/")


def _python_key(base: BaseImage) -> str:
    return base.digest.removeprefix("sha256:")[:32]


def _user_layer(layers: Sequence[Layer], store: Path) -> Layer:
    """The user `airflow` with a home that its group, root's, may write to; and no package that no lock names."""
    passwd = _file("etc/passwd", layers)
    line = f"airflow:x:{base_image.USER_ID}:0:airflow:/home/airflow:/bin/sh\n".encode()
    content = b"".join(
        (
            tar.header("etc/", tar.DIRECTORY, mode=0o755),
            tar.header("etc/passwd", tar.FILE, mode=0o644, size_bytes=len(passwd + line)),
            passwd + line,
            tar.padding(len(passwd + line)),
            tar.header("home/", tar.DIRECTORY, mode=0o755),
            tar.header("home/airflow/", tar.DIRECTORY, mode=0o2775),
            *_whiteouts(layers),
            tar.END,
        )
    )
    digest = hashlib.sha256(content).hexdigest()
    path = store / f"{digest}.tar"
    partial = store / f".{digest}.partial"
    partial.write_bytes(content)
    partial.replace(path)
    return Layer(path, f"sha256:{digest}", len(content))


def _whiteouts(layers: Sequence[Layer]) -> Iterator[bytes]:
    """What takes the installers of packages out of the layers below, each after the folders that it lies in."""
    modes: dict[str, int] = {}
    found: set[str] = set()
    for layer in layers:
        with tarfile.open(layer.path) as archive:
            for member in archive:
                name = posixpath.normpath(member.name).lstrip("/")
                if member.isdir():
                    modes[name] = member.mode
                installer = _INSTALLERS.match(name)
                if installer and not posixpath.basename(installer[0]).startswith(WHITEOUT):
                    found.add(installer[0])
    told: set[str] = set()
    for name in sorted(found):
        folder, _, base = name.rpartition("/")
        for parent in [*reversed(PurePosixPath(name).parents)][1:]:
            if str(parent) not in told:
                told.add(str(parent))
                yield tar.header(f"{parent}/", tar.DIRECTORY, mode=modes.get(str(parent), 0o755))
        yield tar.header(f"{folder}/{WHITEOUT}{base}", tar.FILE, mode=0o644)


def _file(name: str, layers: Sequence[Layer]) -> bytes:
    """A file's content as the topmost layer that has it says; empty when none does."""
    for layer in reversed(layers):
        with tarfile.open(layer.path) as archive:
            for member in archive:
                if member.isreg() and posixpath.normpath(member.name).lstrip("/") == name:
                    content = archive.extractfile(member)
                    return content.read() if content else b""
    return b""
