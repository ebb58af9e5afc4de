"""Images: what decides their digest, and archives with and without blobs that a node has."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import CauseCode, HarnessError
from harness.image.layer import Layer, Member, write_layer
from harness.image.oci import BaseImage, Image, archive, archive_bytes, assemble, check_reference


def layer(store: Path, name: str, size_bytes: int = 10) -> Layer:
    content = name.encode() * size_bytes
    return write_layer([Member(name, len(content), chunks=lambda: [content])], store=store)


def image(store: Path, **changed: Any) -> Image:
    base = BaseImage(
        layers=(layer(store, "base"),),
        digest="sha256:" + "b" * 64,
        site_directory="usr/lib/python3.11/site-packages",
        env={"PATH": "/usr/bin", "LANG": "C.UTF-8"},
        entrypoint=("tini", "--"),
    )
    settings = {
        "name": "harness.local/project",
        "tag": "a1b2c3d4e5f6",
        "platform": "linux/amd64",
        "env": {"AIRFLOW_HOME": "/opt/airflow", "LANG": "en"},
        "user": "50000:0",
        "workdir": "/opt/airflow",
        "labels": {"b": "2", "a": "1"},
        **changed,
    }
    layers = settings.pop("layers", None) or [layer(store, "code"), layer(store, "dependencies", 700_000)]
    return assemble(settings.pop("base", base), layers, **settings)


def unpack(stream: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(stream)) as read:
        return {info.name: (read.extractfile(info) or io.BytesIO()).read() for info in read.getmembers()}


class TestAssembling:
    def test_the_documents(self, tmp_path: Path) -> None:
        made = image(tmp_path)
        config, manifest = json.loads(made.config), json.loads(made.manifest)
        assert config == {
            "os": "linux",
            "architecture": "amd64",
            "created": "1980-01-01T00:00:00Z",
            "config": {
                "Env": ["AIRFLOW_HOME=/opt/airflow", "LANG=en", "PATH=/usr/bin"],
                "Entrypoint": ["tini", "--"],
                "User": "50000:0",
                "WorkingDir": "/opt/airflow",
                "Labels": {"a": "1", "b": "2"},
            },
            "rootfs": {"type": "layers", "diff_ids": [part.digest for part in made.layers]},
            "history": [{"created": "1980-01-01T00:00:00Z"}] * 3,
        }
        assert manifest["config"] == {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": made.config_digest,
            "size": len(made.config),
        }
        assert [(part["digest"], part["size"]) for part in manifest["layers"]] == [
            (part.digest, part.size_bytes) for part in made.layers
        ]
        assert {part["mediaType"] for part in manifest["layers"]} == {
            "application/vnd.oci.image.layer.v1.tar"
        }
        assert made.config_digest == f"sha256:{hashlib.sha256(made.config).hexdigest()}"
        assert made.digest == f"sha256:{hashlib.sha256(made.manifest).hexdigest()}"

    def test_name_and_tag_and_order_of_settings_do_not_count(self, tmp_path: Path) -> None:
        first = image(tmp_path / "one")
        second = image(
            tmp_path / "two",
            name="localhost:5000/other",
            tag="x",
            env={"LANG": "en", "AIRFLOW_HOME": "/opt/airflow"},
            labels={"a": "1", "b": "2"},
        )
        assert (first.digest, first.config_digest) == (second.digest, second.config_digest)
        assert second.reference == "localhost:5000/other:x"

    @pytest.mark.parametrize(
        "changed",
        [
            {"env": {}},
            {"user": "0"},
            {"workdir": "/"},
            {"labels": {}},
            {"platform": "linux/arm64"},
            {"platform": "linux/arm64/v8"},
        ],
        ids=str,
    )
    def test_all_else_counts(self, changed: dict[str, Any], tmp_path: Path) -> None:
        assert image(tmp_path, **changed).digest != image(tmp_path).digest

    def test_the_order_of_layers_counts(self, tmp_path: Path) -> None:
        layers = [layer(tmp_path, "a"), layer(tmp_path, "b")]
        assert image(tmp_path, layers=layers).digest != image(tmp_path, layers=layers[::-1]).digest

    @pytest.mark.parametrize(
        ("name", "tag"),
        [
            ("project", "x"),
            ("library/project", "x"),
            ("harness.local/Project", "x"),
            ("harness.local/", "x"),
            ("harness.local/a b", "x"),
            ("harness.local/" + "a" * 250, "x"),
            ("harness.local/a", ""),
            ("harness.local/a", "-x"),
            ("harness.local/a", "x" * 129),
            ("harness.local/a", "x\n"),
            ("harness.local/a:b", "x"),
        ],
    )
    def test_names_that_no_node_can_look_up(self, name: str, tag: str) -> None:
        with pytest.raises(HarnessError) as caught:
            check_reference(name, tag)
        assert caught.value.cause is CauseCode.USAGE

    @pytest.mark.parametrize(
        "name", ["harness.local/a", "localhost/a-b/c_d", "host:5000/a", "10.0.0.1:80/a.b"]
    )
    def test_names_that_are_fine(self, name: str) -> None:
        check_reference(name, "a1b2c3d4e5f6-dirty-9f8e7d6c")

    @pytest.mark.parametrize(
        "changed", [{"platform": "amd64"}, {"env": {"A=B": "x"}}, {"env": {"A": "x\0"}}], ids=str
    )
    def test_what_can_be_no_setting(self, changed: dict[str, Any], tmp_path: Path) -> None:
        with pytest.raises(HarnessError):
            image(tmp_path, **changed)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """One image for all examples of a test, which only read it."""
    return image(tmp_path_factory.mktemp("shared"))


class TestArchives:
    def test_a_whole_one(self, tmp_path: Path) -> None:
        made = image(tmp_path)
        chunks = list(archive(made))
        assert max(map(len, chunks)) <= 1 << 20
        found = unpack(b"".join(chunks))
        assert json.loads(found.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        index = json.loads(found.pop("index.json"))
        assert index["manifests"] == [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": made.digest,
                "size": len(made.manifest),
                "platform": {"os": "linux", "architecture": "amd64"},
                "annotations": {
                    "io.containerd.image.name": "harness.local/project:a1b2c3d4e5f6",
                    "org.opencontainers.image.ref.name": "a1b2c3d4e5f6",
                },
            }
        ]
        assert {f"sha256:{name.removeprefix('blobs/sha256/')}" for name in found} == made.blobs
        for name, content in found.items():
            assert hashlib.sha256(content).hexdigest() == name.removeprefix("blobs/sha256/")

    @given(st.data())
    def test_what_is_left_out_and_how_long_it_is(self, shared: Image, data: st.DataObject) -> None:
        made = shared
        omit = data.draw(st.frozensets(st.sampled_from([*sorted(made.blobs), "sha256:unknown"])))
        stream = b"".join(archive(made, omit=omit))
        found = {f"sha256:{Path(name).name}" for name in unpack(stream) if name.startswith("blobs/")}
        assert found == made.blobs - omit
        assert archive_bytes(made, omit=omit) == len(stream)

    def test_a_layer_that_is_there_twice_is_sent_once(self, tmp_path: Path) -> None:
        twice = layer(tmp_path, "same")
        made = image(tmp_path, layers=[twice, twice])
        stream = b"".join(archive(made))
        assert len(unpack(stream)) == 2 + len(made.blobs) == 6
        assert archive_bytes(made) == len(stream)

    @pytest.mark.parametrize("damage", ["gone", "short", "long"])
    def test_a_damaged_layer(self, damage: str, tmp_path: Path) -> None:
        made = image(tmp_path)
        path = made.layers[-1].path
        content = path.read_bytes()
        path.unlink()
        if damage != "gone":
            path.write_bytes(content[:-1] if damage == "short" else content + b"\0")
        with pytest.raises(HarnessError) as caught:
            list(archive(made))
        assert caught.value.cause is CauseCode.IMAGE_LOAD_FAILED
        list(archive(made, omit=frozenset({made.layers[-1].digest})))
