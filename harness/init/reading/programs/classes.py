"""Classes whose objects a task calls, and operators of the repository's own: what runs of them."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from harness.init.reading.constants import dotted
from harness.init.reading.source import Function, Module

_PARTIAL = frozenset({"functools.partial", "partial"})
NOTHING = ast.arguments([], [], None, [], [], None, [])


class Whole(ast.FunctionDef):
    """A class as a function that runs all of its methods."""


Found = tuple[Function, Module]


def whole(of_class: ast.ClassDef) -> Whole:
    """The class as what runs when its objects are used."""
    made = Whole(name=of_class.name, args=NOTHING, body=of_class.body, decorator_list=[])
    return ast.copy_location(made, of_class)


def defined(module: Module) -> dict[str, Found]:
    """A module's own functions and classes."""
    own = {each.name: (whole(each), module) for each in module.tree.body if isinstance(each, ast.ClassDef)}
    return {**own, **{name: (function, module) for name, function in module.functions.items()}}


def objects(statement: ast.stmt, known: Mapping[str, Found]) -> dict[str, Found]:
    """The names that a statement gives to an object of a class, `step = TrainStep("ridge")`, or to what has one."""
    if not isinstance(statement, ast.Assign):
        return {}
    call = statement.value if isinstance(statement.value, ast.Call) else None
    found = known.get(dotted(call.func if call else statement.value))
    if found is None or (call and not isinstance(found[0], Whole)):
        return {}
    names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
    of_object = isinstance(found[0], Whole)
    return {
        key: each
        for name in names
        for key, each in {name: found, **(bound(name, found) if of_object else {})}.items()
    }


def bound(name: str, found: Found) -> dict[str, Found]:
    """The methods of a class by what an object of this name has them as."""
    return {f"{name}.{each.name}": (each, found[1]) for each in found[0].body if isinstance(each, Function)}


def run_of(expression: ast.expr | None, known: Mapping[str, Found], module: Module) -> tuple[Found, ...]:
    """What a `python_callable` runs: a function, an object's method with its class, the object itself, or a lambda.

    `module` is what a lambda stands in, with the names that are there.
    """
    if isinstance(expression, ast.Lambda):
        return (_function(expression, expression.args, expression.body, module),)
    if isinstance(expression, ast.Call) and dotted(expression.func) in _PARTIAL and expression.args:
        call = ast.Call(expression.args[0], expression.args[1:], expression.keywords)
        return (_function(expression, NOTHING, ast.copy_location(call, expression), module),)
    name = dotted(expression) if expression is not None else ""
    if isinstance(expression, ast.Attribute) and isinstance(expression.value, ast.Call):  # Trainer().fit
        name = f"{dotted(expression.value.func)}.{expression.attr}"
    owner, _, method = name.rpartition(".")
    of_object = known.get(owner)
    if of_object is not None and isinstance(of_object[0], Whole):
        return methods(of_object, method)
    found = known.get(name)
    return () if found is None else methods(found, "__call__")


def _function(of: ast.expr, arguments: ast.arguments, gives: ast.expr, module: Module) -> Found:
    """A function that returns this, at the place of what it is made of."""
    body = ast.copy_location(ast.Return(gives), of)
    made = ast.FunctionDef(name="lambda", args=arguments, body=[body], decorator_list=[])
    return ast.copy_location(made, of), module


def methods(found: Found, name: str) -> tuple[Found, ...]:
    """A class's method of this name, and the class; a function is alone."""
    if not isinstance(found[0], Whole):
        return (found,)
    own = (each for each in found[0].body if isinstance(each, Function) and each.name == name)
    return (*((each, found[1]) for each in own), found)
