"""What a lock's Python takes of what other locks say."""

from __future__ import annotations

import pytest

from harness.image.lock.target import Target


@pytest.mark.parametrize(
    ("specifier", "taken"),
    [
        ("", True),
        ("*", True),
        (">=3.8,<4.0", True),
        (">=3.8,<3.12", False),
        ("==3.11.*", False),
        ("==3.12.*", True),
        (">=2.7,!=3.0.*,!=3.1.*", True),
        (">=3.8,!=3.12.*", False),
        ("whatever", True),
    ],
)
def test_a_package_counts_where_it_runs(specifier: str, taken: bool) -> None:
    assert Target("3.12").takes_python(specifier) is taken
