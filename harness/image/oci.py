"""OCI images put together from layers, and the archives that bring them into a node."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

from harness.errors import CauseCode, HarnessError
from harness.host import machine
from harness.image import tar
from harness.image.layer import Layer

CHUNK_BYTES = 1 << 20
CREATED = "1980-01-01T00:00:00Z"

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"

# containerd names an imported image by the first annotation, other tools by the second
NAME_ANNOTATION = "io.containerd.image.name"
TAG_ANNOTATION = "org.opencontainers.image.ref.name"

_DOMAIN = r"(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+|[a-z0-9-]+(?=:))(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_DOMAIN}(?:/{_PART})+")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_PLATFORM = re.compile(r"(?P<os>[a-z0-9]+)/(?P<architecture>[a-z0-9]+)(?:/(?P<variant>[a-z0-9.]+))?")
NAME_LIMIT = 255


@dataclass(frozen=True)
class BaseImage:
    """What the other layers stand on. `site_directory` is where its Python finds packages, relative to /.

    `architecture` is that of its programs, by OCI's name: images on it are for nodes of that kind. `user_id` is whom
    versions run as.
    """

    layers: tuple[Layer, ...]
    digest: str
    site_directory: str
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    architecture: str = field(default_factory=machine.architecture)
    user_id: int = 50000  # as in Airflow's own images; its group is root's

    @property
    def path(self) -> str:
        """The image's PATH."""
        return self.env.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


@dataclass(frozen=True)
class Image:
    """An image ready to be sent. `digest` is its manifest's; name and tag are no part of it.

    `base_layers`: how many of the layers, the first ones, are the base's.
    """

    name: str
    tag: str
    platform: str
    layers: tuple[Layer, ...]
    base_digest: str
    digest: str
    config_digest: str
    manifest: bytes = field(repr=False)
    config: bytes = field(repr=False)
    base_layers: int = 0

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.tag}"

    @property
    def blobs(self) -> frozenset[str]:
        """The digests of all that the image is made of."""
        return frozenset({self.digest, self.config_digest, *(layer.digest for layer in self.layers)})


def assemble(
    base: BaseImage,
    layers: Sequence[Layer],
    *,
    name: str,
    tag: str,
    platform: str,
    env: Mapping[str, str],
    user: str,
    workdir: str,
    labels: Mapping[str, str],
) -> Image:
    """The image of `layers` on `base`, with `env` over the base's; equal input gives equal digests anywhere.

    `name` begins with a domain (`harness.local/project`), as nodes look images up that way; `platform` is
    such as `linux/amd64`. Raises HarnessError(USAGE) for a name, tag, platform or variable that can't be one.
    """
    check_reference(name, tag)
    parts = _PLATFORM.fullmatch(platform)
    if parts is None:
        raise HarnessError(CauseCode.USAGE, f"{platform!r} is no platform", hint="such as linux/amd64")
    every = (*base.layers, *layers)
    settings = {
        "Env": _variables({**base.env, **env}),
        "Entrypoint": list(base.entrypoint),
        "Cmd": list(base.command),
        "User": user,
        "WorkingDir": workdir,
        "Labels": dict(labels),
    }
    config = _canonical(
        {
            **{key: value for key, value in parts.groupdict().items() if value},
            "created": CREATED,
            "config": {key: value for key, value in settings.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in every]},
            "history": [{"created": CREATED} for _ in every],
        }
    )
    manifest = _canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, _digest(config), len(config)),
            "layers": [_descriptor(LAYER_TYPE, layer.digest, layer.size_bytes) for layer in every],
        }
    )
    return Image(
        name=name,
        tag=tag,
        platform=platform,
        layers=every,
        base_digest=base.digest,
        digest=_digest(manifest),
        config_digest=_digest(config),
        manifest=manifest,
        config=config,
        base_layers=len(base.layers),
    )


def check_reference(name: str, tag: str) -> None:
    """Raises HarnessError(USAGE) for a name without a domain, or a name or tag that no registry takes."""
    if not _NAME.fullmatch(name) or len(name) > NAME_LIMIT:
        raise HarnessError(
            CauseCode.USAGE, f"{name!r} is no full image name", hint="such as harness.local/project"
        )
    if not _TAG.fullmatch(tag):
        raise HarnessError(CauseCode.USAGE, f"{tag!r} is no image tag", hint="letters, digits, '_', '.', '-'")


def archive(*images: Image, omit: frozenset[str] = frozenset()) -> Iterator[bytes]:
    """Images as one OCI layout in a tar stream, in pieces of at most 1 MiB.

    Blobs whose digest is in `omit` are left out: containerd's importer takes what its content store has.
    Raises HarnessError(IMAGE_LOAD_FAILED) when a layer's file is gone or incomplete.
    """
    yield from streamed(archive_parts(*images, omit=omit))


def archive_parts(*images: Image, omit: frozenset[str] = frozenset()) -> Iterator[bytes | Layer]:
    """What `archive` gives, each layer standing for its content."""
    for name, size_bytes, part in _members(images, omit):
        yield tar.header(name, tar.FILE, mode=0o644, size_bytes=size_bytes)
        yield part
        if padding := tar.padding(size_bytes):
            yield padding
    yield tar.END


def archive_bytes(image: Image, *, omit: frozenset[str] = frozenset()) -> int:
    """How many bytes `archive` gives, without reading a layer."""
    members = (
        tar.BLOCK_BYTES + tar.content_bytes(size_bytes) for _, size_bytes, _ in _members((image,), omit)
    )
    return sum(members) + len(tar.END)


def docker_archive(image: Image) -> Iterator[bytes]:
    """The image in the form that `docker load` takes in all its versions, in pieces of at most 1 MiB."""
    names = [f"{layer.digest.removeprefix('sha256:')}.tar" for layer in image.layers]
    config = f"{image.config_digest.removeprefix('sha256:')}.json"
    manifest = json.dumps([{"Config": config, "RepoTags": [image.reference], "Layers": names}]).encode()
    parts: dict[str, bytes | Layer] = {config: image.config}
    parts |= dict(zip(names, image.layers, strict=True))
    parts["manifest.json"] = manifest
    for name, part in parts.items():
        size_bytes = part.size_bytes if isinstance(part, Layer) else len(part)
        yield tar.header(name, tar.FILE, mode=0o644, size_bytes=size_bytes)
        yield from streamed([part])
        yield tar.padding(size_bytes)
    yield tar.END


def _members(images: Sequence[Image], omit: frozenset[str]) -> Iterator[tuple[str, int, bytes | Layer]]:
    for name, text in (
        ("oci-layout", _canonical({"imageLayoutVersion": "1.0.0"})),
        ("index.json", _index(images)),
    ):
        yield name, len(text), text
    blobs: dict[str, bytes | Layer] = {}
    for image in images:
        blobs |= {image.digest: image.manifest, image.config_digest: image.config}
        blobs |= {layer.digest: layer for layer in image.layers}
    for digest, blob in blobs.items():
        if digest not in omit:
            size_bytes = blob.size_bytes if isinstance(blob, Layer) else len(blob)
            yield f"blobs/{digest.replace(':', '/')}", size_bytes, blob


def streamed(parts: Iterable[bytes | Layer]) -> Iterator[bytes]:
    """The bytes of all parts, those of layers read now. Raises HarnessError(IMAGE_LOAD_FAILED)."""
    for part in parts:
        if isinstance(part, Layer):
            yield from content(part)
        else:
            yield part


def content(layer: Layer) -> Iterator[bytes]:
    """A layer's bytes, in pieces of at most 1 MiB. Raises HarnessError(IMAGE_LOAD_FAILED)."""
    left = layer.size_bytes
    try:
        with layer.path.open("rb", buffering=0) as file:
            for chunk in iter(partial(file.read, CHUNK_BYTES), b""):
                left -= len(chunk)
                if left < 0:
                    break
                yield chunk
    except OSError as error:
        raise _broken(layer.path, error.strerror or "it cannot be read") from error
    if left != 0:
        raise _broken(layer.path, "it is not as long as it was")


def _broken(path: Path, why: str) -> HarnessError:
    return HarnessError(
        CauseCode.IMAGE_LOAD_FAILED,
        f"the image layer {path} is of no use: {why}",
        hint=f"rm -f {shlex.quote(str(path))}, and run the command again",
    )


def _index(images: Sequence[Image]) -> bytes:
    manifests = []
    for image in images:
        parts = _PLATFORM.fullmatch(image.platform)
        manifests.append(
            {
                **_descriptor(MANIFEST_TYPE, image.digest, len(image.manifest)),
                "platform": {
                    key: value for key, value in (parts.groupdict() if parts else {}).items() if value
                },
                "annotations": {NAME_ANNOTATION: image.reference, TAG_ANNOTATION: image.tag},
            }
        )
    return _canonical({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests})


def _variables(env: Mapping[str, str]) -> list[str]:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name + value:
            raise HarnessError(
                CauseCode.USAGE, f"{name!r} is no name of an environment variable", hint="rename it"
            )
    return [f"{name}={env[name]}" for name in sorted(env)]


def _descriptor(media_type: str, digest: str, size_bytes: int) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": size_bytes}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _canonical(document: Mapping[str, object]) -> bytes:
    """JSON with sorted keys and nothing between them, the same bytes everywhere."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
