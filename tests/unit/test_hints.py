"""Every hint names a command that there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer

from harness import cli

PACKAGE = Path(__file__).parents[2] / "harness"
COMMANDS = set(typer.main.get_command(cli.app).commands)
_COMMAND = re.compile(r"(?:^|[;`&|(] ?|, |or )harness ([a-z]+)")


def hints() -> list[tuple[str, str]]:
    """The text of every `hint=…` and `hint = …`, with its place."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            values = []
            if isinstance(node, ast.Call):
                values = [each.value for each in node.keywords if each.arg == "hint"]
            elif isinstance(node, ast.Assign) and any(
                "hint" in ast.unparse(each).lower() for each in node.targets
            ):
                values = [node.value]
            for value in values:
                texts = [each for each in ast.walk(value) if isinstance(each, ast.Constant)]
                found += [
                    (f"{path.relative_to(PACKAGE)}:{each.lineno}", each.value)
                    for each in texts
                    if isinstance(each.value, str)
                ]
    return found


def test_hints_are_found() -> None:
    assert len(hints()) > 100
    assert any("harness up" in text for _, text in hints())


@pytest.mark.parametrize(("place", "text"), hints())
def test_commands_exist(place: str, text: str) -> None:
    assert {*_COMMAND.findall(text)} <= COMMANDS, place
