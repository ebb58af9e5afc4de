"""What is told of packages that only a GPU uses."""

from __future__ import annotations

import pytest

from harness.image.lock.packages import for_gpus


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"torch", "nvidia-cublas-cu12", "nvidia-nccl-cu12", "pandas"}, ("and 1 more", "--extra-index-url")),
        ({"xgboost", "nvidia-nccl-cu13"}, ("only: nvidia-nccl-cu13;", "`xgboost-cpu`")),
        ({"jax", "cuda-toolkit"}, ("only: cuda-toolkit",)),
        ({"torch", "xgboost-cpu", "pandas"}, ()),
    ],
)
def test_what_gpus_use_is_named_with_the_way_without(names: set[str], told: tuple[str, ...]) -> None:
    found = for_gpus(names)
    assert bool(found) == bool(told)
    assert all(each in found for each in told)
