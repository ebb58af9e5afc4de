"""The files and folders that tasks read and write, by the paths in their code."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from harness.init.reading.constants import REPOSITORY, Members, Names, dotted, method_of, text_of, value_of
from harness.init.reading.programs.calls import passed
from harness.init.reading.programs.classes import NOTHING, Whole, bound, objects
from harness.init.reading.programs.commands import MOST_COMMAND, command_of, goes_to
from harness.init.reading.repository_files import Place
from harness.init.reading.source import Function, Module, bind, called, keyword
from harness.init.reading.syntax.begun import Begun
from harness.init.reading.syntax.file_calls import (
    ASKS,
    DATABASES,
    FIRST_READS,
    FOLDERS,
    LOADERS,
    LOOKS,
    OF_PATHS,
    PATH_KEYWORDS,
    READS_FIRST,
    SECOND_WRITES,
    STARTS,
    WRITES_FIRST,
)
from harness.init.reading.syntax.reads import needed_answers, optional_reads, outside_functions
from harness.init.reading.tasks import Functions, Task, decorated

MOST_DEPTH = 4
MOST_CALLS = 500  # of functions that a task is followed into


@dataclass(frozen=True, order=True)
class FileUse:
    """A path that code uses, as it is written there; `folder` where it is no file's. For what it runs, a whole command.

    `handed` where a task tells it to the others: by what it returns, or an XCom. `alone` where nothing else is likely
    to be made beside it.
    """

    path: str
    how: Literal["read", "write", "run"]
    place: Place
    folder: bool = False
    handed: bool = False
    alone: bool = False

    @property
    def shown(self) -> str:
        """The path for a person: from the repository's root where it is made from a module's own place."""
        inside = self.path.removeprefix(f"{REPOSITORY}/")
        return self.path if inside == self.path else posixpath.normpath(inside)


def files_of(task: Task, functions: Functions, caller: Module) -> list[FileUse]:
    """What a task reads and writes, as far as its code and its arguments tell."""
    found = {
        use
        for program in task.programs
        for use in _uses(
            program.main, program.module, program.functions, dict(program.module.constants), 0, [MOST_CALLS]
        )
    }
    if not task.functions:
        return sorted(found)
    function, module = task.functions[0]
    names, around = dict(module.constants), task.names or caller.constants
    variants = [names]
    if task.call is not None:
        if task.operator == "@task":
            calls = ((task.call, around), *task.again)
            variants = [each for call in calls for each in passed(function, module, *call)]
        else:
            listed = keyword(task.call, "op_args")
            arguments = listed.elts if isinstance(listed, ast.List | ast.Tuple) else []
            names = called(function, module.constants, ast.Call(task.call.func, arguments, []), around)
            given = value_of(keyword(task.call, "op_kwargs"), around)
            names |= given if isinstance(given, dict) else {}
            names |= _own(task, function, around)
            variants = [names]
    for each in task.functions[1:]:
        if isinstance(each[0], Whole) and function in each[0].body:
            functions = {**functions, **bound("self", each)}
    left = [MOST_CALLS]
    return sorted(found.union(*(_uses(function, module, functions, each, 0, left) for each in variants)))


def read_at_import(module: Module, maker: Function | None) -> list[FileUse]:
    """What a DAG's file reads whenever Airflow imports it, outside of tasks; `maker` is its function with @dag."""
    body = [*outside_functions(module.tree.body), *outside_functions(maker.body if maker else ())]
    whole = ast.FunctionDef("", NOTHING, body, [])
    found = _uses(whole, module, {}, dict(module.constants), 0, [0])
    return sorted({use for use in found if use.how == "read" and not use.handed})


def _own(task: Task, method: Function, around: Names) -> Names:
    """What a method calls itself, with what it was made with."""
    runs = keyword(task.call, "python_callable") if task.call else None
    owner = runs.value if isinstance(runs, ast.Attribute) else runs or task.call
    made = value_of(owner, around)
    return {method.args.args[0].arg: made} if method.args.args and isinstance(made, Members) else {}


def mentioned(module: Module) -> Iterator[tuple[str, Place]]:
    """Every text in a module that may be a path of the repository."""
    for node in ast.walk(module.tree):
        text = None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        elif isinstance(node, ast.BinOp | ast.Call | ast.JoinedStr):
            text = text_of(node, module.constants)
        if text and len(text) <= MOST_COMMAND:
            yield from ((folder, module.place(node)) for folder in goes_to(text))
        if (
            text
            and len(text) < 300
            and ("/" in text or "." in text)
            and text.isprintable()
            and "://" not in text
        ):
            yield text, module.place(node)


def _uses(
    function: Function,
    module: Module,
    functions: Functions,
    names: dict[str, Any],
    depth: int,
    left: list[int],
) -> Iterator[FileUse]:
    """What a function uses, and those that it calls; `left`, shared by all of them: how many calls are followed."""
    names = dict(names)
    given: set[str] = set()  # what is passed to calls that do not only look
    asked: set[str] = set()  # what it asks after first, and goes on without
    optional, needed = optional_reads(function), needed_answers(function)
    for node in _in_order(function):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            bind(node, names)
            if made := objects(node, functions):
                functions = {**functions, **made}
        elif isinstance(node, ast.Return):
            yield from _handed(node.value, module, names, given) if depth == 0 else ()
            if depth == 0 and decorated(function, "bash") and (text := text_of(node.value, names)):
                yield FileUse(text, "run", module.place(node))
        elif isinstance(node, ast.Call):
            if method_of(node) in ASKS and id(node) not in needed and (path := _asked(node, names)):
                asked.add(path)
            for use in _call(node, module, names):
                if use.how != "read" or not (use.path in asked or id(node) in optional):
                    yield use
            if method_of(node) == "xcom_push":
                yield from _handed(keyword(node, "value"), module, names, given)
            elif not _only_looks(node):
                given |= {text for each in node.args for text in _paths_in(value_of(each, names))}
                given |= {text for each in node.keywords for text in _paths_in(value_of(each.value, names))}
            inner = functions.get(dotted(node.func))
            if inner is not None and depth < MOST_DEPTH and inner[0] is not function and left[0] > 0:
                left[0] -= 1
                inside = called(inner[0], inner[1].constants, node, names)
                yield from _uses(*inner, functions, inside, depth + 1, left)


def _asked(call: ast.Call, names: Names) -> str | None:
    """The path of `os.path.exists(…)` and of `….exists()`."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return text_of(call.args[0] if call.args else owner, names)


def _in_order(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function, as they stand in its text."""
    kinds = (ast.Assign, ast.AnnAssign, ast.Call, ast.Return)
    nodes = [node for node in ast.walk(function) if isinstance(node, kinds)]
    return iter(sorted(nodes, key=lambda node: (node.lineno, isinstance(node, ast.Assign | ast.AnnAssign))))


def _handed(
    value: ast.expr | None, module: Module, names: dict[str, Any], given: set[str]
) -> Iterator[FileUse]:
    """The files among what a task hands over that something in it was given, which most likely wrote them."""
    for text in _paths_in(value_of(value, names)):
        if value is not None and text in given:
            folder = "." not in posixpath.basename(text)
            yield FileUse(text, "write", module.place(value), folder=folder, handed=True)


def _paths_in(value: object) -> Iterator[str]:
    """The texts of a value that look like paths."""
    seen, waiting = set[int](), [value]
    while waiting:  # lists of a file may name each other, many times over
        each = waiting.pop()
        if isinstance(each, list | dict) and id(each) not in seen:
            seen.add(id(each))
            waiting += each.values() if isinstance(each, dict) else each
        elif isinstance(each, str | PurePosixPath):
            text = str(each)
            plain = "/" in text and "://" not in text and len(text) < 300
            if plain and not any(char.isspace() for char in text):
                yield text


def _only_looks(call: ast.Call) -> bool:
    """Whether a call can't have written a file: it reads one, asks for it, or makes a text of its name."""
    method = method_of(call)
    return method in LOOKS or method.startswith("read_")


def _call(call: ast.Call, module: Module, names: dict[str, Any]) -> Iterator[FileUse]:
    """The paths that a call uses; an address of the network is none."""
    return (use for use in _used(call, module, names) if "://" not in use.path and ":/" not in use.path)


def _used(call: ast.Call, module: Module, names: dict[str, Any]) -> Iterator[FileUse]:
    name, place = _name_of(call, module), module.place(call)
    if name in STARTS and (command := command_of(next(iter(call.args), keyword(call, "args")), names)):
        yield FileUse(command, "run", place)
        return
    method = name.rpartition(".")[2] if name else method_of(call)
    given = call.args[0] if call.args else keyword(call, *PATH_KEYWORDS)
    other = call.args[1] if len(call.args) > 1 else keyword(call, "dst", "f", "filename")
    if (folder := _begun(call, name, given, other, names)) is not None:
        yield FileUse(folder, "write", place, folder=True)
        return
    first = text_of(given, names)
    if name == "open" and first:
        mode = text_of(call.args[1] if len(call.args) > 1 else keyword(call, "mode"), names) or "r"
        yield FileUse(first, "write" if set(mode) & set("wax") else "read", place)
        return
    if isinstance(call.func, ast.Attribute) and method in {*OF_PATHS, "open"}:
        owner = text_of(call.func.value, names)
        if owner:
            how: Literal["read", "write"] = "write" if OF_PATHS.get(method, "read") == "write" else "read"
            mode = (first or "r") if method == "open" else "r"
            how = "write" if set(mode) & set("wax") else how
            yield FileUse(owner, how, place, folder=method == "mkdir")
            return
    second = text_of(other, names)
    if name in DATABASES:
        if first and first != ":memory:":
            yield FileUse(first, "write", place)
    elif name in SECOND_WRITES:
        if second:
            yield FileUse(second, "write", place)
        if first and name in FIRST_READS:
            yield FileUse(first, "read", place)
    elif first and method in WRITES_FIRST:
        yield FileUse(first, "write", place, folder=method in FOLDERS)
    elif first and method in READS_FIRST and (name.split(".")[0] in LOADERS or method.startswith("read_")):
        yield FileUse(first, "read", place, folder=method in FOLDERS)


def _name_of(call: ast.Call, module: Module) -> str:
    """What is called, as if it had been imported with its module: `joblib.dump` of `dump`."""
    name = dotted(call.func)
    return module.aliases.get(name, name)


def _begun(
    call: ast.Call, name: str, given: ast.expr | None, other: ast.expr | None, names: dict[str, Any]
) -> str | None:
    """The folder that a call writes to, where the source does not tell the file's name, which may hold the time."""
    method = method_of(call)
    if name in SECOND_WRITES:
        given = other
    elif method == "open" or method in OF_PATHS:
        own = call.func.value if isinstance(call.func, ast.Attribute) else None
        mode = text_of((given if own else other) or keyword(call, "mode"), names) or "r"
        if not (OF_PATHS.get(method) == "write" or set(mode) & set("wax")):
            return None
        given = own or given
    elif method not in WRITES_FIRST:
        return None
    value = value_of(given, names)
    return value.folder if isinstance(value, Begun) else None
