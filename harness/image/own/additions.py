"""What a lock adds to an image that has packages already: those that it lacks, or has in another version."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.errors import CauseCode, HarnessError
from harness.host import cache, process, scratch
from harness.image import tar
from harness.image.base.debian import REPOSITORY
from harness.image.dependencies.installed import Dependencies, dependencies
from harness.image.dependencies.lock_file import requirements
from harness.image.dependencies.source import MACHINES
from harness.image.layer import WHITEOUT, Layer, recall, remember
from harness.image.lock.target import Target
from harness.image.oci import BaseImage
from harness.image.own.contents import files_of
from harness.image.own.docker_image import ASKING_S
from harness.image.own.own import OwnImage

FORMAT = 3  # raise when what takes packages away changes
_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*(?:==\s*(?P<version>[^\s;]+)|@\s*\S+)\s*"
    r"(?:;(?P<marker>.*?))?(?:\s--hash=.*)?"
)


@dataclass(frozen=True)
class Additions:
    """`lock` holds what is to be installed, `replaced` the packages of the image that it takes the place of."""

    lock: bytes
    replaced: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not self.lock.strip()


def additions_of(lock: bytes, own: OwnImage) -> Additions:
    """What of a lock the image does not have as the lock says."""
    there = own.contents.packages
    target = Target(own.contents.python, MACHINES[own.base.architecture])
    lines: list[str] = []
    replaced: set[str] = set()
    for line in requirements(lock.decode("utf-8-sig")):
        found = _PINNED.fullmatch(line)
        if found is None:
            lines.append(line)
            continue
        if not target.takes((found["marker"] or "").strip()):
            continue
        name = re.sub(r"[-_.]+", "-", found["name"]).lower()
        if found["version"] is not None and there.get(name) == found["version"]:
            continue
        lines.append(line)
        if name in there:
            replaced.add(name)
    return Additions("".join(f"{line}\n" for line in lines).encode(), tuple(sorted(replaced)))


def added(
    lock: bytes, own: OwnImage, *, origin: str, on_line: Callable[[str], None], log: Path
) -> Dependencies:
    """The layers that make the image have the lock's packages. Raises what `dependencies` raises."""
    wanted = additions_of(lock, own)
    if wanted.is_empty:
        return Dependencies((), own.contents.migrations)
    python, architecture = own.contents.python, own.base.architecture
    # What compiles the packages to bytecode looks for a base by this name.
    name = f"{REPOSITORY}:{own.base.digest.removeprefix('sha256:')[:12]}"
    process.run(["docker", "tag", own.known.identity, name], check=False, timeout_s=ASKING_S)
    installed = dependencies(
        wanted.lock,
        origin=origin,
        base=own.base,
        python=python,
        architecture=architecture,
        on_line=on_line,
        log=log,
        tools=lambda: _no_compiler(own, origin),
    )
    return _together(wanted, own, installed, on_line)


def _no_compiler(own: OwnImage, origin: str) -> BaseImage:
    raise HarnessError(
        CauseCode.DEPENDENCIES_UNRESOLVED,
        f"{origin} has packages without a wheel, and {own.origin} is no image that harness has a compiler for",
        hint="build them in a Dockerfile: RUN pip install …; [image] as_is = true then takes it as it is",
    )


def _together(
    wanted: Additions, own: OwnImage, installed: Dependencies, on_line: Callable[[str], None]
) -> Dependencies:
    taken = _without(wanted, own, on_line) if wanted.replaced else ()
    # Either may bring migrations; a database must have seen both.
    both = [each for each in (own.contents.migrations, installed.migrations) if each]
    has_core = any(line.startswith(b"apache-airflow-core==") for line in wanted.lock.splitlines())
    migrations = installed.migrations if has_core else hashlib.sha256("".join(both).encode()).hexdigest()[:16]
    if len(both) == 1:
        migrations = both[0]
    return Dependencies((*taken, *installed.layers), migrations)


def _without(wanted: Additions, own: OwnImage, on_line: Callable[[str], None]) -> tuple[Layer, ...]:
    """A layer that takes the replaced packages away: two versions of one, laid over each other, are neither."""
    known = _recalled(wanted, own)
    if known is not None:
        return known
    on_line(f"{len(wanted.replaced)} packages of the image give way to the lock's")
    names = [path.lstrip("/") for path in files_of(own.known, wanted.replaced)]
    layer = whiteout_layer(sorted(set(names)), own.base.layers, cache.root() / "layers")
    remember(cache.root() / "layers", _key(wanted, own), [layer])
    return (layer,)


def _recalled(wanted: Additions, own: OwnImage) -> tuple[Layer, ...] | None:
    return recall(cache.root() / "layers", _key(wanted, own))


def _key(wanted: Additions, own: OwnImage) -> str:
    return hashlib.sha256(json.dumps([FORMAT, own.base.digest, wanted.replaced]).encode()).hexdigest()


def whiteout_layer(names: Sequence[str], layers: Iterable[Layer], store: Path) -> Layer:
    """A layer that takes these files, named from the root, out of the layers below."""
    content = b"".join(_whiteouts(names, _folders(layers))) + tar.END
    digest = hashlib.sha256(content).hexdigest()
    path = store / f"{digest}.tar"
    with scratch.folder(store) as folder:  # several versions may make it at once
        partial = folder / path.name
        partial.write_bytes(content)
        partial.replace(path)
    return Layer(path, f"sha256:{digest}", len(content))


def _folders(layers: Iterable[Layer]) -> dict[str, tuple[int, int]]:
    """Mode and owner of every folder of the image: a layer that leads through one states both anew."""
    found: dict[str, tuple[int, int]] = {}
    for layer in layers:
        with tarfile.open(layer.path) as archive:
            found |= {
                posixpath.normpath(member.name).lstrip("/"): (member.mode, member.uid)
                for member in archive
                if member.isdir()
            }
    return found


def _whiteouts(names: Sequence[str], folders: dict[str, tuple[int, int]]) -> Iterator[bytes]:
    told: set[str] = set()
    for name in names:
        folder, _, base = name.rpartition("/")
        for parent in [*reversed(PurePosixPath(name).parents)][1:]:
            if str(parent) not in told:
                told.add(str(parent))
                mode, user_id = folders.get(str(parent), (0o755, 0))
                yield tar.header(f"{parent}/", tar.DIRECTORY, mode=mode, user_id=user_id)
        yield tar.header(f"{folder}/{WHITEOUT}{base}", tar.FILE, mode=0o644)
