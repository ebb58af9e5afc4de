"""What a node keeps of a project's images, and what is sent to it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from doubles import Programs

from harness.errors import CauseCode, HarnessError
from harness.host.process import CompletedBytes
from harness.image import node
from harness.image.layer import Layer
from harness.image.oci import BaseImage, Image, archive, assemble

HEAD = "REF TYPE DIGEST SIZE PLATFORMS LABELS"


def listed(*ages: int | None) -> str:
    lines = [HEAD]
    for index, age in enumerate(ages):
        mark = "-" if age is None else f"{node._LOADED_AT}={age}"
        lines.append(f"harness.local/churn:{index} type sha256:{index} 1.0 MiB linux/amd64 {mark}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    double = Programs()
    monkeypatch.setattr(node.process, "run", double.run)
    return double


def test_the_newest_and_those_in_use_stay(programs: Programs) -> None:
    programs.answer = lambda words: listed(5, 1, None, 9, 3) if "ls" in words else ""
    gone = node.prune("n", "harness.local/churn", frozenset({"harness.local/churn:1"}), kept=2)
    assert set(gone) == {"harness.local/churn:4", "harness.local/churn:2"}
    assert programs.commands[-1][:6] == ("docker", "exec", "n", "ctr", "--namespace", "k8s.io")
    assert set(programs.commands[-1][9:]) == set(gone)


def test_nothing_is_removed_while_there_are_few(programs: Programs) -> None:
    programs.answer = lambda _: listed(1, 2)
    assert node.prune("n", "harness.local/churn", frozenset()) == ()
    assert len(programs.commands) == 1


def test_an_image_goes_by_its_id_too_unless_another_name_has_it(programs: Programs) -> None:
    others = "\n".join(
        [
            "sha256:c0 type sha256:0 1.0 MiB linux/amd64 io.cri-containerd.image=managed",
            "sha256:c1 type sha256:1 1.0 MiB linux/amd64 io.cri-containerd.image=managed",
            "sha256:c2 type sha256:2 1.0 MiB linux/amd64 io.cri-containerd.image=managed",
            "harness.local/other:x type sha256:1 1.0 MiB linux/amd64 -",
        ]
    )
    programs.answer = lambda words: listed(1, 2, 3) + others + "\n" if "ls" in words else ""
    gone = node.prune("n", "harness.local/churn", frozenset(), kept=1)
    assert set(gone) == {"harness.local/churn:0", "harness.local/churn:1"}
    assert set(programs.commands[-1][9:]) == {*gone, "sha256:c0"}


def test_what_was_asked_for_a_moment_ago_is_spared(programs: Programs) -> None:
    now = time.time_ns()
    programs.answer = lambda words: listed(now, now - 10**9, now - 700 * 10**9) if "ls" in words else ""
    assert node.prune("n", "harness.local/churn", frozenset(), kept=0, spared_s=600.0) == (
        "harness.local/churn:2",
    )


def image(folder: Path) -> Image:
    content = folder / "layer.tar"
    content.write_bytes(b"x" * 4096)
    layer = Layer(content, "sha256:" + "a" * 64, 4096)
    base = BaseImage(layers=(layer,), digest=layer.digest, site_directory="")
    return assemble(
        base,
        [],
        name="harness.local/churn",
        tag="t",
        platform="linux/amd64",
        env={},
        user="",
        workdir="/",
        labels={},
    )


def test_what_the_node_has_is_not_sent(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = image(tmp_path)
    sent: list[int] = []

    def take(argv: list[str], *, stdin: list[bytes], **_: object) -> CompletedBytes:
        sent.append(sum(map(len, stdin)))
        return CompletedBytes(tuple(argv), 0, b"", "")

    monkeypatch.setattr(node.process, "run_bytes", take)
    programs.answer = lambda _: ""
    whole = node.load(made, "n").load_bytes
    programs.answer = lambda _: made.layers[0].digest
    rest = node.load(made, "n").load_bytes
    programs.answer = lambda _: " ".join([*made.blobs, made.reference])
    assert node.load(made, "n").load_bytes == 0
    assert sent == [whole, rest]
    assert whole - rest == 4096 + 512


def test_a_large_layer_is_read_by_the_node_and_the_stream_stays_whole(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(node, "LARGE_BYTES", 4096)
    made = image(tmp_path)
    on_node = f"{node.CACHE_ON_NODE}/layer.tar"
    taken: dict[str, Any] = {}

    def take(argv: list[str], *, stdin: Iterable[bytes], timeout_s: float) -> CompletedBytes:
        taken.update(script=argv[6], sent=b"".join(stdin))
        return CompletedBytes(tuple(argv), 0, b"", "")

    monkeypatch.setattr(node.process, "run_bytes", take)
    programs.answer = lambda words: f"{on_node} 4096\n" if "stat" in words else ""
    told = node.load(made, "n").load_bytes
    whole = b"".join(archive(made))
    before = whole.index(b"x" * 4096)
    assert f"{{ head -c {before}; cat {on_node}; cat; }} | flock" in taken["script"]
    assert taken["sent"] == whole[:before] + whole[before + 4096 :]
    assert told == len(whole), "what the node lacked, whichever way it came"


@pytest.mark.parametrize("answer", ["", f"{node.CACHE_ON_NODE}/layer.tar 4095\n"])
def test_a_layer_that_the_node_has_not_or_not_whole_is_sent(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(node, "LARGE_BYTES", 4096)
    made = image(tmp_path)
    sent: list[bytes] = []

    def take(argv: list[str], *, stdin: Iterable[bytes], timeout_s: float) -> CompletedBytes:
        sent.append(b"".join(stdin))
        assert " cat" not in argv[6]
        return CompletedBytes(tuple(argv), 0, b"", "")

    monkeypatch.setattr(node.process, "run_bytes", take)
    programs.answer = lambda words: answer if "stat" in words else ""
    node.load(made, "n")
    assert sent == [b"".join(archive(made))]


def test_what_is_sent_is_told_and_has_a_deadline(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[str] = []

    def take(argv: list[str], *, stdin: list[bytes], timeout_s: float) -> CompletedBytes:
        assert sum(map(len, stdin)) > 4096
        return CompletedBytes(tuple(argv), -15, b"", f"stopped after {timeout_s:.0f} s", timed_out=True)

    monkeypatch.setattr(node.process, "run_bytes", take)
    with pytest.raises(HarnessError, match=r"did not take the image .*: stopped after 1800 s") as caught:
        node.load(image(tmp_path), "n", on_change=told.append)
    assert caught.value.cause is CauseCode.IMAGE_LOAD_FAILED
    assert told[0].startswith("0 of 0 MB sent")
    assert told[-1] == "sent; the node takes it in, one image at a time"
