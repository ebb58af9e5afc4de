"""A file on a version's volume is named as tasks know it."""

from __future__ import annotations

import pytest

from harness.isolation.written import known


@pytest.mark.parametrize(
    "path, named",
    [
        ("shared/0/model.json", "dags/data/model.json"),
        ("shared/1/a/b.csv", "include/out/a/b.csv"),
        ("shared/2/x", "shared/2/x"),  # of a folder that nobody told
        ("artifacts/shared/0/x", "artifacts/shared/0/x"),
    ],
)
def test_the_volumes_own_names_are_not_told(path: str, named: str) -> None:
    assert known(path, ["dags/data", "include/out"]) == named
