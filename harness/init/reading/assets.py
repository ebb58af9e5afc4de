"""The assets that code names: those that a DAG's tasks produce, and those that it is scheduled on."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from harness.init.reading.constants import dotted, text_of
from harness.init.reading.source import Function, Module, keyword
from harness.init.reading.tasks import Task, decorated

Names = frozenset[str]
_CLASSES = ("Asset", "Dataset", "Model")


def asset_decorator(function: Function) -> ast.Call | None:
    """`@asset(schedule=…)` or `@asset.multi(…)`: a DAG of one task, which Airflow makes without a call."""
    found = decorated(function, "asset")
    return found if isinstance(found, ast.Call) and keyword(found, "schedule") is not None else None


def assets_of(module: Module) -> dict[str, Names]:
    """The assets that a module's own names stand for, each with all that it may be called."""
    found = {name: own for name, function in module.functions.items() if (own := _own(function, module))}
    for statement in module.tree.body:
        if isinstance(statement, ast.Assign) and (named := mentioned(statement.value, module, found)):
            found |= {each.id: named for each in statement.targets if isinstance(each, ast.Name)}
    return found


def mentioned(expression: ast.expr | None, module: Module, known: Mapping[str, Names]) -> Names:
    """The assets that an expression names, by `Asset(…)` or by the names of `known`."""
    if expression is None:
        return frozenset()
    return frozenset(name for node in ast.walk(expression) for name in _named(node, module, known))


def produced(tasks: Iterable[Task], module: Module, known: Mapping[str, Names]) -> Names:
    """The assets among the `outlets` of tasks."""
    found: set[str] = set()
    for task in tasks:
        for function, source in task.functions[:1]:
            found |= _own(function, source)
            decorators = (each for each in function.decorator_list if isinstance(each, ast.Call))
            for each in decorators:
                found |= mentioned(keyword(each, "outlets"), module, known)
        if task.call is not None:
            found |= mentioned(keyword(task.call, "outlets"), module, known)
    return frozenset(found)


def _named(node: ast.AST, module: Module, known: Mapping[str, Names]) -> Iterator[str]:
    if isinstance(node, ast.Name | ast.Attribute):
        yield from known.get(dotted(node), ())
    elif isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in _CLASSES:
        for given in (next(iter(node.args), None), keyword(node, "name"), keyword(node, "uri")):
            if text := text_of(given, module.constants):
                yield text


def _own(function: Function, module: Module) -> Names:
    """What the asset of a function with `@asset` is called; nothing for another."""
    asset = asset_decorator(function)
    if asset is None:
        return frozenset()
    if dotted(asset.func).endswith(".multi"):
        return mentioned(keyword(asset, "outlets"), module, {})
    given = (text_of(keyword(asset, name), module.constants) for name in ("name", "uri"))
    name, uri = given
    return frozenset(filter(None, (name or function.name, uri)))
