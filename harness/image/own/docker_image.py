"""An image that Docker has, as layers of ours: each by the digest of its uncompressed tar, as everywhere."""

from __future__ import annotations

import hashlib
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any

from harness.errors import CauseCode, HarnessError
from harness.host import cache, disk, process, scratch
from harness.image.base import image_pull
from harness.image.layer import CHUNK_BYTES, Layer, recall, remember

ASKING_S = 60.0
_GZIP = b"\x1f\x8b"
_ZSTANDARD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Known:
    """What Docker says of an image. `identity` is its id; `digests` are those that registries have it by."""

    identity: str
    diff_ids: tuple[str, ...]
    digests: tuple[str, ...]
    env: Mapping[str, str] = field(hash=False)
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    user: str
    architecture: str
    size_bytes: int
    triggers: tuple[str, ...]

    @property
    def content_digest(self) -> str:
        """A digest of all that it brings, the same in every Docker: an id also depends on how images are stored."""
        parts = [
            self.diff_ids,
            sorted(self.env.items()),
            self.entrypoint,
            self.command,
            self.user,
            self.architecture,
        ]
        return f"sha256:{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"


def known(name: str) -> Known | None:
    """The image of that name or id; None where Docker has none."""
    asked = process.run(["docker", "image", "inspect", name], check=False, timeout_s=ASKING_S)
    if asked.returncode != 0:
        if "no such image" not in asked.stderr.lower():
            raise process.ProgramError(asked, CauseCode.DOCKER_MISSING, hint="harness doctor --fix")
        return None
    return _of(json.loads(asked.stdout)[0])


def brought(name: str, *, on_line: Callable[[str], None], log: Path) -> Known | None:
    """The same, pulled where Docker has none yet. Raises what `pull` raises."""
    if (found := known(name)) is not None:
        return found
    image_pull.pull(name, on_line=on_line, log=log)
    return known(name)


def _of(told: Mapping[str, Any]) -> Known:
    config = told.get("Config") or {}
    return Known(
        identity=str(told["Id"]),
        diff_ids=tuple((told.get("RootFS") or {}).get("Layers") or ()),
        digests=tuple(told.get("RepoDigests") or ()),
        env=dict(each.split("=", 1) for each in config.get("Env") or () if "=" in each),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        user=str(config.get("User") or ""),
        architecture=str(told.get("Architecture") or ""),
        size_bytes=int(told.get("Size") or 0),
        triggers=tuple(config.get("OnBuild") or ()),
    )


def layers(image: Known, *, on_line: Callable[[str], None]) -> tuple[Layer, ...]:
    """The image's layers, taken out of Docker unless they are here. Raises HarnessError: BUILD_FAILED, DISK_FULL."""
    store = disk.folder(cache.root() / "layers", variable=cache.ROOT_VARIABLE)
    key = hashlib.sha256(json.dumps(image.diff_ids).encode()).hexdigest()
    found = recall(store, key)
    if found is None:
        on_line(f"taking the image out of Docker, {image.size_bytes / 1e6:.0f} MB")
        with disk.explained():
            found = _saved(image, store, on_line)
        remember(store, key, found)
    return found


def _saved(image: Known, store: Path, on_line: Callable[[str], None]) -> tuple[Layer, ...]:
    """What `docker save` gives: of its files those that the image names by their content."""
    sizes: dict[str, int] = {}
    taken_bytes = 0
    argv = ("docker", "save", image.identity)
    with scratch.folder(store) as folder, process.spawn(argv, stdin=False, env=None, cwd=None) as saving:
        try:
            assert saving.stdout is not None and saving.stderr is not None  # noqa: S101  they are pipes
            with tarfile.open(fileobj=saving.stdout, mode="r|") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isreg() else None
                    if content is None:
                        continue
                    digest, size_bytes = _written(content, folder / "layer.tar")
                    if digest in image.diff_ids:
                        (folder / "layer.tar").replace(store / f"{digest.removeprefix('sha256:')}.tar")
                        sizes[digest] = size_bytes
                        taken_bytes += size_bytes
                        on_line(
                            f"{taken_bytes / 1e6:.0f} of {image.size_bytes / 1e6:.0f} MB taken out of Docker"
                        )
            said = saving.stderr.read().decode(errors="replace")
        except tarfile.TarError as error:
            process.stop(saving)
            said = str(error)
        except BaseException:
            process.stop(saving)
            raise
    if missing := [each for each in image.diff_ids if each not in sizes]:
        reason = (
            said.strip().splitlines()[-1]
            if said.strip()
            else f"the layer {missing[0]} is not among what it gave"
        )
        raise HarnessError(
            CauseCode.BUILD_FAILED,
            f"Docker did not give the image {image.identity[:19]} whole: {reason}",
            hint=f"docker save {image.identity} > /dev/null",
        )
    return tuple(
        Layer(store / f"{each.removeprefix('sha256:')}.tar", each, sizes[each]) for each in image.diff_ids
    )


def _written(content: IO[bytes], path: Path) -> tuple[str, int]:
    """Write the content, uncompressed; its digest and size."""
    digest = hashlib.sha256()
    size_bytes = 0
    with path.open("wb") as file:
        for chunk in _uncompressed(content):
            digest.update(chunk)
            size_bytes += file.write(chunk)
    return f"sha256:{digest.hexdigest()}", size_bytes


def _uncompressed(content: IO[bytes]) -> Iterator[bytes]:
    """The chunks of a file; Docker's newer store keeps layers as they were pulled, compressed."""
    first = content.read(CHUNK_BYTES)
    if first.startswith(_ZSTANDARD):
        raise HarnessError(
            CauseCode.BUILD_FAILED,
            "the image has layers that are compressed with Zstandard, which can't be read here",
            hint="docker buildx build --output type=image,compression=gzip,force-compression=true",
        )
    chunks = iter(partial(content.read, CHUNK_BYTES), b"")
    if not first.startswith(_GZIP):
        yield from chain([first], chunks)
        return
    unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16)
    for chunk in chain([first], chunks):
        yield unpacked.decompress(chunk)
        # There may be several members, as eStargz writes them.
        while unpacked.eof and (rest := unpacked.unused_data).startswith(_GZIP):
            unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16)
            yield unpacked.decompress(rest)


def run(image: Known, program: str, arguments: Sequence[str], *, user: str = "") -> process.Completed:
    """What a Python program says in a container of the image: without a network, and with nothing mounted."""
    argv = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "python"]
    argv += ["--user", user] if user else []
    argv += ["--env", "PYTHONDONTWRITEBYTECODE=1", image.identity, "-c", program, *arguments]
    return process.run(argv, check=False, timeout_s=300)
