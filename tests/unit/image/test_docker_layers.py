"""Layers as Docker keeps them, compressed or not."""

from __future__ import annotations

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.image.own import docker_image
from harness.image.own.docker_image import _uncompressed


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4), st.integers(1, 50))
def test_a_layer_may_have_several_members(parts: list[bytes], chunk_bytes: int) -> None:
    """Whatever the pieces are that it is read in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker_image, "CHUNK_BYTES", chunk_bytes + 1)
        content = io.BytesIO(b"".join(map(gzip.compress, parts)))
        assert b"".join(_uncompressed(content)) == b"".join(parts)


@pytest.mark.parametrize("content", [b"", b"plain", b"\x1f"])
def test_what_is_not_compressed_stays_as_it_is(content: bytes) -> None:
    assert b"".join(_uncompressed(io.BytesIO(content))) == content


def test_what_follows_the_last_member_is_left_out() -> None:
    assert b"".join(_uncompressed(io.BytesIO(gzip.compress(b"a") + bytes(512)))) == b"a"
