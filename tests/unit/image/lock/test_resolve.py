"""Which lines are to be edited where uv finds nothing that fits."""

from __future__ import annotations

import pytest

from harness.image.lock.resolve import Question, to_edit

TEXTS = {"requirements.txt": "-r more.txt\nPandas==2.1.4\n# numpy\n", "more.txt": "numpy[x]==2.3.0\n"}


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        (
            "you require pandas==2.1.4, and because you require numpy==2.3.0",
            "requirements.txt:2 or more.txt:1",
        ),
        ("Unexpected '-', expected the start of a requirement: more.txt:1:5", "more.txt:1"),
        ("pandsa was not found in the package registry and you require pandsa==1", "requirements.txt"),
        (
            "Because Pandas==2.1.4 depends on packaging<25 and ours==1 depends on packaging>=25",
            "requirements.txt:2",
        ),
        ("uv gave no reason", "requirements.txt"),
        ("see /elsewhere/more.txt:1:5", "requirements.txt"),
    ],
)
def test_the_lines_that_uv_speaks_of(said: str, lines: str) -> None:
    assert to_edit([said], Question("requirements.txt", TEXTS)) == lines
