"""Layers: round trips, hostile names, and the same digest whatever the machine."""

from __future__ import annotations

import errno
import io
import os
import tarfile
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import CauseCode, HarnessError
from harness.image import tar
from harness.image.layer import (
    Member,
    check_link,
    check_name,
    layer_from_directory,
    recall,
    remember,
    write_layer,
)

PART = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=80
).filter(lambda part: part not in (".", "..") and not part.startswith(".wh.") and len(part.encode()) <= 255)
NAME = st.lists(PART, min_size=1, max_size=6).map("/".join)
FILES = st.dictionaries(NAME, st.tuples(st.binary(max_size=1500), st.booleans()), max_size=8).filter(
    lambda files: not any(other.startswith(f"{name}/") for name in files for other in files)
)


def file(name: str, content: bytes = b"", *, executable: bool = False) -> Member:
    return Member(name, len(content), executable=executable, chunks=lambda: [content])


def refused(code: CauseCode, members: list[Member], store: Path) -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        write_layer(members, store=store)
    assert caught.value.cause is code
    assert list(store.glob("*")) == []
    assert list(store.glob(".*")) == []
    return caught.value


class TestWriting:
    @settings(deadline=None, max_examples=150)
    @given(FILES)
    def test_tarfile_reads_back_what_was_written(self, files: dict[str, tuple[bytes, bool]]) -> None:
        with tempfile.TemporaryDirectory() as store:
            members = [file(name, content, executable=run) for name, (content, run) in files.items()]
            layer = write_layer(members, store=Path(store))
            assert layer == write_layer(reversed(members), store=Path(store))
            assert layer.path.stat().st_size == layer.size_bytes
            with tarfile.open(layer.path, encoding="utf-8") as read:
                infos = read.getmembers()
                found = {
                    info.name: ((read.extractfile(info) or io.BytesIO()).read(), bool(info.mode & 0o100))
                    for info in infos
                    if info.isfile()
                }
            assert found == files
            folders = {info.name for info in infos if info.isdir()}
            assert folders == {str(up) for name in files for up in _parents(name)}
            for info in infos:
                assert (info.uid, info.gid, info.uname, info.gname, info.mtime) == (0, 0, "", "", tar.MTIME_S)
                assert info.mode == (0o755 if info.isdir() or info.mode & 0o100 else 0o644)
            seen: set[str] = set()
            for info in infos:  # a directory stands before what is in it
                assert "/" not in info.name or info.name.rpartition("/")[0] in seen
                seen.add(info.name)

    def test_the_bytes_never_change(self, tmp_path: Path) -> None:
        """The digest is a promise between machines: a change here needs a new format in code.FORMAT."""
        members = [
            file("opt/airflow/dags/a.py", b"print(1)\n"),
            file("opt/airflow/dags/run.sh", b"#!/bin/sh\n", executable=True),
            file("opt/airflow/dags/é.txt", b"x" * 512),
            file(f"opt/{'long/' * 40}{'n' * 120}.txt"),
            Member("opt/airflow/dags/link", target="a.py"),
            Member("opt/airflow/empty", is_directory=True),
        ]
        layer = write_layer(members, store=tmp_path)
        assert layer.digest == "sha256:f912e5e90f7ebfeb7ea87dfaf50362b67f110f40feab14d57efac2875e4a9745"

    def test_empty_is_an_empty_archive(self, tmp_path: Path) -> None:
        layer = write_layer([], store=tmp_path)
        assert layer.size_bytes == 1024
        with tarfile.open(layer.path) as read:
            assert read.getnames() == []

    def test_large_sizes_have_an_extended_header(self) -> None:
        size = 9 << 30
        info = tarfile.TarFile.open(
            fileobj=io.BytesIO(tar.header("big", tar.FILE, mode=0o644, size_bytes=size))
        )
        assert next(iter(info)).size == size

    @pytest.mark.parametrize(
        "name",
        [
            *("", "/etc/passwd", "a/../b", "..", ".", "a//b", "a/", "a\0b", "a/./b", "\udcff.py"),
            *("dags/.wh.x", ".wh..wh..opq", "n" * 256, "é" * 128),
        ],
    )
    def test_hostile_names_are_refused(self, name: str, tmp_path: Path) -> None:
        refused(CauseCode.CODE_INCOMPLETE, [file(name)], tmp_path)

    @given(st.text(max_size=40))
    def test_a_name_that_passes_stays_inside(self, name: str) -> None:
        try:
            check_name(name)
        except HarnessError:
            return
        assert Path("/root", name).resolve().is_relative_to("/root")
        assert str(Path("/root", name)) == f"/root/{name}"

    @pytest.mark.parametrize(
        "target", ["/etc/passwd", "../../../x", "../../other/x", "", "a\0", "../..", "\udcff"]
    )
    def test_links_that_lead_out_are_refused(self, target: str) -> None:
        with pytest.raises(HarnessError) as caught:
            check_link("opt/dags/link", target, ["opt/dags", "opt/plugins"])
        assert caught.value.cause is CauseCode.CODE_INCOMPLETE

    @pytest.mark.parametrize("target", ["a.py", "./deep/../a.py", "../plugins/p.py", "../dags", "."])
    def test_links_inside_are_kept(self, target: str, tmp_path: Path) -> None:
        link = Member("opt/dags/link", target=target)
        layer = write_layer([link], store=tmp_path, roots=["opt/dags", "opt/plugins"])
        with tarfile.open(layer.path) as read:
            assert read.getmember("opt/dags/link").linkname == target

    def test_long_link_targets(self, tmp_path: Path) -> None:
        targets = [f"{'d' * 120}/a", "é/b"]
        links = [Member(f"l{index}", target=target) for index, target in enumerate(targets)]
        with tarfile.open(write_layer(links, store=tmp_path).path) as read:
            assert [info.linkname for info in read.getmembers()] == targets

    def test_a_name_can_be_one_thing_only(self, tmp_path: Path) -> None:
        refused(CauseCode.INTERNAL, [file("a"), file("a")], tmp_path)
        refused(CauseCode.INTERNAL, [file("a"), file("a/b")], tmp_path)
        refused(CauseCode.INTERNAL, [Member("a", target="x"), file("a/b/c")], tmp_path)

    @pytest.mark.parametrize("content", [b"", b"abc", b"abcde"])
    def test_a_file_that_changes_while_it_is_read(self, content: bytes, tmp_path: Path) -> None:
        refused(CauseCode.BUILD_FAILED, [Member("a", 4, chunks=lambda: [content])], tmp_path)

    def test_a_full_disk(self, tmp_path: Path) -> None:
        def full() -> list[bytes]:
            raise OSError(errno.ENOSPC, "No space left on device")

        refused(CauseCode.DISK_FULL, [Member("a", 4, chunks=full)], tmp_path)


class TestDirectories:
    def test_what_is_of_the_machine_does_not_count(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        layers = []
        old_mask = os.umask(0)
        try:
            for number, (mask, zone, names) in enumerate(
                [(0o022, "UTC", "abc"), (0o077, "Pacific/Kiritimati", "cba"), (0o002, "America/Lima", "bca")]
            ):
                os.umask(mask)
                monkeypatch.setenv("TZ", zone)
                time.tzset()
                source = tmp_path / str(number)
                for name in names:
                    (source / name / "deep").mkdir(parents=True)
                    (source / name / "deep" / "file.py").write_text(name)
                    os.utime(source / name / "deep" / "file.py", (number * 1000, number * 1000))
                (source / "tool").write_text("x")
                (source / "tool").chmod(0o700 if number else 0o755)
                if number == 1:
                    os.link(source / "tool", source / "same")
                else:
                    (source / "same").write_text("x")
                    (source / "same").chmod(0o4711)
                (source / "link").symlink_to("tool")
                (source / "empty").mkdir()
                layers.append(
                    layer_from_directory(source, "/usr/lib/site", store=tmp_path / f"store{number}")
                )
        finally:
            os.umask(old_mask)
            monkeypatch.undo()
            time.tzset()
        assert len({layer.digest for layer in layers}) == 1
        with tarfile.open(layers[0].path) as read:
            names = read.getnames()
            assert names[:3] == ["usr", "usr/lib", "usr/lib/site"]
            assert "usr/lib/site/empty" in names
            assert read.getmember("usr/lib/site/same").isreg()

    def test_excluding(self, tmp_path: Path) -> None:
        source = tmp_path / "source"
        for name in ("a/__pycache__/a.pyc", "a/a.py", "b.txt"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(name)
        asked: list[str] = []

        def exclude(path: str) -> bool:
            asked.append(path)
            return path.endswith("__pycache__") or path == "b.txt"

        layer = layer_from_directory(source, "", store=tmp_path / "store", exclude=exclude)
        with tarfile.open(layer.path) as read:
            assert read.getnames() == ["a", "a/a.py"]
        assert "a/__pycache__/a.pyc" not in asked

    def test_what_is_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "source").mkdir()
        os.mkfifo(tmp_path / "source" / "pipe")
        with pytest.raises(HarnessError, match="no file, link or directory"):
            layer_from_directory(tmp_path / "source", "x", store=tmp_path / "store")

    def test_no_such_directory(self, tmp_path: Path) -> None:
        with pytest.raises(HarnessError, match="No such file") as caught:
            layer_from_directory(tmp_path / "none", "x", store=tmp_path / "store")
        assert caught.value.cause is CauseCode.BUILD_FAILED

    def test_a_link_out_of_the_prefix(self, tmp_path: Path) -> None:
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "link").symlink_to("../bin/python")
        with pytest.raises(HarnessError, match="leads out"):
            layer_from_directory(tmp_path / "source", "usr/lib", store=tmp_path / "store")


class TestRemembering:
    KEY = "ab" * 32

    def test_what_was_made_is_found(self, tmp_path: Path) -> None:
        layers = (write_layer([file("a")], store=tmp_path), write_layer([file("b")], store=tmp_path))
        assert recall(tmp_path, self.KEY) is None
        remember(tmp_path, self.KEY, layers)
        assert recall(tmp_path, self.KEY) == layers

    @pytest.mark.parametrize("damage", ["gone", "short", "record", "shape"])
    def test_what_is_damaged_is_not(self, damage: str, tmp_path: Path) -> None:
        layer = write_layer([file("a")], store=tmp_path)
        remember(tmp_path, self.KEY, [layer])
        record = next(tmp_path.glob("made-from/*.json"))
        if damage == "gone":
            layer.path.unlink()
        elif damage == "short":
            layer.path.write_bytes(layer.path.read_bytes()[:-512])
        else:
            record.write_text("[" if damage == "record" else '{"digest": 1}')
        assert recall(tmp_path, self.KEY) is None


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: index + 1]) for index in range(len(parts))]
