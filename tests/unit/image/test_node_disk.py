"""What goes from a node so that it keeps its limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.image import node_disk
from harness.image.node_disk import NodeDisk, OnNode, chosen, freed_bytes

# What a node answered, shortened.
LISTED = """\
REF TYPE DIGEST SIZE PLATFORMS LABELS
harness.local/churn:1a manifest sha256:m1 9 B linux/amd64 harness.local/loaded-at=5000000000
registry.k8s.io/pause:3 manifest sha256:m0 9 B linux/amd64 -
"""
MEASURED = """\
1000
300
700
===
40\t/var/local-path-provisioner/pvc-5f0c1b1e-0000-4000-8000-000000000001
===
DIGEST\tSIZE\tAGE\tLABELS
sha256:a\t1.5kB\t2 minutes\t-
sha256:b\t20B\t2 minutes\t-
===
KEY SIZE INODES
sha256:a 200 3
sha256:36b2f76c5a03b5bd0e5e3a5dd4e3a1d0e4b9bbf8fd2ab7b2f5ea1bd21a6d2c5e 7 1
===
{"layers": [{"digest": "sha256:a"}, {"digest": "sha256:b"}]}
"""


def image(name: str, used_at: float, **layers: int) -> OnNode:
    return OnNode(f"harness.local/{name}", f"sha256:{name}", used_at, layers)


def holding(*images: OnNode, rest: int = 0) -> NodeDisk:
    ours = {layer: size for each in images for layer, size in each.layers.items()}
    return NodeDisk("node", rest + sum(ours.values()), 0, 0, {}, images)


class TestChosen:
    OLD = image("a:1", 1, base=10, packages=50)
    NEW = image("b:1", 2, base=10, others=60)

    def test_within_the_limit_all_stays(self) -> None:
        assert chosen(holding(self.OLD, self.NEW), 120, in_use=(), since=9) == ()

    def test_of_all_projects_what_nobody_asked_for_longest_goes_first(self) -> None:
        assert chosen(holding(self.NEW, self.OLD), 100, in_use=(), since=9) == (self.OLD,)

    def test_what_is_in_use_or_was_asked_for_just_now_stays(self) -> None:
        disk = holding(self.OLD, self.NEW)
        assert chosen(disk, 0, in_use={self.OLD.name}, since=9) == (self.NEW,)
        assert chosen(disk, 0, in_use=(), since=2) == (self.OLD,)

    def test_a_layer_that_another_image_needs_frees_nothing(self) -> None:
        code = image("a:2", 3, base=10, packages=50, code=1)
        assert chosen(holding(self.OLD, code), 30, in_use=(), since=9) == (self.OLD, code)

    def test_what_nobody_asked_for_since_goes_within_the_limit_too(self) -> None:
        assert chosen(holding(self.OLD, self.NEW), 999, in_use=(), since=9, before=2) == (self.OLD,)

    @given(
        st.lists(
            st.tuples(st.floats(0, 10), st.dictionaries(st.sampled_from("abcdef"), st.just(10), min_size=1)),
            max_size=8,
        ),
        st.integers(0, 80),
    )
    def test_the_limit_is_kept(self, made: list[tuple[float, dict[str, int]]], limit: int) -> None:
        disk = holding(*(image(f"x:{n}", at, **layers) for n, (at, layers) in enumerate(made)))
        doomed = chosen(disk, limit, in_use=(), since=99)
        assert disk.total_bytes - freed_bytes(disk, doomed) <= limit


def test_volumes_of_versions_that_are_gone() -> None:
    known = "pvc-5f0c1b1e-0000-4000-8000-000000000001"
    gone = "pvc-5f0c1b1e-0000-4000-8000-000000000002"
    disk = NodeDisk(
        "node", 0, 0, 0, {f"{known}_harness-system_data": 1, f"{gone}_churn_volume": 1, "others": 1}, ()
    )
    assert node_disk.gone_volumes(disk, {known}) == (f"{gone}_churn_volume",)


class TestMeasured:
    @pytest.fixture
    def answers(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        given = {"images": LISTED, "sh": MEASURED}

        def run(argv: list[str], **_: object) -> process.Completed:
            text = given["images"] if "images" in argv else given["sh"]
            return process.Completed(tuple(argv), 0, text, "")

        monkeypatch.setattr(process, "run", run)
        return given

    def test_what_a_node_tells(self, answers: dict[str, str]) -> None:
        disk = node_disk.measured("node")
        assert (disk.total_bytes, disk.unpacked_bytes, disk.packed_bytes) == (1300, 300, 700)
        assert (disk.volumes_bytes, disk.rest_bytes) == (40, 260)
        (ours,) = disk.images
        assert (ours.name, ours.used_at, ours.repository) == (
            "harness.local/churn:1a",
            5.0,
            "harness.local/churn",
        )
        assert ours.layers["sha256:a"] == 1700
        assert ours.size_bytes >= 1720  # what is packed of the second layer at least
        assert disk.without_others().total_bytes == ours.size_bytes

    @pytest.mark.parametrize("answer", ["", "1\n2\n", MEASURED.replace("1000", "none")])
    def test_one_that_does_not_tell(self, answers: dict[str, str], answer: str) -> None:
        answers["sh"] = answer
        with pytest.raises(HarnessError, match="did not tell what its disk holds") as caught:
            node_disk.measured("node")
        assert caught.value.cause is CauseCode.CLUSTER_FAILED

    def test_images_by_what_containerd_has_noted(self, answers: dict[str, str]) -> None:
        content = "DIGEST SIZE AGE LABELS\nsha256:a 1.5kB 2 hours -\nsha256:b 10B 2 hours -\n"
        answers["sh"] = f"{content}===\nKEY SIZE INODES\nsha256:a 3000 7\n"
        assert node_disk.images_bytes("node") == 4510
