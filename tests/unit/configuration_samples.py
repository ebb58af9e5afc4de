"""Texts of harness.toml, and what is told of them."""

from __future__ import annotations

import pytest

from harness.errors import CauseCode, HarnessError
from harness.project.configuration import Configuration, parse

TEST = '[tests.a]\ndag = "a"\n'
GATE = TEST + 'metrics = { task = "t" }\n[tests.a.gates.m]\n'


def violations(text: str, origin: str = "harness.toml") -> list[str]:
    with pytest.raises(HarnessError) as caught:
        parse(text, origin=origin)
    error = caught.value
    assert error.cause is CauseCode.CONFIG_INVALID
    assert origin in error.message
    assert error.hint
    return list(error.evidence) or [error.message]


def accepted(text: str) -> Configuration:
    found = parse(text, origin="harness.toml")
    assert found is not None
    return found
