"""What a hint puts into a command is one word there, also a path with spaces."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "harness"
# A program that takes paths or addresses, and its words so far, at the end of a text.
_COMMAND = re.compile(
    r"(?:^|[;&|`(] ?|: |then )"
    r"(?:(?:cat|cd|df|du|less|ls|openssl|python|rm|tail)|git (?:-C|add|clone|config|fetch|log|ls-remote|rm|submodule))"
    r" [^;&|`,\n]*$"
)
# Paths of our own that have nothing to be quoted, and what was put together from quoted parts.
SAFE = {
    *("LOG", "VOLUMES", "WORKFLOW", "_HOSTS", "code.root", "docker_daemon.LOG", "entry.object_id"),
    *("each", "initialise", "place", "traces"),
}


def unquoted(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each value that stands in a command as it is, with its line."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        text = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                text += str(part.value)
                continue
            assert isinstance(part, ast.FormattedValue)
            source = ast.unparse(part.value)
            if _COMMAND.search(text) and "quote" not in source and source not in SAFE:
                yield part.lineno, f"{text[-40:]}{{{source}}}"
            text += "WORD"


def test_values_in_commands_are_quoted() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in unquoted(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_the_check_finds_some() -> None:
    tree = ast.parse(
        'f"ls -l {path}"; f"less {quote(path)}; rm {other}"; f"the file {name}"; f"git -C {place} x"'
    )
    assert [text for _, text in unquoted(tree)] == ["ls -l {path}", "less WORD; rm {other}"]
