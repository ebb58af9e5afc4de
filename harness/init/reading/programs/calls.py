"""What the calls that make tasks give them, also those that map one over a list."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from harness.init.reading.constants import Names, method_of
from harness.init.reading.source import Function, Module, called

MOST_MAPPED = 50


def with_mapped(call: ast.Call) -> ast.Call:
    """`Operator.partial(…)` with what the `.expand(…)` around it gives; any other call as it is."""
    inner = call.func.value if isinstance(call.func, ast.Attribute) else None
    if method_of(call) not in {"expand", "expand_kwargs"} or not isinstance(inner, ast.Call):
        return call
    whole = ast.Call(inner.func, inner.args, [*inner.keywords, *call.keywords])
    return ast.copy_location(whole, inner)


def passed(function: Function, module: Module, call: ast.Call, around: Names) -> Iterator[dict[str, Any]]:
    """What a call of a function with @task gives its parameters, once for each item that `.expand` maps it over."""
    if method_of(call) != "expand":
        yield called(function, module.constants, call, around)
        return
    whole = ast.Call(ast.Name(function.name), [], list(with_mapped(call).keywords))
    names = called(function, module.constants, whole, around)
    mapped = {each.arg: names[each.arg] for each in call.keywords if each.arg}
    lists = {name: value for name, value in mapped.items() if isinstance(value, list) and value}
    for turn in range(min(MOST_MAPPED, max(map(len, lists.values()), default=1))):
        yield {**names, **{name: value[min(turn, len(value) - 1)] for name, value in lists.items()}}
