"""Which of many kills are done: some by chance in every run, all of them by `pytest -m slow`."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any, TypeVar

import pytest

Each = TypeVar("Each")


def sampled(purpose: str, values: Sequence[Each]) -> list[Any]:
    """Parameters of a test: one of the values is drawn, the others are slow."""
    drawn = _drawing(purpose).randrange(len(values))
    return [
        pytest.param(value, marks=() if place == drawn else pytest.mark.slow)
        for place, value in enumerate(values)
    ]


def drawn(purpose: str, *among: Sequence[Each]) -> tuple[Each, ...]:
    """One of each."""
    drawing = _drawing(purpose)
    return tuple(drawing.choice(each) for each in among)


def _drawing(purpose: str) -> random.Random:
    """What draws for one purpose, whatever else is drawn; tests/conftest.py sets and prints the seed of a run."""
    return random.Random(f"{os.environ['HARNESS_TEST_SEED']} {purpose}")
