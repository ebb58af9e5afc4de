"""The code layers of a real repository, and what a container would see of them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.image.code import code_layers
from harness.image.layer import Layer
from harness.project.commit import Repository
from harness.project.image_settings import ImageSettings

SETTINGS = ImageSettings(code=("dags",))


def layers_of(
    root: Path, store: Path, ref: str | None = "HEAD", settings: ImageSettings = SETTINGS
) -> tuple[Layer, ...]:
    with Repository.find(root).commit(ref, paths=settings.code) as commit:
        return code_layers(commit, settings, store=store)


def contents(layers: tuple[Layer, ...]) -> dict[str, bytes | str]:
    """What a container would see: files as bytes, links as their target."""
    found: dict[str, bytes | str] = {}
    for layer in layers:
        with tarfile.open(layer.path) as read:
            for info in read.getmembers():
                if info.isdir():
                    continue
                assert info.name not in found
                found[info.name] = (
                    info.linkname if info.issym() else (read.extractfile(info) or io.BytesIO()).read()
                )
    return found


def refused(root: Path, store: Path, ref: str | None = "HEAD", **changed: object) -> HarnessError:
    settings = SETTINGS.model_copy(update=changed)
    with pytest.raises(HarnessError) as caught:
        layers_of(root, store, ref, settings)
    assert not list(store.glob("made-from/*"))
    return caught.value
