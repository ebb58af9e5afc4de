"""The folders that code puts on its import path while it runs."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.init.reading.constants import REPOSITORY, dotted, text_of
from harness.init.reading.repository_files import Place
from harness.init.reading.source import Module

_PATH = frozenset({"path", "sys.path"})
_ONE = frozenset({"append", "insert"})


@dataclass(frozen=True)
class PathEdit:
    """A place where code puts a folder on its import path; `folder` is None where it is none of the repository's."""

    place: Place
    written: str
    folder: str | None


def path_edits(module: Module, locate: Callable[[str], str | None]) -> list[PathEdit]:
    """The folders that a module puts on the import path."""
    found = []
    for node in ast.walk(module.tree):
        for added in _added(node):
            written = text_of(added, module.constants)
            folder = None if written is None else locate(written)
            shown = (written or ast.unparse(added)).removeprefix(f"{REPOSITORY}/")
            shown = "the repository's root" if shown == str(REPOSITORY) else shown
            found.append(PathEdit(module.place(node), shown, folder))
    return found


def _added(node: ast.AST) -> Iterator[ast.expr]:
    """What a statement or call adds to `sys.path`."""
    if isinstance(node, ast.Call) and node.args:
        owner, _, method = dotted(node.func).rpartition(".")
        if (owner in _PATH and method in _ONE) or dotted(node.func) == "site.addsitedir":
            yield node.args[0 if method == "addsitedir" else -1]
        elif owner in _PATH and method == "extend":
            yield from _items(node.args[0])
    elif isinstance(node, ast.Assign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(map(_is_path, targets)):
            yield from _items(node.value)


def _is_path(target: ast.expr) -> bool:
    """Whether something is `sys.path`, or a part of it such as `sys.path[:0]`."""
    return dotted(target.value if isinstance(target, ast.Subscript) else target) == "sys.path"


def _items(value: ast.expr) -> Iterator[ast.expr]:
    """The items of a list, and of each list that a sum has."""
    if isinstance(value, ast.List | ast.Tuple):
        for each in value.elts:
            if not isinstance(each, ast.Starred):
                yield each
    elif isinstance(value, ast.BinOp):
        yield from _items(value.left)
        yield from _items(value.right)
