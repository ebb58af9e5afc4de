"""How steps are drawn: a bar where they tell an amount of one."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console as Screen

from harness.report.text.steps import ConsoleStep, drawn, share
from harness.report.text.style import Style

DETAIL = "612 of 2448 packages, 6 min left; compiling k8s.io/kubernetes/pkg/kubelet/apis/config"


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        (DETAIL, 0.25),
        ("kind v0.33.0: 12.5 of 50 MB", 0.25),
        ("3 of at most 6 modules; downloading a", 0.5),
        ("7 of 5 layers", 1.0),
        ("0 of 0 MB", None),
        ("v1.2 of 3.4", None),
        ("waiting for control-plane", None),
        ("the end of 2026", None),
        ("1 of them", None),
    ],
)
def test_amounts(detail: str, expected: float | None) -> None:
    assert share(detail) == expected


@given(st.text())
def test_any_text_has_a_share_or_none(detail: str) -> None:
    found = share(detail)
    assert found is None or 0 <= found <= 1


def line(columns: int) -> str:
    step = ConsoleStep("tools and node image", 0.0)
    step.update(DETAIL)
    style = Style(width=columns)
    stream = io.StringIO()
    Screen(file=stream, width=columns).print(drawn([step], 312.0, style, stream))
    return stream.getvalue().rstrip("\n")


def test_at_80_columns_the_amount_and_the_time_left_are_to_be_seen() -> None:
    assert line(80)[2:] == "tools and node image  5 min 12 s  ██░░░░░░  612 of 2448 packages, 6 min left;…"


def test_at_200_columns_all_is() -> None:
    assert line(200)[2:] == f"tools and node image  5 min 12 s  {'█' * 5}{'░' * 15}  {DETAIL}"


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_a_long_title_makes_room_for_the_amount_and_the_time_left(columns: int) -> None:
    step = ConsoleStep("a-branch-with-a-long-name: tools and node image, compiled once for this machine", 0.0)
    step.update(DETAIL)
    stream = io.StringIO()
    Screen(file=stream, width=columns).print(drawn([step], 312.0, Style(width=columns), stream))
    assert "612 of 2448 packages, 6 min left" in stream.getvalue()
