"""What a program refused, as an error: its last line is the reason, and a full disk is told as such."""

from __future__ import annotations

import pytest

from harness.errors import CauseCode, refusal


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "no reason given"),
        ("\n  \n", "no reason given"),
        ("first\n  last \n\n", "last"),
        (["first", "last", ""], "last"),
    ],
)
def test_the_last_line_is_the_reason(said: str | list[str], reason: str) -> None:
    error = refusal(CauseCode.BUILD_FAILED, "Docker did not take it", said, hint="docker info")
    assert (error.cause, error.message) == (CauseCode.BUILD_FAILED, f"Docker did not take it: {reason}")
    assert error.hint == "docker info"
    assert "" not in error.evidence


def test_no_more_is_evidence_than_fits_on_a_screen() -> None:
    error = refusal(CauseCode.BUILD_FAILED, "it failed", "\n".join(map(str, range(100))), hint="")
    assert error.evidence == tuple(map(str, range(90, 100)))


@pytest.mark.parametrize("hint_when_full", ["df -h", ""])
def test_a_full_disk_is_told_where_there_is_a_hint_for_it(hint_when_full: str) -> None:
    said = "write /layer.tar: No space left on device\nexit status 1\n"
    error = refusal(CauseCode.BUILD_FAILED, "it failed", said, hint="less log", hint_when_full=hint_when_full)
    expected = (CauseCode.DISK_FULL, "df -h") if hint_when_full else (CauseCode.BUILD_FAILED, "less log")
    assert (error.cause, error.hint) == expected
