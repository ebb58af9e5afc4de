"""What an expression of Python comes to, as far as its source tells: it is read, and never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from harness.init.reading.syntax.begun import Begun, path_begun, text_begun
from harness.init.reading.syntax.known_functions import (
    FOLDERS,
    MOST_ITEMS,
    UNKNOWN,
    called,
    is_known,
    is_plain,
    method_called,
)
from harness.project.places import AIRFLOW_ROOT

REPOSITORY = PurePosixPath("/(repository)")  # stands before the paths that are made from a module's __file__
MOST_TEXT = 10_000
MOST_DEPTH = 60


Names = Mapping[str, Any]


@dataclass(frozen=True)
class Members:
    """The values of what has them by name: a module, a class, or an object that a call of the class makes.

    `made` is a class's own way to make one.
    """

    values: Names
    made: ast.FunctionDef | None = field(default=None, repr=False)

    def called(self, arguments: Sequence[Any], named: Names) -> Members:
        """The object that a call makes, with what its `__init__` puts into it."""
        if self.made is None:
            return Members({**self.values, **dict(zip(self.values, arguments, strict=False)), **named})
        parameters = [each.arg for each in self.made.args.args]
        inside = {**dict(zip(parameters[1:], arguments, strict=False)), **named}
        own = dict(self.values)
        for node in self.made.body:
            if isinstance(node, ast.Assign | ast.AnnAssign):
                value = value_of(node.value, {**inside, parameters[0]: Members(own)})
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Attribute) and dotted(target.value) == parameters[0]:
                        own[target.attr] = value
        return Members(own)


_PATH_ATTRIBUTES = frozenset({"name", "parent", "parents", "stem", "suffix"})
_ENVIRONMENT = frozenset({"os.getenv", "os.environ.get", "environ.get", "getenv", "Variable.get"})
_OF_PARTS = frozenset({"Path", "PurePath", "os.path.abspath", "os.path.join", "pathlib.Path", "str"})
_WORKS_OUT = frozenset({"format", "join", "lower", "replace", "strftime", "strip", "sub", "upper"})
_PLAIN_FORMAT = re.compile(r"(?:[^%]|%[sdr%])*")  # no widths, which may be any


@dataclass(frozen=True)
class Routine:
    """A function of the repository's own that gives what its one `return` says."""

    run: Callable[[Sequence[Any], Names], Any] = field(repr=False)
    is_property: bool = False


def value_of(node: ast.expr | None, names: Names, depth: int = 0) -> Any:  # noqa: ANN401  any literal
    """The value of an expression where `names` have theirs; UNKNOWN where the source does not tell."""
    if node is None or depth > MOST_DEPTH:
        return UNKNOWN
    reader = _READERS.get(type(node))
    try:
        found = reader(node, names, depth + 1) if reader else UNKNOWN
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return UNKNOWN
    too_much = isinstance(found, str | bytes) and len(found) > MOST_TEXT
    return UNKNOWN if too_much else found


def text_of(node: ast.expr | None, names: Names) -> str | None:
    """The text that an expression comes to, that of a path included; None where it is none or unknown."""
    value = value_of(node, names)
    return str(value) if isinstance(value, str | PurePosixPath) else None


def dotted(node: ast.AST) -> str:
    """`os.path.join` of such an expression; empty for what is no chain of names."""
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return node.id if isinstance(node, ast.Name) else ""


def method_of(call: ast.Call) -> str:
    """`push` of `context["ti"].push(…)`, `f` of `f(…)`; empty for what has no name."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else dotted(function)


def _name(node: ast.Name, names: Names, _: int) -> Any:  # noqa: ANN401
    return names.get(node.id, UNKNOWN)


def _constant(node: ast.Constant, _: Names, __: int) -> Any:  # noqa: ANN401
    return node.value


def _sequence(node: ast.List | ast.Tuple | ast.Set, names: Names, depth: int) -> Any:  # noqa: ANN401
    return [value_of(item, names, depth) for item in node.elts[:MOST_ITEMS]]


def _dict(node: ast.Dict, names: Names, depth: int) -> Any:  # noqa: ANN401
    pairs = list(zip(node.keys, node.values, strict=True))[:MOST_ITEMS]
    known = ((value_of(key, names, depth), value_of(value, names, depth)) for key, value in pairs)
    return {key: value for key, value in known if isinstance(key, str | int | float)}


def _joined(node: ast.JoinedStr, names: Names, depth: int) -> Any:  # noqa: ANN401
    parts = []
    for part in node.values:
        inner = part.value if isinstance(part, ast.FormattedValue) else part
        plain = not isinstance(part, ast.FormattedValue) or (part.format_spec is None and part.conversion < 0)
        value = value_of(inner, names, depth)
        parts.append(value if plain else UNKNOWN)
        if not plain or not is_plain(value):
            return text_begun(parts)
    return "".join(map(str, parts))


def _operation(node: ast.BinOp, names: Names, depth: int) -> Any:  # noqa: ANN401
    left, right = value_of(node.left, names, depth), value_of(node.right, names, depth)
    if isinstance(node.op, ast.Div) and isinstance(left, PurePosixPath | Begun):
        whole = isinstance(left, PurePosixPath) and isinstance(right, str | PurePosixPath)
        return left / right if whole else path_begun([left, right])
    if isinstance(node.op, ast.Add) and {type(left), type(right)} == {str, PurePosixPath}:
        return f"{left}{right}"  # as os.path.join gives a text
    if isinstance(node.op, ast.Add) and (isinstance(left, Begun) or (is_plain(left) and not is_plain(right))):
        return text_begun([left, right])
    if isinstance(node.op, ast.Add) and type(left) is type(right) and isinstance(left, str | list | int):
        return left + right if not isinstance(left, list) else [*left, *right][:MOST_ITEMS]
    if isinstance(node.op, ast.Mod) and isinstance(left, str) and _PLAIN_FORMAT.fullmatch(left):
        values = tuple(right) if isinstance(right, list) else (right,)
        return left % values if all(map(is_plain, values)) else UNKNOWN
    return UNKNOWN


def _subscript(node: ast.Subscript, names: Names, depth: int) -> Any:  # noqa: ANN401
    owner, key = value_of(node.value, names, depth), value_of(node.slice, names, depth)
    if isinstance(key, str) and dotted(node.value) in {"os.environ", "environ"}:
        return AIRFLOW_ROOT if key == "AIRFLOW_HOME" else FOLDERS.get().get(key, UNKNOWN)
    return UNKNOWN if UNKNOWN in (owner, key) else owner[key]


def _attribute(node: ast.Attribute, names: Names, depth: int) -> Any:  # noqa: ANN401
    owner = value_of(node.value, names, depth)
    if isinstance(owner, PurePosixPath) and node.attr in _PATH_ATTRIBUTES:
        found = getattr(owner, node.attr)
        return list(found) if node.attr == "parents" else found
    if owner is UNKNOWN:  # as `import src.settings` has it
        owner = names.get(dotted(node.value), UNKNOWN)
    found = owner.values.get(node.attr, UNKNOWN) if isinstance(owner, Members) else UNKNOWN
    return found.run([owner], {}) if isinstance(found, Routine) and found.is_property else found


def _choice(node: ast.BoolOp, names: Names, depth: int) -> Any:  # noqa: ANN401
    """`os.getenv("X") or "default"`: the first of the values that is known, but for what is worked out from others."""
    for each in node.values:
        value = value_of(each, names, depth)
        if value is UNKNOWN and isinstance(each, ast.Call) and method_of(each) in _WORKS_OUT:
            return UNKNOWN
        if value is not UNKNOWN and value:
            return value
    return UNKNOWN


def _call(node: ast.Call, names: Names, depth: int) -> Any:  # noqa: ANN401
    arguments = [value_of(argument, names, depth) for argument in node.args]
    name = dotted(node.func)
    if name in _ENVIRONMENT:
        return _from_environment(node, name, arguments, names, depth)
    if isinstance(node.func, ast.Attribute) and not is_known(name):
        owner = value_of(node.func.value, names, depth)
        if owner is not UNKNOWN and not isinstance(owner, Members):
            return _method(node, node.func.attr, owner, arguments, names, depth)
    if name in _OF_PARTS and not all(isinstance(each, str | PurePosixPath) for each in arguments):
        return path_begun(arguments)
    maker = value_of(node.func, names, depth) if name else UNKNOWN
    if isinstance(maker, Members | Routine):
        named = {each.arg: value_of(each.value, names, depth) for each in node.keywords if each.arg}
        return (maker.called if isinstance(maker, Members) else maker.run)(arguments, named)
    return called(name, arguments)


def _from_environment(node: ast.Call, name: str, arguments: list[Any], names: Names, depth: int) -> Any:  # noqa: ANN401
    """What a variable has: the folder that it stands for, where it has no default, else that."""
    asked = next(iter(arguments), None)
    given = next((each.value for each in node.keywords if each.arg in {"default", "default_var"}), None)
    if asked == "AIRFLOW_HOME":
        return AIRFLOW_ROOT
    if given is not None or len(arguments) > 1:
        return value_of(given, names, depth) if given else arguments[1]
    variable = f"AIRFLOW_VAR_{asked}".upper() if name == "Variable.get" else str(asked)
    return FOLDERS.get().get(variable, UNKNOWN)


def _method(
    node: ast.Call, method: str, owner: object, arguments: list[Any], names: Names, depth: int
) -> Any:  # noqa: ANN401
    by_name = {each.arg: value_of(each.value, names, depth) for each in node.keywords if each.arg}
    found = method_called(owner, method, arguments, by_name)
    if found is UNKNOWN and isinstance(owner, str) and method == "format":
        return text_begun([owner.partition("{")[0], found])
    return found


def _comprehension(node: ast.ListComp | ast.GeneratorExp, names: Names, depth: int) -> Any:  # noqa: ANN401
    loop = node.generators[0]
    items = value_of(loop.iter, names, depth)
    if len(node.generators) > 1 or loop.ifs or not isinstance(items, list | dict):
        return UNKNOWN
    targets = loop.target.elts if isinstance(loop.target, ast.Tuple) else [loop.target]
    made = []
    for item in list(items)[:MOST_ITEMS]:
        parts = item if isinstance(loop.target, ast.Tuple) else [item]
        inside = {
            each.id: part for each, part in zip(targets, parts, strict=True) if isinstance(each, ast.Name)
        }
        made.append(value_of(node.elt, {**names, **inside}, depth))
    return made


_READERS: dict[type[ast.AST], Callable[[Any, Names, int], Any]] = {
    ast.Attribute: _attribute,
    ast.BinOp: _operation,
    ast.BoolOp: _choice,
    ast.Call: _call,
    ast.Constant: _constant,
    ast.Dict: _dict,
    ast.GeneratorExp: _comprehension,
    ast.JoinedStr: _joined,
    ast.List: _sequence,
    ast.ListComp: _comprehension,
    ast.Name: _name,
    ast.Set: _sequence,
    ast.Subscript: _subscript,
    ast.Tuple: _sequence,
}
