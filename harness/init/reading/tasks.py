"""The tasks of a DAG as its source has them: operators, functions with @task, and the groups they are in."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.init.reading.constants import Names, dotted, text_of, value_of
from harness.init.reading.programs.calls import with_mapped
from harness.init.reading.programs.classes import Whole, methods, objects, run_of
from harness.init.reading.repository_files import Place
from harness.init.reading.source import Function, Module, bind, bind_target, called, keyword
from harness.init.reading.syntax.known_functions import UNKNOWN

Functions = Mapping[str, tuple[Function, Module]]
MOST_DEPTH = 5
MOST_ITEMS = 50  # of a loop
MOST_TURNS = 1000  # of all loops that stand in one another


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

    `programs` are the files that it runs by a shell, `names` the values that the names around its call have, `again`
    its other calls, whose ids Airflow numbers. Where the source tells only a part of an id, as in a loop over what a
    file says, a star stands for the rest.
    """

    task_id: str
    place: Place
    operator: str
    mapped: bool = False
    functions: tuple[tuple[Function, Module], ...] = field(default=(), repr=False, compare=False)
    call: ast.Call | None = field(default=None, repr=False, compare=False)
    programs: tuple[Program, ...] = field(default=(), repr=False, compare=False)
    names: Names = field(default_factory=dict, repr=False, compare=False)
    again: tuple[tuple[ast.Call, Names], ...] = field(default=(), repr=False, compare=False)

    @property
    def runs(self) -> tuple[tuple[Function, Module], ...]:
        """All of the repository's own code that it runs, functions and programs."""
        return (*self.functions, *(each for program in self.programs for each in program.runs))


def tasks_in(body: Sequence[ast.stmt], module: Module, functions: Functions) -> tuple[Task, ...]:
    """The tasks that these statements make, once each."""
    found: dict[str, Task] = {}
    for task in _statements(body, module, functions, "", 0, MOST_TURNS):
        known = found.setdefault(task.task_id, task)
        if known is not task and task.call is not None:
            found[task.task_id] = replace(known, again=(*known.again, (task.call, task.names)))
    return tuple(sorted(found.values(), key=lambda task: task.place))


def decorated(function: Function, name: str) -> ast.expr | None:
    """The decorator of this name that a function has, such as `@task`, `@task.branch` or `@task(…)`."""
    for each in function.decorator_list:
        called = dotted(each.func if isinstance(each, ast.Call) else each)
        if name in called.split("."):
            return each
    return None


def reachable(function: Function, module: Module, functions: Functions) -> Iterator[tuple[Function, Module]]:
    """A function and those of the repository's own that it calls by their names, each once with its module."""
    found = {id(function)}
    waiting = [(function, module)]
    for _ in range(MOST_DEPTH + 1):
        yield from waiting
        named = [
            functions.get(dotted(node.func))
            for each, _ in waiting
            for node in ast.walk(each)
            if isinstance(node, ast.Call)
        ]
        waiting = []
        for inner in filter(None, named):
            if id(inner[0]) not in found:
                found.add(id(inner[0]))
                waiting.append(inner)


def _statements(
    body: Sequence[ast.stmt], module: Module, functions: Functions, prefix: str, depth: int, turns: int
) -> Iterator[Task]:
    """The tasks of statements that stand in a task group's `prefix`; `turns`: how many loops in them may take."""
    local = {each.name: (each, module) for each in body if isinstance(each, Function)}
    known = {**functions, **local}
    names = dict(module.constants)
    module = replace(module, constants=names)
    for statement in body if depth <= MOST_DEPTH else ():
        known |= _made_tasks(statement, known) | objects(statement, known)
        if isinstance(statement, Function) and decorated(statement, "asset"):
            runs = tuple(dict(reachable(statement, module, known)).items())
            yield Task(statement.name, module.place(statement), "@asset", False, runs)
        if isinstance(statement, Function | ast.ClassDef):
            continue
        if isinstance(statement, ast.With):
            group = next((_group(item.context_expr, module) for item in statement.items), "")
            yield from _statements(statement.body, module, known, prefix + group, depth + 1, turns)
        elif isinstance(statement, ast.For):
            items = _items(statement.iter, names, turns)
            for item in items:
                bind_target(statement.target, item, names)
                left = turns // len(items)
                yield from _statements(statement.body, module, known, prefix, depth + 1, left)
        elif isinstance(statement, ast.If | ast.Try):
            for inner in (statement.body, statement.orelse):
                yield from _statements(inner, module, known, prefix, depth + 1, turns)
        else:
            bind(statement, names)
            for call, around, left in _calls(statement, names, turns):
                yield from _call(call, replace(module, constants=around), known, prefix, depth, left)


def _items(expression: ast.expr, names: Names, turns: int) -> list[Any]:
    """What a loop goes over, as often as it may; one item that nothing is known of where the source does not tell."""
    items = value_of(expression, names)
    return (
        list(items)[: max(1, min(MOST_ITEMS, turns))]
        if isinstance(items, list | dict) and items
        else [UNKNOWN]
    )


def _calls(node: ast.AST, names: Names, turns: int) -> Iterator[tuple[ast.Call, Names, int]]:
    """The calls in a statement, those of a comprehension once for each of its items: with the names that are there, and
    how many turns loops inside of it may take."""
    if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
        loop = node.generators[0]
        inside = dict(names)
        items = _items(loop.iter, names, turns)
        for item in items:
            bind_target(loop.target, item, inside)
            for child in ast.iter_child_nodes(node):
                yield from _calls(child, inside, turns // len(items))
        return
    if isinstance(node, ast.Call):
        yield node, names, turns
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, names, turns)


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


def _call(
    call: ast.Call, module: Module, functions: Functions, prefix: str, depth: int, turns: int
) -> Iterator[Task]:
    name, mapped, override = _callee(call)
    known = functions.get(name)
    if known is None:
        call = with_mapped(call)
    if (
        known is not None
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"override", "partial"}
    ):
        return  # called, or expanded, by what is around it
    if known is not None and (group := decorated(known[0], "task_group")):
        given = text_of(keyword(group, "group_id"), module.constants) if isinstance(group, ast.Call) else None
        inside = f"{prefix}{given or known[0].name}."
        group_module = replace(
            known[1], constants=called(known[0], known[1].constants, call, module.constants)
        )
        yield from _statements(known[0].body, group_module, functions, inside, depth + 1, turns)
    elif known is not None and (decorator := decorated(known[0], "task")):
        settings = [each for each in (override, decorator) if isinstance(each, ast.Call)]
        given = next((found for each in settings if (found := _task_id(each, module))), None)
        runs = tuple(dict(reachable(*known, functions)).items())
        place, names = known[1].place(known[0]), dict(module.constants)
        yield Task(f"{prefix}{given or known[0].name}", place, "@task", mapped, runs, call, names=names)
    elif known is not None and not isinstance(known[0], Whole) and _makes_tasks(known[0]):
        maker = replace(known[1], constants=called(known[0], known[1].constants, call, module.constants))
        passed = {**functions, **_passed(known[0], call, functions)}
        yield from _statements(known[0].body, maker, passed, prefix, depth + 1, turns)
    elif (task_id := _task_id(call, module)) and (known is None or isinstance(known[0], Whole)):
        started = (
            run_of(keyword(call, "python_callable"), functions, module)
            if known is None
            else methods(known, "execute")
        )
        runs = tuple(dict(pair for each in started for pair in reachable(*each, functions)).items())
        operator = dotted(call.func).removesuffix(".partial").rpartition(".")[2]
        several = "*" in task_id or (isinstance(call.func, ast.Attribute) and call.func.attr == "partial")
        names = dict(module.constants)
        yield Task(f"{prefix}{task_id}", module.place(call), operator, several, runs, call, names=names)


def _makes_tasks(function: Function) -> bool:
    """Whether a function that a DAG calls makes tasks for it, and no DAG of its own."""
    inner = list(ast.walk(function))
    calls = [node for node in inner if isinstance(node, ast.Call)]
    made = any(keyword(node, "task_id") is not None for node in calls) or any(
        isinstance(node, Function) and node is not function and decorated(node, "task") for node in inner
    )
    own = any(decorated(function, name) for name in ("asset", "dag")) or any(
        dotted(node.func).rpartition(".")[2] == "DAG" for node in calls
    )
    return made and not own


def _passed(function: Function, call: ast.Call, functions: Functions) -> dict[str, tuple[Function, Module]]:
    """The functions that a call hands to another, by the names that this one has for them."""
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    defaults = function.args.defaults
    optional = zip(names[len(names) - len(defaults) :], defaults, strict=True)
    named = ((each.arg, each.value) for each in call.keywords if each.arg)
    given = dict((*optional, *zip(names, call.args, strict=False), *named))
    known = ((name, functions.get(dotted(value))) for name, value in given.items())
    return {name: found for name, found in known if found is not None}


def _task_id(call: ast.Call, module: Module) -> str | None:
    """The id of the task that a call makes; with a star for what the source does not tell of it."""
    given = keyword(call, "task_id")
    known = text_of(given, module.constants)
    if known is not None or not isinstance(given, ast.JoinedStr):
        return known
    parts = [each.value if isinstance(each, ast.FormattedValue) else each for each in given.values]
    told = [text_of(each, module.constants) for each in parts]
    return "".join("*" if each is None else each for each in told) if any(told) else None


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
