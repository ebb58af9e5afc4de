"""Options that several commands have stand in a dataclass: Typer sees each, the command gets the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from harness.cli.groups import ungrouped
from harness.cli.options import ClusterOptions


@dataclass(frozen=True)
class Colours:
    """Options of a group."""

    ink: Annotated[str, typer.Option("--ink", help="Which ink.")] = "black"
    is_bold: Annotated[bool, typer.Option("--bold", help="In bold.")] = False


Sheets = Annotated[int, typer.Argument(help="How many.")]
GIVEN: list[object] = []


def draw(sheets: Sheets, wet: bool = False, *, colours: Colours, cluster: ClusterOptions) -> int:
    """Draw something."""
    GIVEN[:] = [sheets, wet, colours, cluster.chosen]
    return 0


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.delenv("HARNESS_CLUSTER", raising=False)
    made = typer.Typer()
    made.command()(ungrouped(draw))
    return made


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("3", [3, False, Colours(), "harness"]),
        ("3 --bold --wet --ink red --name mine", [3, True, Colours("red", True), "mine"]),
        ("--context kind-team 1", [1, False, Colours(), "@kind-team"]),
    ],
)
def test_the_command_gets_each_group_whole(app: typer.Typer, line: str, expected: list[object]) -> None:
    assert CliRunner().invoke(app, line.split()).exit_code == 0
    assert expected == GIVEN


def test_each_option_of_a_group_is_explained(app: typer.Typer) -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert all(text in shown for text in ("Draw something.", "--ink", "Which ink.", "--bold", "--context"))
    assert "colours" not in shown


def test_what_no_option_takes_is_refused(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["3", "--colours", "x"]).exit_code == 2
    assert CliRunner().invoke(app, ["3", "--name", "mine", "--context", "kind-team"]).exit_code == 2
