"""A repository's own Python modules: their syntax, what their names stand for, and what they import."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import Any

from harness.init.reading.constants import REPOSITORY, Members, Names, Routine, dotted, value_of
from harness.init.reading.repository_files import Place, RepositoryFiles
from harness.init.reading.syntax.known_functions import UNKNOWN
from harness.init.reading.syntax.newer_strings import for_older, may_be_newer

Function = ast.FunctionDef | ast.AsyncFunctionDef
MOST_MODULES = 400
MOST_ROUTINES = 20_000
# How many calls of the repository's own functions are still followed for their values.
ROUTINES: ContextVar[list[int]] = ContextVar("ROUTINES", default=[10**9])  # noqa: B039
_IMPORTERS = frozenset({"import_module", "__import__"})
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class Module:
    """One file of Python. `constants` are the values that its top-level names have, as far as it tells.

    `newer` is the line that Python takes since 3.12 only, where it has one.
    """

    path: str
    text: str = field(repr=False)
    tree: ast.Module = field(repr=False)
    constants: Mapping[str, Any] = field(repr=False)
    functions: Mapping[str, Function] = field(repr=False)
    newer: int = 0

    def place(self, node: ast.AST) -> Place:
        return Place(self.path, getattr(node, "lineno", 0))

    @cached_property
    def imported(self) -> tuple[Imported, ...]:
        """What it imports; each DAG of a repository asks all modules that it needs."""
        return tuple(_imports(self))

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """What its imports are called elsewhere, by their names here: `joblib.dump` by `dump`."""
        return {each.alias: f"{each.module}.{each.name}" for each in self.imported if each.name}


@dataclass(frozen=True)
class Imported:
    """A name that a module imports: `module` with its dots, the `name` of it or nothing, and as what."""

    module: str
    name: str
    alias: str
    line: int
    guarded: bool = False


def parsed(path: str, text: str) -> Module | Place:
    """The module, or the line that is no Python."""
    tree, older = _tree(text), text
    if isinstance(tree, int) or may_be_newer(text):
        with suppress(RecursionError):  # nesting that nobody would write
            older = for_older(text)
    if older != text:
        lines = zip(text.splitlines(), older.splitlines(), strict=False)
        newer = next((number for number, (own, other) in enumerate(lines, 1) if own != other), 1)
        tree = _tree(older)
    else:
        newer = 0
    if isinstance(tree, int):
        return Place(path, tree)
    functions = {each.name: each for each in _top(tree.body) if isinstance(each, Function)}
    return rebound(Module(path, text, tree, {}, functions, newer), {})


def _tree(text: str) -> ast.Module | int:
    """The syntax of a text, or the line that has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in other people's texts
            return ast.parse(text)
    except SyntaxError as error:
        return error.lineno or 1
    except (ValueError, RecursionError, MemoryError):  # a NUL, or nesting that nobody would write
        return 1


def rebound(module: Module, imported: Names) -> Module:
    """The module with the values that its names have where those that it imports have these."""
    path = PurePosixPath(module.path)
    names: dict[str, Any] = {"__file__": str(REPOSITORY / path), "__name__": path.stem, **imported}
    for statement in _top(module.tree.body):
        bind(statement, names)
    return replace(module, constants=names)


def bind(statement: ast.stmt, names: dict[str, Any]) -> None:
    """Give `names` what an assignment gives them."""
    if isinstance(statement, ast.Assign):
        targets: Sequence[ast.expr] = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    elif isinstance(statement, ast.ClassDef):
        names[statement.name] = _members(statement, names)
        return
    elif isinstance(statement, ast.FunctionDef):
        if sum(isinstance(node, ast.Return) for node in ast.walk(statement)) == 1:
            names[statement.name] = Routine(partial(_given, statement, names))
        return
    elif isinstance(statement, ast.With):
        for item in statement.items:
            if item.optional_vars is not None:
                bind_target(item.optional_vars, value_of(item.context_expr, names), names)
        return
    else:
        return
    value = value_of(statement.value, names)
    for target in targets:
        bind_target(target, value, names)


def _given(function: ast.FunctionDef, names: Names, arguments: Sequence[Any], named: Names) -> Any:  # noqa: ANN401
    """What a function gives for these arguments, where names of its module are `names`."""
    left = ROUTINES.get()
    if not left[0]:
        return UNKNOWN
    left[0] -= 1
    parameters = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    defaults = function.args.defaults
    optional = zip(parameters[len(parameters) - len(defaults) :], defaults, strict=False)
    inside = {**names, **dict.fromkeys(parameters, UNKNOWN)}
    inside |= {name: value_of(default, names) for name, default in optional}
    inside |= {**dict(zip(parameters, arguments, strict=False)), **named}
    for statement in _top(function.body):
        if isinstance(statement, ast.Return):
            return value_of(statement.value, inside)
        bind(statement, inside)
    return UNKNOWN


def _members(of_class: ast.ClassDef, names: Names) -> Members:
    """What a class has by name, that of the classes which it is made of included."""
    own: dict[str, Any] = {}
    for base in of_class.bases:
        known = value_of(base, names)
        own |= known.values if isinstance(known, Members) else {}
    inside = {**names, **own}
    for statement in of_class.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            bind(statement, inside)
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            own |= {each.id: inside[each.id] for each in targets if isinstance(each, ast.Name)}
        elif isinstance(statement, ast.FunctionDef) and any(
            dotted(each).endswith("property") for each in statement.decorator_list
        ):
            own[statement.name] = Routine(partial(_given, statement, names), is_property=True)
    made = (each for each in of_class.body if isinstance(each, ast.FunctionDef) and each.name == "__init__")
    return Members(own, next(made, None))


def bind_target(target: ast.expr, value: object, names: dict[str, Any]) -> None:
    """Give the names of `target`, several in a tuple, what they have of `value`."""
    if isinstance(target, ast.Name):
        names[target.id] = value
    elif isinstance(target, ast.Tuple | ast.List):
        parts = value if isinstance(value, list) and len(value) == len(target.elts) else None
        for index, each in enumerate(target.elts):
            bind_target(each, parts[index] if parts else UNKNOWN, names)


def imports(module: Module) -> tuple[Imported, ...]:
    """All imports of a module, also those inside functions; `guarded` where it goes on without."""
    return module.imported


def _imports(module: Module) -> Iterator[Imported]:
    guarded = {
        id(inner)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Try) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        for statement in node.body
        for inner in ast.walk(statement)
    }
    named = {
        id(node.value): node.targets[0].id
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and (name := loaded(node, module.constants)):
            yield Imported(name, "", named.get(id(node), name), node.lineno, id(node) in guarded)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield Imported(alias.name, "", alias.asname or alias.name, node.lineno, id(node) in guarded)
        elif isinstance(node, ast.ImportFrom):
            owner = _absolute(node, module.path)
            for alias in node.names:
                yield Imported(
                    owner, alias.name, alias.asname or alias.name, node.lineno, id(node) in guarded
                )


def loaded(call: ast.Call, names: Names) -> str:
    """The module that `import_module("…")` imports; empty for another call, and where the source does not tell."""
    name = dotted(call.func).rpartition(".")[2]
    found = value_of(call.args[0], names) if name in _IMPORTERS and call.args else None
    return found if isinstance(found, str) and _MODULE.fullmatch(found) else ""


def keyword(call: ast.Call, *names: str) -> ast.expr | None:
    """The argument of the first of these names that a call has."""
    return next((each.value for name in names for each in call.keywords if each.arg == name), None)


def called(function: Function, names: Names, call: ast.Call, seen: Names) -> dict[str, Any]:
    """What a function's parameters are for a call: `names` are those of its module, `seen` the caller's."""
    inside = dict(names)
    parameters = [*function.args.posonlyargs, *function.args.args]
    defaults = function.args.defaults
    if parameters and parameters[0].arg in {"cls", "self"} and isinstance(call.func, ast.Attribute):
        inside[parameters.pop(0).arg] = value_of(call.func.value, seen)
    for parameter, default in zip(parameters[len(parameters) - len(defaults) :], defaults, strict=False):
        inside[parameter.arg] = value_of(default, names)
    for parameter, optional in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=False):
        inside[parameter.arg] = value_of(optional, names)
    for parameter, argument in zip(parameters, call.args, strict=False):
        inside[parameter.arg] = value_of(argument, seen)
    for given in call.keywords:
        if given.arg:
            inside[given.arg] = value_of(given.value, seen)
        else:
            unpacked = value_of(given.value, seen)
            inside |= unpacked if isinstance(unpacked, dict) else {}
    return inside


def modules(files: RepositoryFiles) -> tuple[dict[str, Module], list[Place]]:
    """The repository's Python by path, and the lines that are no Python of today."""
    found: dict[str, Module] = {}
    broken: list[Place] = []
    for path in list(files.python())[:MOST_MODULES]:
        text = files.read_text(path)
        if text is None:
            continue
        module = parsed(path, text)
        if isinstance(module, Place):
            broken.append(module)
        else:
            found[path] = module
    return found, broken


def _top(statements: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported, in order; of both branches."""
    for statement in statements:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With):
            yield from _top(statement.body)
            yield from _top(getattr(statement, "orelse", []))


def _absolute(node: ast.ImportFrom, path: str) -> str:
    """The module that `from … import` names; a relative one begins with a slash, as a path of the repository."""
    if not node.level:
        return node.module or ""
    folder = PurePosixPath(path).parent
    for _ in range(node.level - 1):
        folder = folder.parent
    inside = (node.module or "").replace(".", "/")
    return f"/{folder / inside}" if inside else f"/{folder}"
