"""The tasks of a DAG as its source has them: operators, functions with @task, and the groups they are in."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.init.reading.constants import dotted, text_of
from harness.init.reading.repository_files import Place
from harness.init.reading.source import Function, Module, keyword

Functions = Mapping[str, tuple[Function, Module]]
MOST_DEPTH = 5


@dataclass(frozen=True)
class Program:
    """A file of the repository that a task runs as a program: all its statements, as a function without arguments."""

    main: Function
    module: Module
    functions: Functions

    @property
    def runs(self) -> tuple[tuple[Function, Module], ...]:
        """What it runs of the repository's own code."""
        return tuple(dict(reachable(self.main, self.module, self.functions)).items())


@dataclass(frozen=True)
class Task:
    """One task. `operator` is its class or `@task`; `functions` are what it runs of the repository's own code.

    `programs` are the files that it runs by a shell.
    """

    task_id: str
    place: Place
    operator: str
    mapped: bool = False
    functions: tuple[tuple[Function, Module], ...] = field(default=(), repr=False, compare=False)
    call: ast.Call | None = field(default=None, repr=False, compare=False)
    programs: tuple[Program, ...] = field(default=(), repr=False, compare=False)

    @property
    def runs(self) -> tuple[tuple[Function, Module], ...]:
        """All of the repository's own code that it runs, functions and programs."""
        return (*self.functions, *(each for program in self.programs for each in program.runs))


def tasks_in(body: Sequence[ast.stmt], module: Module, functions: Functions) -> tuple[Task, ...]:
    """The tasks that these statements make, once each."""
    found = list(_statements(body, module, functions, "", 0))
    return tuple(
        sorted({task.task_id: task for task in reversed(found)}.values(), key=lambda task: task.place)
    )


def decorated(function: Function, name: str) -> ast.expr | None:
    """The decorator of this name that a function has, such as `@task`, `@task.branch` or `@task(…)`."""
    for each in function.decorator_list:
        called = dotted(each.func if isinstance(each, ast.Call) else each)
        if name in called.split("."):
            return each
    return None


def reachable(
    function: Function, module: Module, functions: Functions, depth: int = 0
) -> Iterator[tuple[Function, Module]]:
    """A function and those of the repository's own that it calls by their names, each with its module."""
    yield function, module
    if depth >= MOST_DEPTH:
        return
    for name in dict.fromkeys(dotted(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)):
        inner = functions.get(name)
        if inner is not None and inner[0] is not function:
            yield from reachable(*inner, functions, depth + 1)


def _statements(
    body: Sequence[ast.stmt], module: Module, functions: Functions, prefix: str, depth: int
) -> Iterator[Task]:
    local = {each.name: (each, module) for each in body if isinstance(each, Function)}
    known = {**functions, **local}
    for statement in body if depth <= MOST_DEPTH else ():
        known |= _made_tasks(statement, known)
        if isinstance(statement, Function) and decorated(statement, "asset"):
            runs = tuple(dict(reachable(statement, module, known)).items())
            yield Task(statement.name, module.place(statement), "@asset", False, runs)
        if isinstance(statement, Function | ast.ClassDef):
            continue
        if isinstance(statement, ast.With):
            group = next((_group(item.context_expr, module) for item in statement.items), "")
            yield from _statements(statement.body, module, known, prefix + group, depth + 1)
        elif isinstance(statement, ast.If | ast.For | ast.Try):
            for inner in (statement.body, statement.orelse):
                yield from _statements(inner, module, known, prefix, depth + 1)
        else:
            for node in ast.walk(statement):
                if isinstance(node, ast.Call):
                    yield from _call(node, module, known, prefix, depth)


def _made_tasks(statement: ast.stmt, known: Functions) -> dict[str, tuple[Function, Module]]:
    """`train = task(train_model)`: another way to write a function with @task."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
        return {}
    call = statement.value
    maker = call.func.func if isinstance(call.func, ast.Call) else call.func
    function = known.get(dotted(call.args[0])) if call.args else None
    if function is None or dotted(maker).split(".")[0] != "task":
        return {}
    made = copy.copy(function[0])
    made.decorator_list = [call.func]
    return {target.id: (made, function[1]) for target in statement.targets if isinstance(target, ast.Name)}


def _group(expression: ast.expr, module: Module) -> str:
    """`name.` of a TaskGroup, which begins its tasks' ids."""
    if not isinstance(expression, ast.Call) or dotted(expression.func).rpartition(".")[2] != "TaskGroup":
        return ""
    given = keyword(expression, "group_id") or next(iter(expression.args), None)
    plain = keyword(expression, "prefix_group_id")
    name = text_of(given, module.constants)
    return "" if not name or (isinstance(plain, ast.Constant) and plain.value is False) else f"{name}."


def _call(call: ast.Call, module: Module, functions: Functions, prefix: str, depth: int) -> Iterator[Task]:
    name, mapped, override = _callee(call)
    known = functions.get(name)
    if (
        known is not None
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"override", "partial"}
    ):
        return  # called, or expanded, by what is around it
    if known is not None and (group := decorated(known[0], "task_group")):
        given = text_of(keyword(group, "group_id"), module.constants) if isinstance(group, ast.Call) else None
        inside = f"{prefix}{given or known[0].name}."
        yield from _statements(known[0].body, known[1], functions, inside, depth + 1)
    elif known is not None and (decorator := decorated(known[0], "task")):
        settings = [each for each in (override, decorator) if isinstance(each, ast.Call)]
        given = next((found for each in settings if (found := _task_id(each, module))), None)
        runs = tuple(dict(reachable(*known, functions)).items())
        yield Task(f"{prefix}{given or known[0].name}", known[1].place(known[0]), "@task", mapped, runs, call)
    elif (task_id := _task_id(call, module)) and known is None:
        function = functions.get(dotted(keyword(call, "python_callable") or ast.Constant(0)))
        runs = ()
        if function is not None:
            runs = tuple(dict(reachable(*function, functions)).items())
        operator = dotted(call.func).removesuffix(".partial").rpartition(".")[2]
        partial = isinstance(call.func, ast.Attribute) and call.func.attr == "partial"
        yield Task(f"{prefix}{task_id}", module.place(call), operator, partial, runs, call)


def _task_id(call: ast.Call, module: Module) -> str | None:
    return text_of(keyword(call, "task_id"), module.constants)


def _callee(call: ast.Call) -> tuple[str, bool, ast.Call | None]:
    """Whose name a call has: `train` of `train(…)`, `train.expand(…)` and `train.override(…)(…)`."""
    function, mapped, override = call.func, False, None
    for _ in range(MOST_DEPTH):
        if isinstance(function, ast.Call):
            if isinstance(function.func, ast.Attribute) and function.func.attr == "override":
                override = function
            function = function.func
        elif isinstance(function, ast.Attribute) and function.attr in {
            "expand",
            "expand_kwargs",
            "override",
            "partial",
        }:
            mapped = mapped or function.attr.startswith("expand")
            function = function.value
        else:
            break
    return dotted(function), mapped, override
