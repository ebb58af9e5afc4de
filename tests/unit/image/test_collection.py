"""Which images of a registry nobody needs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.image.registry.collection import Stored, freed_bytes, unneeded

BASE = "harness/base"
SIZES = {"sha256:base": 100, "sha256:lock": 50, "sha256:other": 70, "sha256:code1": 1, "sha256:code2": 2}


def stored(repository: str, digest: str, *layers: str, tags: tuple[str, ...] = ("t",)) -> Stored:
    return Stored(repository, digest, tags, {f"sha256:{each}": SIZES[f"sha256:{each}"] for each in layers})


FIRST = stored("harness/churn", "sha256:1", "base", "lock", "code1", tags=("a", "b"))
SECOND = stored("harness/churn", "sha256:2", "base", "lock", "code2", tags=("c",))
BELOW = stored(BASE, "sha256:0", "base")
EVERY = (FIRST, SECOND, BELOW)


def test_what_a_node_has_stays_and_what_it_stands_on() -> None:
    assert unneeded(EVERY, {"sha256:1"}, set(), BASE) == (SECOND,)
    assert freed_bytes(EVERY, [SECOND]) == 2


def test_what_is_on_its_way_has_a_name_and_is_on_no_node() -> None:
    assert unneeded(EVERY, set(), {"harness/churn:b"}, BASE) == (SECOND,)


def test_without_any_image_the_base_goes_too() -> None:
    assert unneeded(EVERY, set(), set(), BASE) == EVERY
    assert freed_bytes(EVERY, EVERY) == 100 + 50 + 1 + 2


@given(
    st.lists(
        st.builds(
            lambda repository, digest, layers: stored(repository, f"sha256:{digest}", *layers),
            st.sampled_from([BASE, "harness/churn", "harness/churn-dependencies"]),
            st.integers(1, 6),
            st.sets(st.sampled_from(["base", "lock", "other", "code1"])).map(sorted),
        ),
        max_size=6,
        unique_by=lambda each: (each.repository, each.digest),
    ),
    st.sets(st.integers(1, 6).map("sha256:{}".format)),
)
def test_nothing_that_is_needed_goes_and_nothing_is_counted_twice(
    images: list[Stored], kept: set[str]
) -> None:
    doomed = unneeded(images, kept, set(), BASE)
    stays = [each for each in images if each not in doomed]
    assert all(each in stays for each in images if each.digest in kept and each.repository != BASE)
    layers = {layer for each in images for layer in each.layers}
    left = {layer for each in stays for layer in each.layers}
    assert freed_bytes(images, doomed) == sum(SIZES[layer] for layer in layers - left)
