"""The base's tar as a layer, measured once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from harness.image.base.debian import measured_layer


def test_two_versions_may_measure_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tar = tmp_path / "rootfs.tar"
    tar.write_bytes(b"content")
    replace, others = Path.replace, []

    def after_another(self: Path, target: Path) -> Path:
        if not others:
            others.append(self)
            measured_layer(tar)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", after_another)
    layer = measured_layer(tar)
    assert layer.digest == f"sha256:{hashlib.sha256(b'content').hexdigest()}"
    assert {path.name for path in tmp_path.iterdir()} == {"rootfs.tar", "rootfs.digest.json"}
    assert measured_layer(tar) == layer
