"""Where DAG files define a DAG: twice, of which Airflow silently runs the one parsed last, or not quite."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from harness.errors import CauseCode, HarnessError
from harness.project.places import in_repository


def refuse_twice(
    dag_id: str, files: Iterable[str], read_source: Callable[[str], str | None], folder: str
) -> None:
    """Raise HarnessError(DAG_IMPORT_ERROR) when several places in `files` certainly define the DAG.

    `files` are those that Airflow parsed, relative to the DAGs folder, which is `folder` in the repository.
    Only what is defined in every case counts: at the top of a file, with its id written out.
    """
    places = []
    for file in sorted(files):
        source = read_source(file)
        if source is not None and dag_id in source:
            path = in_repository(folder, file)
            places += [f"{path}:{line}" for found, line in definitions(source) if found == dag_id]
    if len(places) > 1:
        raise HarnessError(
            CauseCode.DAG_IMPORT_ERROR,
            f"DAG id {dag_id!r} is a duplicate: {' and '.join(places)} define it, and Airflow runs the last one parsed",
            hint=f"give one of them another id: edit {places[-1].rpartition(':')[0]}",
            evidence=places,
        )


@dataclass(frozen=True)
class Uncalled:
    """A function with @dag that nothing in its file names again: it makes no DAG."""

    function: str
    path: str
    line: int


def uncalled(
    dag_id: str, files: Iterable[str], read_source: Callable[[str], str | None], folder: str
) -> Uncalled | None:
    """The function that would make the DAG if it were called; arguments as those of `refuse_twice`."""
    for file in sorted(files):
        source = read_source(file)
        tree = _parsed(source) if source is not None and dag_id in source else None
        if tree is None:
            continue
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        for statement in tree.body:
            if not isinstance(statement, ast.FunctionDef) or statement.name in names:
                continue
            ids = [_id(decorator) for decorator in statement.decorator_list if _name(decorator) == "dag"]
            if dag_id in [found or statement.name for found in ids]:
                return Uncalled(statement.name, in_repository(folder, file), statement.lineno)
    return None


def definitions(source: str) -> Iterator[tuple[str, int]]:
    """The ids and lines of the DAGs that a file defines in every case; nothing for what is no Python."""
    tree = _parsed(source)
    if tree is None:
        return
    called = {
        node.func.id
        for statement in tree.body
        if isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef) and statement.name in called:
            for decorator in statement.decorator_list:
                if _name(decorator) == "dag":
                    found = _id(decorator)
                    yield statement.name if found is None else found, statement.lineno
        elif isinstance(statement, ast.With):
            for item in statement.items:
                if _name(item.context_expr) == "DAG" and (found := _id(item.context_expr)):
                    yield found, statement.lineno
        elif (
            isinstance(statement, ast.Assign)
            and _name(statement.value) == "DAG"
            and (found := _id(statement.value))
        ):
            yield found, statement.lineno


def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _name(node: ast.expr) -> str:
    """`dag` of `@dag`, `@dag(…)` and `@sdk.dag(…)`."""
    function = node.func if isinstance(node, ast.Call) else node
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _id(node: ast.expr) -> str | None:
    """The id that is written out in a call; None where there is none, or it is computed."""
    if not isinstance(node, ast.Call):
        return None
    given = [keyword.value for keyword in node.keywords if keyword.arg == "dag_id"] or node.args[:1]
    if not given:
        return None
    value = given[0].value if isinstance(given[0], ast.Constant) else ""
    return value if isinstance(value, str) else ""
