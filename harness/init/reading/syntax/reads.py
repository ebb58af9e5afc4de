"""Which statements run when a module is imported, and which reads code can do without."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterable, Iterator

from harness.init.reading.source import Function

_MISSING = re.compile(r"\b(?:FileNotFoundError|IOError|OSError)\b")


def outside_functions(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """These statements, without the functions and classes among them, and in their blocks."""
    for each in body:
        if isinstance(each, ast.With | ast.For | ast.If | ast.Try):
            kept = copy.copy(each)
            kept.body = list(outside_functions(each.body))
            yield kept
        elif not isinstance(each, Function | ast.ClassDef):
            yield each


def optional_reads(function: Function) -> set[int]:
    """The ids of nodes inside a `try` that goes on where a file is not there."""
    return {
        id(inner)
        for node in ast.walk(function)
        if isinstance(node, ast.Try)
        and any(
            each.type is not None and _MISSING.search(ast.unparse(each.type)) and not _raises(each.body)
            for each in node.handlers
        )
        for statement in node.body
        for inner in ast.walk(statement)
    }


def needed_answers(function: Function) -> set[int]:
    """The ids of the calls by whose answer it raises: `if not path.exists(): raise`."""
    tests = (node.test for node in ast.walk(function) if isinstance(node, ast.If) and _raises(node.body))
    return {id(inner) for test in tests for inner in ast.walk(test)}


def _raises(body: Iterable[ast.stmt]) -> bool:
    return any(isinstance(inner, ast.Raise) for statement in body for inner in ast.walk(statement))
